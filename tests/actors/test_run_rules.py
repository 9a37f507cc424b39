from collections.abc import Sequence
from typing import Any

import pytest

from actors.ids import PackageId
from actors.packages import AgentDefinition, SkillFacts
from actors.runs.events import RunEvent, Usage, effects
from actors.runs.finalize import Facts, Report, decide
from actors.runs.input import resolve_input
from actors.runs.prompt import render_prompt
from actors.runs.rules import RunLimits, run_timeout
from actors.runtime import Rejected
from actors.sidecar_pool import Exit
from support.packages import agent_manifest, typed_agent_manifest

USED = Usage(input_tokens=10, output_tokens=1)
SCHEMA = {
    "type": "object",
    "properties": {"title": {"type": "string"}, "n": {"type": "integer"}},
    "required": ["title"],
    "additionalProperties": False,
}


def facts(schema: dict[str, Any] | None = None, **fields: Any) -> Facts:
    return Facts(
        output_schema=schema,
        output=fields.get("output"),
        usage=fields.get("usage"),
    )


def own(**fields: Any) -> Report:
    return Report(own=True, usage=USED, **fields)


def test_a_good_report_is_a_success_with_its_output() -> None:
    verdict = decide(own(status="success", output={"title": "x"}), facts(SCHEMA))

    assert (verdict.status, verdict.error) == ("success", None)
    assert verdict.result == {"output": {"title": "x"}}
    assert [entry.event for entry in verdict.logs] == ["result"]


def test_extra_properties_are_allowed_and_numbers_as_text_forgiven() -> None:
    output = {"title": "x", "n": "7", "more": True}
    verdict = decide(own(status="success", output=output), facts(SCHEMA))

    assert verdict.status == "success"
    assert verdict.result == {"output": {"title": "x", "n": 7, "more": True}}


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ({"n": 1}, "Field 'title': is required"),
        ({"title": ""}, "Field 'title': is required"),
        ("text", "Field 'title': is required"),
        (None, "without calling the output tool; its output must have: title"),
    ],
)
def test_an_output_that_does_not_fit_makes_a_failure_that_names_the_field(
    output: Any, words: str
) -> None:
    verdict = decide(own(status="success", output=output), facts(SCHEMA))

    assert verdict.status == "failed"
    assert words in (verdict.error or "")
    assert verdict.logs[0].event == "output_validation"


def test_only_a_success_is_checked() -> None:
    verdict = decide(own(status="timeout", error="late"), facts(SCHEMA))

    assert (verdict.status, verdict.error) == ("timeout", "late")


def test_usage_is_the_reports_else_the_last_known_else_nothing() -> None:
    known = Usage(input_tokens=3, output_tokens=3)
    assert decide(own(status="success"), facts()).usage == USED
    assert decide(Report(status="failed"), facts(usage=known)).usage == known
    assert decide(Report(status="failed"), facts()).usage is None
    assert decide(Report(status="success"), facts()).status == "failed"
    assert decide(Report(status="success"), facts(usage=known)).status == "success"


def test_whoever_else_reports_the_end_recovers_the_last_output() -> None:
    verdict = decide(Report(status="cancelled", error="by user"), facts(output={"a": 1}))
    of_itself = decide(own(status="failed", error="x"), facts(output={"a": 1}))

    assert verdict.result == {"output": {"a": 1}}
    assert of_itself.result is None


def test_an_exit_is_described_with_the_last_words() -> None:
    tail = [f"line {n}" for n in range(9)]

    assert Exit(code=3, tail=tail).describe().startswith("Agent process exited with code 3: line 4")
    assert "SIGKILL" in Exit(signal=9).describe()
    assert "vanished" in Exit().describe()


def test_input_is_defaults_then_what_was_given() -> None:
    manifest = typed_agent_manifest()

    assert resolve_input(manifest, {"topic": "x"}) == {"topic": "x", "pages": 1}
    assert resolve_input(manifest, {"topic": 5, "pages": "2"}) == {"topic": "5", "pages": 2}
    assert resolve_input(agent_manifest(), {"anything": [1]}) == {"anything": [1]}
    with pytest.raises(Rejected) as caught:
        resolve_input(manifest, {"topic": None, "pages": 99, "x": 1})
    assert {p.field for p in caught.value.problems} == {"input.topic", "input.pages", "input.x"}
    assert caught.value.code == "validation_failed"


def test_a_timeout_is_lowered_to_the_ceiling() -> None:
    limits = RunLimits(timeout_ceiling_seconds=100)

    assert run_timeout(agent_manifest(timeout=10), limits) == 10
    assert run_timeout(agent_manifest(), limits) == 100


def definition(
    prompt: str, manifest: dict[str, Any], skills: Sequence[SkillFacts] = ()
) -> AgentDefinition:
    return AgentDefinition(
        package=PackageId(manifest["name"]),
        version_label="1.0.0",
        version_ref="1.0.0",
        manifest=manifest,
        prompt=prompt,
        skills=[*skills],
        parts=[],
    )


