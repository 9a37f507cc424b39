"""From symptoms to causes, and from facts to a story."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from actors.ids import ApplicationId, OrgId, PackageId, RunId
from actors.runs import Ending, Evidence, LogLine, ModelCall, Run
from actors.runs.evidence import GAVE_UP
from actors.runs.explanation import explain
from actors.runs.remedies import RULES, Symptoms, diagnose
from actors.scrub import scrub
from actors.sidecar_pool import Exit

T0 = datetime(2026, 5, 2, 8, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def run(status: str = "failed", error: str | None = "it broke") -> Run:
    fields: dict[str, Any] = dict.fromkeys(Run.__struct_fields__)
    fields |= {
        each.name: each.default
        for each in msgspec.structs.fields(Run)
        if each.default is not msgspec.NODEFAULT
    }
    fields |= {"id": RunId("run_1"), "org_id": OrgId("o"), "model_label": "Main"}
    fields |= {"application_id": ApplicationId("app_1"), "package_id": PackageId("@a/b")}
    fields |= {"status": status, "error": error, "started_at": T0}
    ended = status not in ("pending", "running")
    return Run(**fields | {"completed_at": after(9) if ended else None})


def line(at: float, message: str | None = None, **fields: Any) -> LogLine:
    defaults = {"type": "progress", "level": "info", "event": "progress", "data": None}
    return LogLine(
        id=int(at * 1000),
        run_id=RunId("run_1"),
        org_id=OrgId("o"),
        message=message,
        created_at=after(at),
        **defaults | fields,
    )


def call(status: int | None, error: str | None = None, at: float = 3, **fields: Any) -> ModelCall:
    given = {"duration": 120, **fields}
    return ModelCall(id=f"c{at}", started_at=after(at), status=status, error=error, **given)


def symptoms(**fields: Any) -> Symptoms:
    known: dict[str, Any] = {
        "status": "failed",
        "error": "",
        "phase": "model",
        "calls": [],
        "exit": None,
    }
    return Symptoms(**known | {"events": set(), "model": "Main"} | fields)


@pytest.mark.parametrize(
    ("cause", "given"),
    [
        ("waiting", {"status": "pending"}),
        ("running", {"status": "running"}),
        ("succeeded", {"status": "success"}),
        ("cancelled", {"status": "cancelled", "calls": [call(500, "x")]}),
        ("timeout", {"status": "timeout", "calls": [call(200)]}),
        ("timeout_waiting_for_model", {"status": "timeout", "calls": [call(None, duration=None)]}),
        (
            "timeout_waiting_for_model",
            {"status": "timeout", "calls": [call(None, GAVE_UP)]},
        ),
        ("killed", {"exit": Exit(signal=9), "calls": [call(None, GAVE_UP)]}),
        ("out_of_memory", {"exit": Exit(signal=9, out_of_memory=True), "calls": [call(401, "x")]}),
        ("out_of_memory", {"exit": Exit(code=1, tail=["MemoryError"])}),
        ("server_stopped", {"error": "Server restarted while run was in progress."}),
        ("server_stopped", {"error": "The server was stopped while the run was active."}),
        ("launch_refused", {"unlaunched": True, "error": "storage quota exceeded"}),
        ("credential_refused", {"calls": [call(401, "bad key")]}),
        ("credential_refused", {"error": "the model API answered 401: bad key"}),
        ("model_unknown", {"calls": [call(404, "no such model")]}),
        ("quota_exhausted", {"calls": [call(429, "You exceeded your current quota")]}),
        ("quota_exhausted", {"calls": [call(402, "pay")]}),
        ("rate_limited", {"calls": [call(429, "slow down")]}),
        ("context_too_long", {"calls": [call(400, "maximum context length is 4096 tokens")]}),
        ("request_refused", {"calls": [call(400, "temperature is not supported")]}),
        ("provider_unreachable", {"calls": [call(502, "cannot reach the model API")]}),
        ("provider_failing", {"calls": [call(503, "overloaded")]}),
        ("answer_broken", {"calls": [call(200, "the answer broke off")]}),
        (
            "answer_broken",
            {"calls": [call(200)], "error": "x/m: the model API answered with a web page: <html>"},
        ),
        ("answer_broken", {"calls": [call(200)], "error": "the model API sent garbage: {not"}),
        (
            "output_missing",
            {
                "events": {"output_validation"},
                "error": "The agent ended without calling the output tool; its output must have: a",
            },
        ),
        (
            "output_invalid",
            {"events": {"output_validation"}, "error": "Output validation failed: Field 'a'"},
        ),
        ("no_tokens", {"error": "The run reports no tokens at all: it could not reach"}),
        ("disk_full", {"error": "[Errno 28] No space left on device", "calls": [call(200)]}),
        ("stalled", {"error": "Runner stopped reporting — no heartbeat for 60s"}),
        ("not_started", {"error": "The agent process could not start: [Errno 12]"}),
        ("boot_failed", {"phase": "started", "exit": Exit(code=1, tail=["no module"])}),
        ("killed", {"exit": Exit(signal=9), "calls": [call(200)], "error": "was killed"}),
        ("crashed", {"exit": Exit(code=3), "calls": [call(200)], "error": "exited with code 3"}),
        ("agent_failed", {"error": "I give up", "exit": Exit(code=0)}),
        ("unexplained", {}),
    ],
)
def test_symptoms_have_a_cause_and_a_remedy(cause: str, given: dict[str, Any]) -> None:
    found = diagnose(symptoms(**given))

    assert found.cause == cause
    assert found.summary
    assert found.remedy
    assert "{" not in found.summary + found.remedy


def test_every_rule_can_be_the_first_that_fits() -> None:
    """Each has a case above; none stands behind another that always wins."""
    table = test_symptoms_have_a_cause_and_a_remedy.pytestmark[0].args[1]

    assert {rule.cause for rule in RULES} == {cause for cause, _ in table}


def test_a_failure_that_was_mended_is_no_cause() -> None:
    found = diagnose(symptoms(calls=[call(429, "slow down"), call(200)], error="I give up"))

    assert found.cause == "agent_failed"


def test_a_run_is_told_as_a_story() -> None:
    lines = [
        line(0, "run created", data={"platform": True, "phase": "waiting"}),
        line(1, "agent process starting", data={"platform": True, "phase": "started"}),
        line(2, "runtime ready", data={"boot": True, "bootDurationMs": 70}),
        line(4, "watch out", level="warn", event="log"),
        line(9, event="run_completed", type="system"),
    ]
    calls = [call(429, "slow down", 3), call(429, "slow down", 3.5), call(200, None, 5)]
    ending = Ending(exit=Exit(code=1, tail=["last words"]), at=after(8))
    told = explain(Evidence(run=run(), lines=lines, calls=calls, ending=ending))

    assert told.phase == "model"
    reached = {phase.name: phase.at for phase in told.phases}
    assert list(reached) == [
        *("created", "waiting", "slot", "started", "workspace", "model", "output", "finalized")
    ]
    assert reached["output"] is None
    assert reached["slot"] == reached["started"] == after(1)
    assert [c.retry for c in told.model_calls] == [0, 1, 2]
    assert told.output == ["last words"]
    assert (told.exit and told.exit.code) == 1
    assert [moment.after for moment in told.timeline] == sorted(m.after for m in told.timeline)
    story = [moment.text for moment in told.timeline]
    assert "model request (try 2) → 429 in 120 ms: slow down" in story
    assert "watch out" in story
    assert story[-2:] == ["Agent process exited with code 1", "it ended"]


def test_a_run_of_which_little_is_known_is_explained_all_the_same() -> None:
    told = explain(Evidence(run=run("pending", None)))

    assert (told.cause, told.phase, told.exit, told.output) == ("waiting", "created", None, [])


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (
            "Incorrect API key provided: sk-proj-abcdefghijkl",
            "Incorrect API key provided: [secret]",
        ),
        ("Authorization: Bearer abc.def-ghi123", "Authorization: Bearer [secret]"),
        ("key=AIzaSyA1234567890abcdefghijk", "key=[secret]"),
        ("ask_0123456789abcdef0123", "[secret]"),
        ("the token is hush-hush.", "the token is [secret]."),
        ("task_list, risk-averse, sk-short", "task_list, risk-averse, sk-short"),
        ("a\0b", "a\ufffdb"),
    ],
)
def test_secrets_are_taken_out(text: str, clean: str) -> None:
    assert scrub(text, ["hush-hush", "", "a"]) == clean
