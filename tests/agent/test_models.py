"""The agent's side of a model API, against a real server over both wire formats."""

import json
from typing import Any
from uuid import uuid4

import pytest

from appstrate.agent.models.client import Model
from appstrate.agent.models.errors import ModelError
from appstrate.agent.models.turn import Json, Result, Tool, read_arguments
from appstrate.agent.settings import Settings, read_settings
from support.assignments import assignment
from support.fake_model import Fail, FakeModel, Raw, Say, Step

pytestmark = pytest.mark.usefixtures("impatient")

APIS = ("openai-completions", "anthropic-messages")


def settings_for(fake: FakeModel, api: str, model: str, **variables: str) -> Settings:
    base = fake.url + ("/v1" if api == "openai-completions" else "")
    return read_settings(
        assignment(MODEL_API=api, MODEL_ID=model, MODEL_BASE_URL=base, **variables)
    )


async def nothing(_: dict[str, Any]) -> str:
    return ""


TOOL = Tool("look", "Look at it", {"type": "object", "properties": {}}, nothing)


@pytest.mark.parametrize("api", APIS)
async def test_a_turn_has_its_text_its_calls_and_its_tokens(fake: FakeModel, api: str) -> None:
    name = fake.script(f"turn-{api}", Say("I look now.", {"look": {"at": "ü"}, "again": {}}))
    model = Model(settings_for(fake, api, name), lambda *_: None)
    turn = await model.turn("Be good.", model.wire.user("Begin."), [TOOL])

    assert turn.text == "I look now." if api == APIS[1] else "Ilooknow."
    assert [(c.name, json.loads(c.arguments)) for c in turn.calls] == [
        ("look", {"at": "ü"}),
        ("again", {}),
    ]
    assert (turn.tokens.input, turn.tokens.output) == (60, 7)
    assert turn.tokens.cache_read == 40


@pytest.mark.parametrize("api", APIS)
async def test_a_conversation_goes_back_as_the_provider_wants_it(fake: FakeModel, api: str) -> None:
    name = fake.script(f"talk-{api}", Say("", {"look": {"at": "it"}}), Say("Seen."))
    model = Model(settings_for(fake, api, name), lambda *_: None)
    history = model.wire.user("Begin.")
    turn = await model.turn("Be good.", history, [TOOL])
    history += model.wire.assistant(turn)
    history += model.wire.results([Result(turn.calls[0], "a cat", failed=False)])
    last = await model.turn("Be good.", history, [TOOL])
    sent = fake.requests_of(name)[1]["messages"]

    assert last.calls == []
    if api == "openai-completions":
        assert sent[0] == {"role": "system", "content": "Be good."}
        assert sent[2]["tool_calls"][0]["function"] == {
            "name": "look",
            "arguments": '{"at": "it"}',
        }
        assert sent[3] == {"role": "tool", "tool_call_id": "c0", "content": "a cat"}
    else:
        assert sent[1]["content"][0]["input"] == {"at": "it"}
        result = sent[2]["content"][0]
        assert (result["type"], result["tool_use_id"]) == ("tool_result", "t_look")


@pytest.mark.parametrize("api", APIS)
async def test_what_may_pass_is_tried_again(fake: FakeModel, api: str) -> None:
    steps: list[Step] = [
        Fail(429, "slow", {"Retry-After": "0.01"}),
        Fail(500),
        Raw(b"data: {}\n\n"),
        Raw(b"data: {}", abort=True),
        Say("At last"),
    ]
    told: list[str] = []
    name = fake.script(f"retry-{api}", *steps)
    model = Model(settings_for(fake, api, name), lambda why, _: told.append(why))
    turn = await model.turn("s", model.wire.user("b"), [])

    assert turn.text.replace(" ", "") == "Atlast"
    assert len(told) == 4
    assert "429: slow; trying again in 0.0 s" in told[0]


