"""What requests look like, per provider; and what is given up when a provider objects."""

import json
from typing import Any

import pytest

from appstrate.agent.models.client import Model
from appstrate.agent.models.errors import ModelError
from appstrate.agent.models.turn import Image, Json, Result, Tool
from appstrate.agent.settings import AssignmentError, Settings, read_settings
from support.assignments import assignment
from support.fake_model import Fail, FakeModel, Raw, Say, Step

pytestmark = pytest.mark.usefixtures("impatient")

RESPONSES = "openai-responses"
CHAT = "openai-completions"
MESSAGES = "anthropic-messages"
BASES = {CHAT: "/v1", RESPONSES: "/v1", "google-generative-ai": "/v1beta"}


async def nothing(_: dict[str, Any]) -> str:
    return ""


TOOL = Tool("look", "Look at it", {"type": "object", "properties": {}}, nothing)


def settings_for(fake: FakeModel, api: str, model: str, **variables: str) -> Settings:
    url = fake.url + BASES.get(api, "")
    return read_settings(assignment(MODEL_API=api, MODEL_ID=model, MODEL_BASE_URL=url, **variables))


async def talk(fake: FakeModel, api: str, name: str, *steps: Step, **variables: str) -> list[Json]:
    """Two turns with a call and a picture between them; the requests they made."""
    fake.script(name, *(steps or (Say("", {"look": {}}, thought="Hm"), Say("Seen."))))
    model = Model(settings_for(fake, api, name, **variables), lambda *_: None)
    history = model.wire.user("Begin.")
    turn = await model.turn("Be good.", history, [TOOL])
    history += model.wire.assistant(turn)
    picture = Image("image/png", "UE5H")
    history += model.wire.results([Result(c, "a cat", images=(picture,)) for c in turn.calls])
    await model.turn("Be good.", history, [TOOL])
    return fake.requests_of(name)


async def test_responses_carry_everything_and_store_nothing(fake: FakeModel) -> None:
    reasoning = {"MODEL_REASONING": "true", "MODEL_REASONING_LEVEL": "high"}
    first, second = await talk(fake, RESPONSES, "responses", MODEL_TEMPERATURE="0.5", **reasoning)

    assert first["instructions"] == "Be good."
    assert first["store"] is False
    assert first["reasoning"]["effort"] == "high"
    assert first["include"] == ["reasoning.encrypted_content"]
    assert "temperature" not in first
    assert first["tools"][0]["name"] == "look"
    thought, call, output = second["input"][1:]
    assert (thought["type"], thought["encrypted_content"]) == ("reasoning", "Hm")
    assert (call["type"], call["call_id"]) == ("function_call", "c0")
    assert (output["type"], output["call_id"]) == ("function_call_output", "c0")
    assert output["output"][1]["image_url"] == "data:image/png;base64,UE5H"


async def test_a_turn_of_responses_has_its_text_its_calls_and_its_tokens(fake: FakeModel) -> None:
    name = fake.script("responses-turn", Say("I look.", {"look": {"at": "ü"}}))
    model = Model(settings_for(fake, RESPONSES, name), lambda *_: None)
    turn = await model.turn("s", model.wire.user("b"), [])

    assert turn.text == "I look."
    assert json.loads(turn.calls[0].arguments) == {"at": "ü"}
    tokens = turn.tokens
    assert (tokens.input, tokens.cache_read, tokens.output) == (60, 40, 7)


@pytest.mark.parametrize(
    ("event", "status", "kind"),
    [
        ({"type": "error", "code": "rate_limit_exceeded", "message": "slow"}, 429, "rate"),
        (
            {
                "type": "response.failed",
                "response": {"error": {"code": "server_error", "message": "oh"}},
            },
            500,
            "server",
        ),
        (
            {
                "type": "response.incomplete",
                "response": {"incomplete_details": {"reason": "content_filter"}},
            },
            200,
            "refusal",
        ),
    ],
)
async def test_failures_of_responses_are_told_apart(
    fake: FakeModel, event: Json, status: int, kind: str
) -> None:
    name = fake.script(f"responses-{kind}", Raw(b"data: " + json.dumps(event).encode() + b"\n\n"))
    settings = settings_for(fake, RESPONSES, name, MODEL_RETRY_ENABLED="false")
    with pytest.raises(ModelError) as caught:
        await Model(settings, lambda *_: None).turn("s", [], [])

    assert (caught.value.status, caught.value.kind) == (status, kind)


