import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from actors.runtime.address import State
from appstrate.boot import Server
from support.api import Api
from support.fake_model import Fail, FakeModel, Hang, Say, Step
from support.packages import SKILL, skill_archive, skill_manifest, typed_agent_manifest
from support.waiting import eventually

TYPED = {k: v for k, v in typed_agent_manifest().items() if k in ("input", "output")} | {
    "runtime_tools": ["output", "log"]
}
DELIVER = Say("Done.", {"output": {"data": {"summary": "all is well", "score": 1}}})


@pytest.mark.parametrize("provider", ["openai-compatible", "openai-responses", "anthropic"])
async def test_the_central_path(owner: Api, fake: FakeModel, provider: str) -> None:
    """Sign up, organization, credential, model, agent, key, run: as a client would."""
    name = fake.script(
        f"central-{provider}",
        Say("I look.", {"bash": {"command": "echo found > facts.txt; cat facts.txt"}}),
        Say("", {"log": {"level": "warn", "message": "careful"}, "read": {"path": "facts.txt"}}),
        DELIVER,
    )
    await owner.new_model(fake, name, provider, cost={"input": 1, "output": 2, "cacheRead": 0.5})
    agent = await owner.new_agent("central", "Write about the topic.", **TYPED)
    key = await owner.with_key()
    launched = await key.launch(agent, {"input": {"topic": "churn", "pages": "2"}})
    run = await key.wait(launched.json["id"])

    assert launched.status == 201
    assert launched.json["status"] == "pending"
    assert run["status"] == "success", run
    assert run["result"] == {"output": {"summary": "all is well", "score": 1}}
    assert run["input"] == {"pages": 2, "topic": "churn"}
    assert run["runNumber"] == 1
    assert run["model_label"] == name
    assert run["version_label"] == "1.0.0"
    assert run["apiKeyId"] is not None
    assert run["token_usage"] == {
        "input_tokens": 180,
        "output_tokens": 21,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 120,
    }
    assert run["cost"] == pytest.approx((180 * 1 + 21 * 2 + 120 * 0.5) / 1e6)
    lines = await key.logs(run["id"])
    told = [(line["event"], line["message"]) for line in lines]
    assert ("log", "careful") in told
    assert ("progress", "Tool result: bash") in told
    assert lines[-1]["event"] == "run_completed"
    assert [line["id"] for line in lines] == sorted(line["id"] for line in lines)
    await _check_requests(fake, name)


async def _check_requests(fake: FakeModel, name: str) -> None:
    headers, first = next(r for r in fake.requests if r[1]["model"] == name)
    secret = headers.get("X-Api-Key") or headers.get("x-api-key") or headers["Authorization"]
    assert "sk-real" in secret
    prompt = json.dumps(first)
    assert "Write about the topic." in prompt
    assert "churn" in prompt
    last = json.dumps(fake.requests_of(name)[-1])
    assert "found" in last
    tools = first["tools"]
    names = {t.get("function", t)["name"] for t in tools}
    always = {"read", "write", "edit", "bash", "grep", "find", "ls", "run_history", "recall_memory"}
    assert names == always | {"output", "log"}


async def test_the_agent_never_sees_the_key(owner: Api, fake: FakeModel) -> None:
    spy = "env; cat /proc/self/environ /proc/$PPID/environ | tr '\\0' '\\n'; ls -a"
    name = fake.script("spy", Say("", {"bash": {"command": spy}}), Say("That was it."))
    await owner.new_model(fake, name)
    run = await owner.finished(await owner.new_agent("spy"))
    seen = json.dumps(fake.requests_of(name)[-1]["messages"])

    assert run["status"] == "success"
    assert "APPSTRATE_SLOT" in seen
    assert "sk-real" not in seen
    assert "SINK_SECRET" not in seen
    assert "MODEL_API_KEY" not in seen


async def test_an_agent_without_an_output_may_just_end(owner: Api, fake: FakeModel) -> None:
    await owner.new_model(fake, fake.script("plain", Say("Nothing to deliver.")))
    run = await owner.finished(await owner.new_agent("plain"))

    assert (run["status"], run["result"], run["error"]) == ("success", None, None)


async def test_a_server_that_counts_no_tokens_is_still_a_model(owner: Api, fake: FakeModel) -> None:
    await owner.new_model(fake, fake.script("uncounted", Say("Hello.", usage=False)))
    run = await owner.finished(await owner.new_agent("uncounted"))

    assert run["status"] == "success"