@pytest.mark.parametrize(
    ("step", "status", "words", "requests"),
    [
        (Fail(401, "bad key"), 401, "401: bad key", 1),
        (Fail(404, "no model"), 404, "404: no model", 1),
        (Fail(503, "down"), 503, "503: down", 5),
        (Raw(b"data: garbage\n\n"), 0, "garbage", 5),
        (Raw(b"data: [1]\n\n"), 0, "garbage", 5),
        (Raw(b'data: {"choices": 3}\n\n'), 0, "no answer", 5),
        (Raw(b"data: [DONE]\n\n"), 0, "in the middle", 5),
        (Raw(b"", abort=True), 0, "", 5),
    ],
)
async def test_what_does_not_pass_is_told_apart(
    fake: FakeModel, step: Step, status: int, words: str, requests: int
) -> None:
    name = fake.script(f"fail-{uuid4()}", step)
    model = Model(settings_for(fake, APIS[0], name), lambda *_: None)
    with pytest.raises(ModelError) as caught:
        await model.turn("s", model.wire.user("b"), [])

    assert caught.value.status == status
    assert words in str(caught.value)
    assert len(fake.requests_of(name)) == requests


async def test_retries_can_be_turned_off(fake: FakeModel) -> None:
    name = fake.script("once", Fail(503))
    settings = settings_for(fake, APIS[0], name, MODEL_RETRY_ENABLED="false")
    with pytest.raises(ModelError):
        await Model(settings, lambda *_: None).turn("s", [], [])

    assert len(fake.requests_of(name)) == 1


async def test_an_error_inside_a_stream_is_an_error(fake: FakeModel) -> None:
    chat = Raw(b'data: {"error": {"message": "overloaded"}}\n\n')
    messages = Raw(
        b'data: {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}\n\n'
    )
    for api, step, words in ((APIS[0], chat, "overloaded"), (APIS[1], messages, "busy")):
        name = fake.script(f"inside-{api}", step)
        model = Model(settings_for(fake, api, name), lambda *_: None)
        with pytest.raises(ModelError, match=words):
            await model.turn("s", model.wire.user("b"), [])


async def test_limits_are_named_as_each_provider_names_them(fake: FakeModel) -> None:
    for provider, expected in (("openai", "max_completion_tokens"), ("groq", "max_tokens")):
        name = fake.script(f"limit-{provider}", Say("x"))
        settings = settings_for(fake, APIS[0], name, MODEL_PROVIDER=provider, MODEL_MAX_TOKENS="99")
        await Model(settings, lambda *_: None).turn("s", [], [])
        assert fake.requests_of(name)[0][expected] == 99
    name = fake.script("unlimited", Say("x"))
    await Model(settings_for(fake, APIS[0], name), lambda *_: None).turn("s", [], [])
    assert not {"max_tokens", "max_completion_tokens"} & set(fake.requests_of(name)[0])


@pytest.mark.parametrize("api", APIS)
async def test_an_answer_without_end_is_not_listened_to(
    fake: FakeModel, api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appstrate.agent.models.client.LARGEST_ANSWER", 1000)
    name = fake.script(f"endless-{api}", Say("x " * 1000))
    model = Model(settings_for(fake, api, name), lambda *_: None)
    with pytest.raises(ModelError, match="more than"):
        await model.turn("", model.wire.user("Begin."), [])

    assert len(fake.requests_of(name)) == 1


async def test_a_character_that_a_stream_cuts_in_two_is_one(fake: FakeModel) -> None:
    deltas: list[Json] = [{"content": "\ud83d"}, {"content": "\ude00 \ude00"}]
    chunks: list[Json] = [{"choices": [{"delta": delta}]} for delta in deltas]
    chunks.append({"choices": [{"delta": {}, "finish_reason": "stop"}]})
    stream = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)
    model = Model(settings_for(fake, APIS[0], fake.script("halves", Raw(stream))), lambda *_: None)

    assert (await model.turn("", [], [])).text == "\U0001f600 \ufffd"


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("{", "no JSON"),
        ("[]", "must be a JSON object"),
        ('{"a": NaN}', "no JSON"),
        ('{"a": 1e999}', "no JSON"),
        ('{"a": ' + "[" * 100 + "]" * 100 + "}", "more than 64 levels"),
        ("[" * 100_000, "more than 64 levels"),
        ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "more than 64 levels"),
    ],
)
def test_arguments_that_nobody_could_keep_are_refused(written: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_arguments(written)


def test_arguments_are_well_formed_text() -> None:
    assert read_arguments(r'{"a\ud83d": ["\ud83d\ude00", "\ude00", 1.5]}') == {
        "a\ufffd": ["\U0001f600", "\ufffd", 1.5]
    }
    assert read_arguments("") == {}