async def test_thoughts_of_claude_go_back_signed_and_the_conversation_is_cached(
    fake: FakeModel,
) -> None:
    more = {"MODEL_REASONING": "true", "MODEL_MAX_TOKENS": "9000", "MODEL_TEMPERATURE": "0.5"}
    first, second = await talk(fake, MESSAGES, "thinking", **more)
    mark = {"type": "ephemeral"}

    assert first["thinking"] == {"type": "enabled", "budget_tokens": 4096}
    assert "temperature" not in first
    assert first["system"][0]["cache_control"] == mark
    assert first["messages"][0]["content"][-1]["cache_control"] == mark
    assert "cache_control" not in second["messages"][0]["content"]
    thought = second["messages"][1]["content"][0]
    assert thought == {"type": "thinking", "thinking": "Hm", "signature": "signed"}
    result = second["messages"][2]["content"][-1]
    assert result["cache_control"] == mark
    assert result["content"][1]["source"]["data"] == "UE5H"


@pytest.mark.parametrize(
    ("level", "most", "budget"),
    [
        ("minimal", 9_000, 1024),
        ("xhigh", 64_000, 16_384),
        ("max", 64_000, 32_768),
        ("high", 4_096, 3_072),
        ("high", 2_000, None),
        ("off", 9_000, None),
    ],
)
async def test_a_budget_for_thinking_leaves_room_to_write(
    fake: FakeModel, level: str, most: int, budget: int | None
) -> None:
    name = fake.script(f"budget-{level}-{most}", Say("x"))
    levels = {"MODEL_REASONING": "true", "MODEL_REASONING_LEVEL": level}
    settings = settings_for(fake, MESSAGES, name, MODEL_MAX_TOKENS=str(most), **levels)
    await Model(settings, lambda *_: None).turn("s", [], [])

    assert fake.requests_of(name)[0].get("thinking", {}).get("budget_tokens") == budget


@pytest.mark.parametrize(
    ("api", "provider", "level", "expected"),
    [
        (CHAT, "openai", "high", {"reasoning_effort": "high"}),
        (CHAT, "groq", "", {"reasoning_effort": "medium"}),
        (CHAT, "openrouter", "low", {"reasoning": {"effort": "low"}}),
        (CHAT, "deepseek", "low", {"thinking": {"type": "enabled"}}),
        (CHAT, "openai", "off", {}),
        ("google-generative-ai", "google", "low", {"reasoning_effort": "low"}),
    ],
)
async def test_the_amount_of_thinking_is_said_in_the_words_of_each_provider(
    fake: FakeModel, api: str, provider: str, level: str, expected: Json
) -> None:
    name = fake.script(f"effort-{provider}-{level}", Say("x"))
    reasoning = {"MODEL_REASONING": "true", "MODEL_REASONING_LEVEL": level}
    settings = settings_for(fake, api, name, MODEL_PROVIDER=provider, **reasoning)
    await Model(settings, lambda *_: None).turn("s", [], [])
    sent = fake.requests_of(name)[0]

    assert {
        k: v for k, v in sent.items() if k in ("reasoning_effort", "reasoning", "thinking")
    } == (expected)
    openai_thinks = provider == "openai" and bool(expected)
    assert sent["messages"][0]["role"] == ("developer" if openai_thinks else "system")


async def test_a_map_of_levels_is_obeyed(fake: FakeModel) -> None:
    name = fake.script("mapped", Say("x"))
    more = {
        "MODEL_REASONING": "true",
        "MODEL_REASONING_LEVEL": "max",
        "MODEL_REASONING_LEVEL_MAP": '{"max": "xhigh"}',
    }
    await Model(settings_for(fake, CHAT, name, **more), lambda *_: None).turn("s", [], [])

    assert fake.requests_of(name)[0]["reasoning_effort"] == "xhigh"


async def test_a_picture_of_a_tool_follows_the_results_in_chat(fake: FakeModel) -> None:
    _, second = await talk(fake, CHAT, "picture", MODEL_PROVIDER="deepseek")

    assert second["messages"][2]["reasoning_content"] == "Hm"
    assert second["messages"][3] == {"role": "tool", "tool_call_id": "c0", "content": "a cat"}
    assert second["messages"][4]["content"][1]["image_url"]["url"].endswith("UE5H")