async def test_skills_are_unpacked_and_named_in_the_prompt(owner: Api, fake: FakeModel) -> None:
    tone = f"{owner.scope}/tone"
    await owner.upload(skill_archive(skill_manifest(tone)))
    path = f".pi/skills/{tone}/SKILL.md"
    look = {"read": {"path": path}, "bash": {"command": f"cat .pi/skills/{tone}/references/*"}}
    name = fake.script("skilled", Say("", look), Say("Read."))
    await owner.new_model(fake, name)
    agent = await owner.new_agent("skilled", dependencies={"skills": {tone: "^1.0.0"}})
    run = await owner.finished(agent)
    assert run["status"] == "success", run
    first, last = (json.dumps(fake.requests_of(name)[n]) for n in (0, -1))

    assert path in first
    assert json.dumps(SKILL)[1:40] in last
    assert "short" in last


@pytest.mark.parametrize(
    ("wanted", "status", "code"),
    [("@nobody/nothing", 400, "missing_skill"), ("tone", 422, "dependency_unresolved")],
)
async def test_a_missing_skill_is_told_before_anything_runs(
    owner: Api, wanted: str, status: int, code: str
) -> None:
    if wanted == "tone":
        wanted = f"{owner.scope}/tone"
        await owner.upload(skill_archive(skill_manifest(wanted)))
    agent = await owner.new_agent("needy", dependencies={"skills": {wanted: "^2.0.0"}})
    answer = await owner.launch(agent, {"modelId": "demo"})

    assert (answer.status, answer.code) == (status, code)
    assert wanted in answer.json["detail"]
    assert (await owner.get("/api/runs")).json["total"] == 0


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "input.topic"),
        ({"topic": ""}, "input.topic"),
        ({"topic": "x", "pages": 11}, "input.pages"),
        ({"topic": "x", "pages": "many"}, "input.pages"),
        ({"topic": "x", "colour": "red"}, "input.colour"),
    ],
)
async def test_input_that_does_not_fit_is_refused_by_field(
    owner: Api, given: dict[str, Any], field: str
) -> None:
    agent = await owner.new_agent("typed", **TYPED)
    answer = await owner.launch(agent, {"input": given, "modelId": "demo"})

    assert (answer.status, answer.code) == (400, "validation_failed")
    assert answer.fields == {field: "invalid_input"}


async def test_a_launch_that_cannot_be_is_refused_with_what_to_do(
    owner: Api, fake: FakeModel
) -> None:
    agent = await owner.new_agent("idle")
    no_model = await owner.launch(agent)
    unknown_model = await owner.launch(agent, {"modelId": "gone"})
    unknown_field = await owner.launch(agent, {"modelId": "demo", "colour": "red"})
    unknown_agent = await owner.launch(f"{owner.scope}/nobody", {"modelId": "demo"})
    broken = await owner.request("POST", f"/api/agents/{agent}/run", data=b"{")
    unfit = await owner.launch(agent, {"modelId": "demo"}, "?version=9.9.9")
    fake.script("unused", Say())

    assert (no_model.status, no_model.code) == (400, "model_not_configured")
    assert "demo" in no_model.json["detail"]
    assert unknown_model.status == 404
    assert (unknown_field.status, unknown_field.fields) == (400, {"colour": "unknown_field"})
    assert (unknown_agent.status, unknown_agent.code) == (404, "agent_not_found")
    assert (broken.status, broken.code) == (400, "invalid_request")
    assert unfit.status == 404


async def test_an_output_that_does_not_fit_goes_back_to_the_model(
    owner: Api, fake: FakeModel
) -> None:
    name = fake.script("mending", Say("", {"output": {"data": {"score": "high"}}}), DELIVER)
    await owner.new_model(fake, name)
    run = await owner.finished(await owner.new_agent("mending", **TYPED), {"input": {"topic": "x"}})
    told = json.dumps(fake.requests_of(name)[1]["messages"][-1])

    assert run["status"] == "success"
    assert "does not fit its schema" in told
    assert "summary" in told


