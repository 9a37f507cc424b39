"""What a run does on its way, seen from outside: the whole path, from a launch to the log."""

import asyncio
import json
from typing import Any

import pytest

from support.api import Api
from support.fake_model import Fail, FakeModel, Raw, Say, Step
from support.waiting import eventually


async def test_notes_and_pins_are_taken_and_told(owner: Api, fake: FakeModel) -> None:
    keep = Say(
        "",
        {
            "note": {"content": "Ada likes tea", "scope": "shared"},
            "pin": {"key": "checkpoint", "content": {"page": 3}},
        },
    )
    wrong = Say("", {"note": {"content": "x", "scope": "world"}, "pin": {"key": "No"}})
    name = fake.script("keeping", keep, wrong, Say("Done."))
    await owner.new_model(fake, name)
    agent = await owner.new_agent("keeping", runtime_tools=["note", "pin"])
    run = await owner.finished(agent)
    first, second, third = (json.dumps(r["messages"]) for r in fake.requests_of(name))

    assert run["status"] == "success", run
    assert "Note saved" in second
    assert 'Pinned slot \\"checkpoint\\" updated' in second
    assert "Note saved" not in first
    assert "scope must be one of actor, shared" in third
    assert "key must be 1 to 64" in third


async def test_a_long_run_is_compacted_and_its_tokens_count(owner: Api, fake: FakeModel) -> None:
    look = Say("", {"bash": {"command": "seq 6000"}}, prompt_tokens=39_000)
    name = fake.script("long", *[look] * 3, Say("NOTES"), Say("Done."))
    await owner.new_model(fake, name, contextWindow=42_000, maxTokens=4_000)
    run = await owner.finished(await owner.new_agent("long"))
    lines = await owner.logs(run["id"])
    told = next(line for line in lines if (line["data"] or {}).get("event") == "compaction")

    assert run["status"] == "success", run
    assert told["message"].startswith("Context compacted — ")
    assert told["data"]["estimatedTokensAfter"] < told["data"]["tokensBefore"]
    assert run["token_usage"]["output_tokens"] == 7 * len(fake.requests_of(name))


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (Fail(401, "no such key"), "401: no such key. Check the key"),
        (Fail(404, "unknown model"), "404: unknown model. Check the model's id"),
        (Fail(402, "pay"), "no credit or quota left"),
        (Fail(400, "bad field"), "400: bad field"),
        (Raw(b"<html>Welcome</html>"), "answered with a web page"),
    ],
)
async def test_a_run_whose_model_fails_says_what_to_do(
    owner: Api, fake: FakeModel, step: Step, words: str
) -> None:
    name = fake.script(f"failing {words}", step)
    await owner.new_model(fake, name)
    run = await owner.finished(await owner.new_agent("failing"))
    lines = await owner.logs(run["id"])

    assert run["status"] == "failed"
    assert words in run["error"]
    assert f"openai-compatible/{name}" in run["error"]
    assert any(line["event"] == "adapter_error" and words in line["message"] for line in lines)


async def test_a_retry_is_told_while_it_waits(owner: Api, fake: FakeModel) -> None:
    name = fake.script("slow", Fail(429, "slow down", {"Retry-After": "0"}), Say("Done."))
    await owner.new_model(fake, name)
    run = await owner.finished(await owner.new_agent("slow"))
    lines = await owner.logs(run["id"])
    told: Any = next(line for line in lines if (line["data"] or {}).get("event") == "retry")

    assert run["status"] == "success"
    assert told["level"] == "warn"
    assert "429: slow down; trying again in 0.0 s" in told["message"]


async def test_what_was_done_outlives_the_failure_after_it(owner: Api, fake: FakeModel) -> None:
    name = fake.script("half", Say("", {"log": {"level": "info", "message": "half"}}), Fail(400))
    await owner.new_model(fake, name)
    run = await owner.finished(await owner.new_agent("half", runtime_tools=["log"]))

    assert run["status"] == "failed"
    assert run["token_usage"]["output_tokens"] == 7
    assert ("log", "half") in [(x["event"], x["message"]) for x in await owner.logs(run["id"])]


async def test_a_cancelled_run_ends_though_a_search_is_going_on(
    owner: Api, fake: FakeModel
) -> None:
    search = Say("", {"grep": {"pattern": "(a+)+$", "path": "f"}})
    prepare = Say("", {"write": {"path": "f", "content": "a" * 60 + "!"}})
    name = fake.script("searching", prepare, search)
    await owner.new_model(fake, name)
    launched = await owner.launch(await owner.new_agent("searching"))
    await eventually(lambda: len(fake.requests_of(name)) == 2)
    run = launched.json["id"]
    cancelled = await owner.post(f"/api/runs/{run}/cancel")
    ended = await asyncio.wait_for(owner.wait(run), 20)

    assert cancelled.status < 300
    assert ended["status"] == "cancelled"