def test_the_prompt_says_what_the_platform_must_say_and_ends_with_the_agents_own() -> None:
    skill = SkillFacts(package=PackageId("@acme/tone"), name="tone", description="How we write")
    agent = definition("Do **it** for {{input.topic}}.", typed_agent_manifest(), [skill])
    text = render_prompt(agent, {"topic": "churn", "pages": 1}, [], 120)

    assert text.endswith("\n---\n\nDo **it** for {{input.topic}}.")
    assert "120 seconds" in text
    assert "`.pi/skills/@acme/tone/SKILL.md`" in text
    assert "- **topic** (string, required): What to write about\n  Value: `churn`" in text
    assert "- **pages** (integer, optional)\n  Value: `1`" in text
    assert '"summary"' in text
    assert text.index("## User Input") < text.index("## Output Format")


def test_sections_without_anything_to_say_are_left_out() -> None:
    text = render_prompt(definition("Go.", agent_manifest()), {}, [], 60)

    for absent in ("## Skills", "## User Input", "## Documents", "## Output Format"):
        assert absent not in text


def test_an_input_cannot_pose_as_the_prompt() -> None:
    text = render_prompt(definition("Go.", agent_manifest()), {"x": "a `b` ``` c"}, [], 60)

    assert "Value: ````a `b` ``` c````" in text


@pytest.mark.parametrize(
    ("kind", "data", "log"),
    [
        ("appstrate.progress", {"message": "m"}, ("progress", "progress", "debug", "m")),
        (
            "appstrate.progress",
            {"message": "m", "level": "info"},
            ("progress", "progress", "info", "m"),
        ),
        ("log.written", {"message": "m", "level": "warn"}, ("progress", "log", "warn", "m")),
        ("log.written", {"message": "m", "level": "odd"}, ("progress", "log", "info", "m")),
        ("output.emitted", {"data": {"a": 1}}, ("result", "output", "info", None)),
        ("appstrate.error", {"message": "m"}, ("system", "adapter_error", "error", "m")),
    ],
)
def test_each_kind_of_event_leaves_its_line(
    kind: str, data: dict[str, Any], log: tuple[Any, ...]
) -> None:
    left = effects(_event(kind, data)).log
    assert left is not None

    assert (left.type, left.event, left.level, left.message) == log


@pytest.mark.parametrize("kind", ["memory.added", "pinned.set", "x.y", "output.emitted"])
def test_other_events_leave_nothing(kind: str) -> None:
    assert effects(_event(kind, {})).log is None


def _event(kind: str, data: dict[str, Any]) -> RunEvent:
    return RunEvent(
        specversion="1.0",
        type=kind,
        source="s",
        id="i",
        time="t",
        datacontenttype="application/json",
        data=data,
        sequence=1,
    )


NESTED = agent_manifest(
    input={
        "schema": {
            "type": "object",
            "properties": {
                "deep": {
                    "type": "object",
                    "properties": {"n": {"type": "integer"}, "on": {"type": "boolean"}},
                },
                "list": {"type": "array", "items": {"type": "number"}},
                "maybe": {"type": ["integer", "null"]},
                "either": {"type": ["string", "integer"]},
                "file": {"type": "string", "format": "uri", "contentMediaType": "text/plain"},
            },
        }
    }
)


@pytest.mark.parametrize(
    ("given", "becomes"),
    [
        ({"deep": {"n": "5", "on": "true", "other": "5"}}, {"n": 5, "on": True, "other": "5"}),
        ({"list": ["1.5", 2]}, [1.5, 2]),
        ({"maybe": "5"}, 5),
        ({"maybe": ""}, None),
        ({"maybe": None}, None),
        ({"either": "5"}, "5"),
        ({"either": 5}, 5),
        ({"file": "no URI at all"}, "no URI at all"),
    ],
)
def test_values_are_forgiven_at_every_depth(given: dict[str, Any], becomes: object) -> None:
    [value] = resolve_input(NESTED, given).values()

    assert value == becomes


@pytest.mark.parametrize(
    "given", [{"deep": {"n": "five"}}, {"list": ["x"]}, {"deep": {"on": "yes"}}]
)
def test_what_cannot_be_meant_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(Rejected):
        resolve_input(NESTED, given)


def test_what_the_platform_ends_as_failed_says_so_in_the_log() -> None:
    ended = decide(Report(status="failed", error="killed"), facts())
    of_itself = decide(own(status="failed", error="killed"), facts())

    assert [(e.event, e.level, e.message) for e in ended.logs] == [
        ("adapter_error", "error", "killed")
    ]
    assert of_itself.logs == []


def test_a_note_about_a_large_output_is_no_output() -> None:
    note = {"__truncated": True, "reason": "size", "bytes": 10**6, "limit": 5}

    assert decide(Report(status="cancelled", error="x"), facts(output=note)).result is None