async def test_a_missing_output_is_asked_for_once_and_then_fails_the_run(
    owner: Api, fake: FakeModel
) -> None:
    name = fake.script("silent", Say("I am done."))
    await owner.new_model(fake, name)
    run = await owner.finished(await owner.new_agent("silent", **TYPED), {"input": {"topic": "x"}})

    assert len(fake.requests_of(name)) == 2
    assert run["status"] == "failed"
    assert "without calling the output tool" in run["error"]
    assert "summary" in run["error"]
    events = [line["event"] for line in await owner.logs(run["id"])]
    assert "output_validation" in events


@pytest.mark.parametrize(
    ("step", "words", "requests"),
    [
        (Fail(401, "bad key"), "401: bad key", 1),
        (Fail(404, "no such model"), "404: no such model", 1),
        (Fail(400, "max_tokens is too large"), "400: max_tokens is too large", 1),
    ],
)
async def test_a_provider_that_fails_fails_the_run_and_says_how(
    owner: Api, fake: FakeModel, step: Step, words: str, requests: int
) -> None:
    name = fake.script(f"failing-{words}", step)
    await owner.new_model(fake, name)
    run = await owner.finished(await owner.new_agent("failing"))

    assert run["status"] == "failed"
    assert words in run["error"]
    assert len(fake.requests_of(name)) == requests


async def test_a_busy_provider_is_asked_again(owner: Api, fake: FakeModel) -> None:
    name = fake.script(
        "busy", Fail(429, "slow down", {"Retry-After": "0.1"}), Fail(503), Say("At last.")
    )
    await owner.new_model(fake, name)
    run = await owner.finished(await owner.new_agent("busy"))

    assert run["status"] == "success"
    assert len(fake.requests_of(name)) == 3


async def test_a_run_is_cancelled_with_everything_it_started(
    owner: Api, fake: FakeModel, running_commands: Callable[[str], int]
) -> None:
    mark = f"appstrate-test-{owner.org['slug']}"
    sleeper = f"bash -c 'exec -a {mark} sleep 600'"
    command = f"setsid {sleeper} & env -i setsid -f {sleeper}; sleep 0.2"
    name = fake.script("daemons", Say("", {"bash": {"command": command}}), Hang())
    await owner.new_model(fake, name)
    run = (await owner.launch(await owner.new_agent("daemons"))).json["id"]
    await eventually(lambda: len(fake.requests_of(name)) == 2)
    assert running_commands(mark) == 2
    answer = await owner.post(f"/api/runs/{run}/cancel")

    assert answer.status == 200
    assert (answer.json["status"], answer.json["error"]) == ("cancelled", "Cancelled by user")
    assert running_commands(mark) == 0
    again = await owner.post(f"/api/runs/{run}/cancel")
    assert (again.status, again.code) == (409, "not_cancellable")


async def test_a_daemon_does_not_outlive_a_run_that_ends_by_itself(
    owner: Api, fake: FakeModel, running_commands: Callable[[str], int]
) -> None:
    mark = f"appstrate-left-{owner.org['slug']}"
    leave = f"env -i setsid -f bash -c 'exec -a {mark} sleep 600'; sleep 0.2"
    name = fake.script("leaver", Say("", {"bash": {"command": leave}}), Say("Bye."))
    await owner.new_model(fake, name)
    alive: list[int] = []
    fake.on_request = lambda _: alive.append(running_commands(mark))
    run = await owner.finished(await owner.new_agent("leaver"))
    fake.on_request = None

    assert run["status"] == "success"
    assert alive == [0, 1]
    await eventually(lambda: not running_commands(mark))


async def test_a_run_out_of_time_is_a_timeout_and_keeps_its_output(
    owner: Api, fake: FakeModel
) -> None:
    name = fake.script("slow", Say("Thinking…", {"bash": {"command": "sleep 600"}}))
    await owner.new_model(fake, name)
    run = await owner.finished(await owner.new_agent("slow", timeout=1.0))

    assert run["status"] == "timeout"
    assert run["error"] == "Run timed out after 1s"
    assert run["token_usage"]["output_tokens"] == 7
    assert 900 < run["duration"] < 5000


async def test_an_agent_that_dies_fails_the_run(owner: Api, fake: FakeModel) -> None:
    kill = "kill -9 $PPID"
    await owner.new_model(fake, fake.script("dying", Say("", {"bash": {"command": kill}})))
    run = await owner.finished(await owner.new_agent("dying"))

    assert run["status"] == "failed"
    assert "was killed by SIGKILL" in run["error"]


