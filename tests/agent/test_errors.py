"""Every way a model API can fail is told apart, and says what to do."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from appstrate.agent.models.client import Model
from appstrate.agent.models.errors import (
    ModelError,
    error_inside,
    kind_of,
    seconds_named,
    seconds_until,
)
from appstrate.agent.settings import Settings, read_settings
from support.assignments import assignment
from support.fake_model import Fail, FakeModel, Hang, Raw, Say, Step

pytestmark = pytest.mark.usefixtures("impatient")


def settings_for(fake: FakeModel, model: str, **variables: str) -> Settings:
    told = {"MODEL_ID": model, "MODEL_BASE_URL": f"{fake.url}/v1", "MODEL_PROVIDER": "groq"}
    return read_settings(assignment(**(told | variables)))


async def failure(settings: Settings) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await Model(settings, lambda *_: None).turn("s", [], [])
    return caught.value


@pytest.mark.parametrize(
    ("step", "kind", "words", "requests"),
    [
        (Fail(401, "wrong key"), "key", "wrong key. Check the key", 1),
        (Fail(403, "not for you"), "key", "Check the key", 1),
        (Fail(404, "no such model"), "model", "Check the model's id", 1),
        (Fail(402, "pay first"), "quota", "no credit or quota left", 1),
        (Fail(429, "You exceeded your current quota"), "quota", "no credit", 1),
        (Fail(400, "Your credit balance is too low"), "quota", "no credit", 1),
        (Fail(400, "API key not valid. Pass a valid one"), "key", "Check the key", 1),
        (Fail(400, "gpt-9 is not a valid model ID"), "model", "Check the model's id", 1),
        (Fail(429, "Exceeded your current quota. Retry in 2ms"), "rate", "limits how much", 5),
        (Fail(400, "messages: odd"), "request", "400: messages: odd", 1),
        (Fail(400, "prompt is too long: 9 tokens"), "overflow", "larger context window", 1),
        (Fail(413, "too large"), "overflow", "larger context window", 1),
        (Fail(429, "slow down", {"Retry-After": "0"}), "rate", "limits how much", 5),
        (Fail(529, "busy"), "overloaded", "is overloaded", 5),
        (Fail(500, "oops"), "server", "The provider failed", 5),
        (Raw(b"<html>hi</html>"), "garbage", "web page", 1),
        (Raw(b'{"choices": []}'), "garbage", "does not stream", 1),
        (Raw(b'{"error": {"message": "gone", "code": 404}}'), "model", "gone", 1),
        (
            Raw(b'data: {"choices": [{"delta": {}, "finish_reason": "content_filter"}]}\n\n'),
            "refusal",
            "content filter",
            1,
        ),
        (
            Raw(b'data: {"choices": [{"delta": {"refusal": "I cannot"}}]}\n\n'
                b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\n'),
            "refusal",
            "I cannot",
            1,
        ),
        (Raw(b'data: {"choices": []}\n\n', abort=True), "connection", "Check that the prov", 5),
    ],
)  # fmt: skip
async def test_each_failure_has_its_kind_and_says_what_to_do(
    fake: FakeModel, step: Step, kind: str, words: str, requests: int
) -> None:
    name = fake.script(f"kind-{uuid4()}", step)
    error = await failure(settings_for(fake, name))

    assert error.kind == kind
    assert words in str(error)
    assert str(error).startswith(f"groq/{name}: ")
    assert len(fake.requests_of(name)) == requests


async def test_a_provider_that_falls_silent_is_left(
    fake: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appstrate.agent.models.client.IDLE_SECONDS", 0.05)
    name = fake.script("silent", Hang())
    error = await failure(settings_for(fake, name))

    assert "sent nothing for 0.05 s" in str(error)
    assert len(fake.requests_of(name)) == 5


async def test_a_proxy_that_is_away_for_a_while_costs_no_attempt(
    fake: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appstrate.agent.models.client.AWAY_WAIT", 0.001)
    name = fake.script("back again", Say("Here."))
    away = settings_for(fake, name, MODEL_BASE_URL="http://127.0.0.1:9/v1")
    told: list[str] = []
    model = Model(away, lambda why, _: told.append(why))
    there = Model(settings_for(fake, name), lambda *_: None)

    def come_back(why: str, _: object) -> None:
        told.append(why)
        if len(told) == 20:
            model._connection = there._connection

    model._on_retry = come_back
    turn = await model.turn("s", [], [])

    assert turn.text == "Here."
    assert len(told) == 20
    monkeypatch.setattr("appstrate.agent.models.client.AWAY_SECONDS", 0.0)
    assert "cannot connect" in str(await failure(away))


def test_waits_are_told_in_seconds_or_as_a_date() -> None:
    now = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)

    assert seconds_until("2.5") == 2.5
    assert seconds_until("-3") == 0
    assert seconds_until("Thu, 01 Jan 2026 12:00:30 GMT", now) == 30
    assert seconds_until("Thu, 01 Jan 2026 11:00:00 GMT", now) == 0
    assert seconds_until("soon") is None
    assert seconds_until("") is None
    assert seconds_named("Please retry in 17.5s.") == 17.5
    assert seconds_named("Rate limit: try again in 250ms") == 0.25
    assert seconds_named("try again in 1.2.3s") is None
    assert seconds_named("try again later") is None


def test_no_wait_is_longer_than_a_minute() -> None:
    from appstrate.agent.models.client import _wait

    assert _wait(ModelError("x", 429, 7200.0), 0) == 60
    assert _wait(ModelError("x", 429, 0.0), 0) == 0


def test_errors_inside_documents_keep_their_meaning() -> None:
    assert error_inside({"message": "m", "code": 502}).kind == "server"
    assert error_inside({"message": "m", "type": "overloaded_error"}).kind == "overloaded"
    assert error_inside({"message": "m", "code": "insufficient_quota"}).kind == "quota"
    assert error_inside("plain").kind == "server"
    assert kind_of(500, "the request exceeds the available context size") == "overflow"


async def test_an_answer_that_has_said_all_is_taken_though_its_end_never_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("appstrate.agent.models.client.LINGER_SECONDS", 0.05)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        said = b'{"choices": [{"delta": {"content": "All."}, "finish_reason": "stop"}]}'
        writer.write(b"data: " + said + b"\n\ndata: [DONE]\n\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    model = Model(read_settings(assignment(MODEL_BASE_URL=url)), lambda *_: None)
    turn = await asyncio.wait_for(model.turn("s", [], []), 10)
    server.close()

    assert turn.text == "All."
