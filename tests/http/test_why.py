"""A failed run explains itself."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from support.api import Api, new_owner
from support.fake_model import Fail, FakeModel, Hang, Raw, Say, Step
from support.packages import typed_agent_manifest
from support.postgres import Postgres, url_of
from support.processes import ServerProcess
from support.waiting import eventually

Json = dict[str, Any]
TYPED = {k: v for k, v in typed_agent_manifest().items() if k in ("output", "runtime_tools")}
KEY = "sk-real-abcdefghijklmnop"


async def why(owner: Api, run: str) -> Json:
    answer = await owner.get(f"/api/runs/{run}/why")
    assert answer.status == 200, answer.body
    return dict(answer.json)


async def failed(owner: Api, fake: FakeModel, *steps: Step, **fields: Any) -> Json:
    """What is told about a run whose model behaves as `steps` say."""
    name = fake.script(f"why-{owner.org['slug']}", *steps)
    await owner.new_model(fake, name)
    run = await owner.finished(await owner.new_agent("why", **fields))
    assert run["status"] != "success", run
    return await why(owner, run["id"])


@pytest.mark.parametrize(
    ("steps", "cause", "statuses"),
    [
        ([Fail(401, f"bad key {KEY}")], "credential_refused", [401]),
        ([Fail(404, "no such model")], "model_unknown", [404]),
        ([Fail(400, "context length exceeded")], "context_too_long", [400]),
        ([Fail(429, "insufficient_quota", {"Retry-After": "0.01"})], "quota_exhausted", None),
        ([Say("Hm."), Say("Hm.")], "output_missing", [200, 200]),
        (
            [Say("", {"output": {"data": {"score": "?"}}}), Say("I cannot.")],
            "output_missing",
            None,
        ),
    ],
)
async def test_a_model_that_fails_is_named_with_a_remedy(
    owner: Api, fake: FakeModel, steps: list[Step], cause: str, statuses: list[int] | None
) -> None:
    told = await failed(owner, fake, *steps, **TYPED)

    assert told["cause"] == cause, told
    assert told["remedy"]
    assert told["phase"] == "model"
    assert KEY not in json.dumps(told)
    if statuses is not None:
        assert [c["status"] for c in told["model_calls"]] == statuses
    assert [phase["name"] for phase in told["phases"] if phase["at"] is None] == ["output"]


async def test_each_model_request_is_told_with_its_time_and_tokens(
    owner: Api, fake: FakeModel
) -> None:
    name = fake.script("counted", Fail(503), Say("Here.", {"bash": {"command": "true"}}), Say("."))
    await owner.new_model(fake, name)
    run = await owner.finished(await owner.new_agent("counted"))
    told = await why(owner, run["id"])
    first, second, third = told["model_calls"]

    assert (told["cause"], told["status"]) == ("succeeded", "success")
    assert (first["status"], first["retry"], first["error"]) == (503, 0, "no")
    assert (second["status"], second["retry"], second["error"]) == (200, 1, None)
    assert (second["input_tokens"], second["output_tokens"]) == (100, 7)
    assert third["retry"] == 0
    assert all(call["duration"] >= 0 for call in told["model_calls"])


async def test_an_answer_that_breaks_off_is_told(owner: Api, fake: FakeModel) -> None:
    cut = Raw(b'data: {"choices": [{"delta": {"content": "Hal', abort=True)
    told = await failed(owner, fake, cut)

    assert told["cause"] == "answer_broken"
    assert "broke off" in told["model_calls"][-1]["error"]


@pytest.fixture
async def open_owner(tmp_path: Path, postgres: Postgres) -> AsyncIterator[Api]:
    """Somebody on a server without walls, where a tool can write to the program's own output."""
    database = url_of(await postgres.fresh_database())
    server = ServerProcess(tmp_path / "data", DATABASE_URL=database, RUN_SANDBOX="off")
    await server.start()
    yield await new_owner(server.url)
    await server.stop()


async def test_a_program_that_dies_leaves_its_last_words(open_owner: Api, fake: FakeModel) -> None:
    """Its last 200 lines, without the secrets in them."""
    words = f"for i in $(seq 300); do echo line $i; done > /proc/$PPID/fd/2; echo {KEY}"
    kill = f"{words} > /proc/$PPID/fd/2; kill -9 $PPID"
    told = await failed(open_owner, fake, Say("", {"bash": {"command": kill}}))

    assert told["cause"] == "killed"
    assert (told["exit"]["code"], told["exit"]["signal"]) == (None, 9)
    assert told["exit"]["out_of_memory"] is False
    assert len(told["output"]) == 200
    assert told["output"][-2:] == ["line 300", "[secret]"]
    assert any("was killed by SIGKILL" in moment["text"] for moment in told["timeline"])


async def test_a_model_that_never_answers_is_what_the_time_was_lost_with(
    owner: Api, fake: FakeModel
) -> None:
    told = await failed(owner, fake, Hang(), timeout=1)

    assert told["status"] == "timeout"
    assert told["cause"] == "timeout_waiting_for_model"
    [call] = told["model_calls"]
    assert call["status"] is None
    await eventually_ended(owner, told["runId"])


async def eventually_ended(owner: Api, run: str) -> None:
    """The proxy lets go of the provider when the run is gone."""
    async with asyncio.timeout(10):
        while not (await why(owner, run))["model_calls"][0]["duration"]:
            pass  # asking takes its time


async def test_a_run_is_explained_to_those_who_may_see_it(owner: Api, server: Any) -> None:
    run = await owner.finished(await owner.new_agent("mine"), {"modelId": "demo"})
    told = await why(owner, run["id"])
    stranger = await (await new_owner(server.url)).get(f"/api/runs/{run['id']}/why")
    narrow = await owner.with_key(scopes=["agents:read"])
    refused = await narrow.get(f"/api/runs/{run['id']}/why")

    assert told["runId"] == run["id"]
    assert [c["status"] for c in told["model_calls"]] == [200]
    assert stranger.status == 404
    assert refused.status == 403


async def test_what_was_known_survives_the_server(tmp_path: Path, fake: FakeModel) -> None:
    server = ServerProcess(tmp_path / "data")
    await server.start()
    owner = await new_owner(server.url)
    name = fake.script("survivor", Say("", {"bash": {"command": "echo hi"}}), Hang())
    await owner.new_model(fake, name)
    run = (await owner.launch(await owner.new_agent("survivor"))).json["id"]
    await eventually(lambda: len(fake.requests_of(name)) == 2)
    await server.kill()
    await server.start()
    owner.url = server.url
    told = await why(owner, run)
    await server.stop()

    assert (told["status"], told["cause"]) == ("failed", "server_stopped")
    assert told["phase"] == "model"
    assert [call["status"] for call in told["model_calls"]] == [200, None]
    assert told["model_calls"][1]["duration"] is None