async def test_the_first_output_that_fits_is_the_end_of_everything(
    owner: Api, fake: FakeModel
) -> None:
    """Calls before it are finished, calls after it are never made."""
    bad, good = {"data": {"score": "?"}}, {"data": {"summary": "fits", "score": 1}}
    calls: list[tuple[str, Any]] = [("bash", {"command": "sleep 0.2; echo early"})]
    calls += [("output", bad), ("output", good)]
    calls += [("output", {"data": {"summary": "late"}}), ("bash", {"command": "sleep 60"})]
    name = fake.script("eager", Say("", calls))
    await owner.new_model(fake, name)
    agent = await owner.new_agent("eager", **TYPED)
    run = await owner.finished(agent, {"input": {"topic": "x"}})
    lines = await owner.logs(run["id"])
    results = [line["data"]["result"] for line in lines if "result" in (line["data"] or {})]

    assert (run["status"], run["result"]) == ("success", {"output": good["data"]})
    assert len([line for line in lines if line["event"] == "output"]) == 1
    assert [result[:6] for result in results] == ["early", "The ou", "Output"]
    assert len(fake.requests_of(name)) == 1


async def test_integrations_are_left_out_and_the_run_says_so(owner: Api) -> None:
    agent = await owner.new_agent(
        "connected", dependencies={"integrations": {"@acme/mail": "^1.0.0"}}
    )
    run = await owner.finished(agent, {"modelId": "demo"})
    [line] = [x for x in await owner.logs(run["id"]) if x["event"] == "integration_dropped"]

    assert run["status"] == "success"
    assert (line["type"], line["level"]) == ("system", "warn")
    assert line["data"]["integrationId"] == "@acme/mail"


async def test_a_whole_body_with_nothing_new_in_it_is_taken(owner: Api) -> None:
    agent = await owner.new_agent("plain")
    neutral: dict[str, Any] = {
        "input": {},
        "modelId": "demo",
        "rerun_from": None,
        "generation": {},
        "proxyId": "none",
        "connection_overrides": {},
        "dependency_overrides": {},
    }
    taken = await owner.launch(agent, neutral)
    refused = await owner.launch(agent, neutral | {"generation": {"heat": 1}})

    assert taken.status == 201
    assert (refused.status, refused.fields) == (400, {"generation.heat": "unknown_field"})


async def test_whatever_a_model_writes_its_run_goes_on(owner: Api, fake: FakeModel) -> None:
    name = fake.script(
        "odd",
        Say("Half-\ud83d-pair.", {"bash": {"command": "echo \0"}, "read": {"path": "\ud83d"}}),
        Say(
            "",
            {"log": {"level": "info", "message": "\0 and \ud83d"}, "nothing\ude00": {"a": 10**400}},
        ),
        Say("", {"output": {"data": {"summary": "\0 and \ud83d", "score": float("nan")}}}),
        Say("", {"output": {"data": {"summary": "\0 and \ud83d"}}}),
    )
    await owner.new_model(fake, name)
    run = await owner.finished(await owner.new_agent("odd", **TYPED), {"input": {"topic": "x"}})
    told = {line["message"] for line in await owner.logs(run["id"])}

    assert run["status"] == "success", run
    assert run["result"] == {"output": {"summary": "\ufffd and \ufffd"}}
    assert {"Half-\ufffd-pair.", "\ufffd and \ufffd", "Tool error: bash"} <= told


async def test_a_run_that_cannot_start_now_is_taken_and_started_later(
    owner: Api, server: Server
) -> None:
    agent = await owner.new_agent("later")
    supervisor = server.at.run_supervisor
    actor: Any = supervisor._actor
    supervisor.unbind(State.UNAVAILABLE)
    try:
        launched = await owner.launch(agent, {"modelId": "demo"})
    finally:
        supervisor.bind(actor)
    waiting = await owner.get(f"/api/runs/{launched.json['id']}")

    assert (launched.status, waiting.json["status"]) == (201, "pending")
    assert (await owner.wait(launched.json["id"]))["status"] == "success"


async def test_many_runs_at_once_all_end(owner: Api) -> None:
    agent = await owner.new_agent("many")
    runs = await asyncio.gather(*(owner.launch(agent, {"modelId": "demo"}) for _ in range(12)))
    ended = [await owner.wait(r.json["id"]) for r in runs]

    assert {r["status"] for r in ended} == {"success"}
    assert sorted(r["runNumber"] for r in ended) == list(range(1, 13))