async def test_mistral_gets_an_answer_after_results_and_no_option_it_refuses(
    fake: FakeModel,
) -> None:
    name = "mistral-large"
    first, second = await talk(fake, "mistral-conversations", name, MODEL_REASONING="true")

    assert not {"stream_options", "reasoning_effort"} & set(first)
    roles = [message["role"] for message in second["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "assistant", "user"]


@pytest.mark.parametrize(
    ("said", "provider", "lost"),
    [
        ("Unrecognized request argument: stream_options", "groq", "stream_options"),
        ("temperature is not supported with this model", "groq", "temperature"),
        ("reasoning_effort: extra inputs are not permitted", "groq", "reasoning_effort"),
        (
            "Unsupported parameter: 'max_tokens', use 'max_completion_tokens' instead",
            "groq",
            "max_tokens",
        ),
    ],
)
async def test_what_a_provider_objects_to_is_left_out(
    fake: FakeModel, said: str, provider: str, lost: str
) -> None:
    name = fake.script(f"objects-{lost}", Fail(400, said), Say("Fine."))
    more = {"MODEL_TEMPERATURE": "0.2", "MODEL_MAX_TOKENS": "99", "MODEL_REASONING": "true"}
    settings = settings_for(fake, CHAT, name, MODEL_PROVIDER=provider, **more)
    told: list[str] = []
    model = Model(settings, lambda why, _: told.append(why))
    turn = await model.turn("s", [], [])
    first, second = fake.requests_of(name)

    assert turn.text == "Fine."
    assert set(first) - set(second) == {lost}
    assert f"asking again without {lost}" in told[0]
    assert lost != "max_tokens" or second["max_completion_tokens"] == 99


async def test_claude_without_budgets_is_asked_for_an_effort(fake: FakeModel) -> None:
    said = "thinking.type.enabled is not supported for this model, use thinking.type.adaptive"
    name = fake.script("adaptive", Fail(400, said), Say("Fine."))
    settings = settings_for(fake, MESSAGES, name, MODEL_REASONING="true")
    await Model(settings, lambda *_: None).turn("s", [], [])
    second = fake.requests_of(name)[1]

    assert second["thinking"] == {"type": "adaptive"}
    assert second["output_config"] == {"effort": "medium"}


async def test_an_objection_that_nothing_helps_is_an_error(fake: FakeModel) -> None:
    name = fake.script("objects-always", Fail(400, "temperature and stream_options are odd"))
    settings = settings_for(fake, CHAT, name, MODEL_TEMPERATURE="0.2")
    with pytest.raises(ModelError, match="are odd"):
        await Model(settings, lambda *_: None).turn("s", [], [])

    assert len(fake.requests_of(name)) == 3


@pytest.mark.parametrize(
    "deltas",
    [
        # parallel calls under one number, told apart by their ids
        [
            {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "x", "arguments": "{}"}}]},
            {"tool_calls": [{"index": 0, "id": "b", "function": {"name": "y", "arguments": "{"}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]},
        ],
        # rightly numbered, and told by turns
        [
            {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "x", "arguments": "{"}}]},
            {"tool_calls": [{"index": 1, "id": "b", "function": {"name": "y", "arguments": "{"}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]},
            {"tool_calls": [{"index": 1, "function": {"arguments": "}"}}]},
        ],
        # no numbers, no ids, arguments as an object
        [
            {"tool_calls": [{"function": {"name": "x", "arguments": {}}}]},
            {"tool_calls": [{"function": {"name": "y", "arguments": {}}}]},
        ],
    ],
)
async def test_parallel_calls_are_told_apart(fake: FakeModel, deltas: list[Json]) -> None:
    chunks: list[Json] = [{"choices": [{"delta": delta}]} for delta in deltas]
    chunks.append({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]})
    stream = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)
    name = fake.script(f"parallel-{len(deltas)}", Raw(stream))
    turn = await Model(settings_for(fake, CHAT, name), lambda *_: None).turn("s", [], [])

    assert [(c.name, c.arguments) for c in turn.calls] == [("x", "{}"), ("y", "{}")]
    assert len({c.id for c in turn.calls}) == 2


@pytest.mark.parametrize(
    "api",
    [
        "openai-codex-responses",
        "google-vertex",
        "azure-openai-responses",
        "bedrock-converse-stream",
    ],
)
def test_kinds_that_are_not_spoken_are_refused_with_a_way_out(api: str) -> None:
    with pytest.raises(AssignmentError, match=f"MODEL_API {api} is not spoken here: reach"):
        read_settings(assignment(MODEL_API=api))
