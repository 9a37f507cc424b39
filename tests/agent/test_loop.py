"""What the loop does between a model and a sink; both are real, the platform is a list."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appstrate.agent.loop import Ending, Loop
from appstrate.agent.settings import read_settings
from appstrate.agent.sink import Sink
from appstrate.agent.toolbox import Toolbox
from appstrate.agent.tools.files import file_tools
from appstrate.agent.tools.runtime import Output
from appstrate.agent.tools.shell import shell_tool
from support.assignments import assignment
from support.fake_model import Fail, FakeModel, Raw, Say, Step

pytestmark = pytest.mark.usefixtures("impatient")

Json = dict[str, Any]
FORMATS = {
    "openai-completions": ("/v1", "messages"),
    "openai-responses": ("/v1", "input"),
    "anthropic-messages": ("", "messages"),
}
FORMAT = pytest.mark.parametrize("api", FORMATS)
LOOK = Say("", {"bash": {"command": "seq 4000"}})
DELIVER = Say("", {"output": {"data": {"n": 1}}})


class Listener(Sink):
    """A sink that keeps what it is given."""

    told: list[tuple[str, Json]]

    def emit(self, kind: str, data: Json) -> None:
        self.told.append((kind, data))

    def of(self, event: str) -> list[Json]:
        """The data of the progress events of one kind."""
        found = [told.get("data") or {} for _, told in self.told]
        return [data for data in found if data.get("event") == event]


Run = Callable[..., Any]


class Stage:
    """A loop with its surroundings."""

    def __init__(
        self, fake: FakeModel, workspace: Path, api: str, *steps: Step, **variables: str
    ) -> None:
        self.fake = fake
        self.name = fake.script(f"{api}-{workspace.name}", *steps)
        self.field = FORMATS[api][1]
        told = {"MODEL_API": api, "MODEL_ID": self.name, "WORKSPACE_DIR": str(workspace)}
        told |= {"MODEL_BASE_URL": fake.url + FORMATS[api][0]} | variables
        settings = read_settings(assignment(**told))
        self.sink = Listener(settings)
        self.sink.told = []
        output = Output(None, self.sink) if "output" in settings.runtime_tools else None
        tools = file_tools(workspace, sees="image" in settings.model_input)
        toolbox = Toolbox([*tools, shell_tool(workspace)], output, self.sink, 2048)
        self.loop = Loop(settings, self.sink, toolbox)

    async def run(self) -> Ending:
        return await self.loop.run()

    @property
    def requests(self) -> list[Json]:
        return self.fake.requests_of(self.name)

    def sent(self, index: int) -> str:
        """The conversation of a request, as text."""
        return json.dumps(self.requests[index][self.field])


@FORMAT
async def test_a_conversation_that_grows_too_long_is_summed_up(
    fake: FakeModel, tmp_path: Path, api: str
) -> None:
    full = Say("", {"bash": {"command": "seq 4000"}}, prompt_tokens=90_000)
    steps = [LOOK, LOOK, LOOK, LOOK, LOOK, full, Say("NOTES:4000-numbers."), Say("Done.")]
    more = {"MODEL_CONTEXT_WINDOW": "100000", "MODEL_MAX_TOKENS": "16000"}
    stage = Stage(fake, tmp_path, api, *steps, **more)
    ending = await stage.run()
    told = stage.sink.of("compaction")[0]

    assert ending.error is None
    assert len(stage.requests) == 8
    assert "Begin now" in stage.sent(6)
    assert not stage.requests[6].get("tools")
    last = stage.sent(7)
    assert "NOTES:4000-numbers." in last
    assert "Begin now" not in last
    _check_calls_have_results(api, stage.requests[7][stage.field])
    assert told["reason"] == "threshold"
    assert told["tokensBefore"] > 84_000 > told["estimatedTokensAfter"]
    assert (told["inputTokens"], told["outputTokens"]) == (60, 7)
    assert ending.tokens.output == 8 * 7
    metrics = [data for kind, data in stage.sink.told if kind == "appstrate.metric"]
    assert metrics[-1]["usage"]["output_tokens"] == 8 * 7


def _check_calls_have_results(api: str, history: list[Json]) -> None:
    if api == "openai-responses":
        calls = [i["call_id"] for i in history if i.get("type") == "function_call"]
        results = [i["call_id"] for i in history if i.get("type") == "function_call_output"]
    elif api == "openai-completions":
        calls = [c["id"] for m in history for c in m.get("tool_calls") or ()]
        results = [m["tool_call_id"] for m in history if m["role"] == "tool"]
    else:
        blocks = [b for m in history if isinstance(m["content"], list) for b in m["content"]]
        calls = [b["id"] for b in blocks if b["type"] == "tool_use"]
        results = [b["tool_use_id"] for b in blocks if b["type"] == "tool_result"]
    assert calls == results
    assert calls


@FORMAT
async def test_a_request_that_is_too_long_is_made_shorter_once(
    fake: FakeModel, tmp_path: Path, api: str
) -> None:
    too_long = Fail(400, "prompt is too long: 200001 tokens > 200000 maximum")
    stage = Stage(fake, tmp_path, api, LOOK, too_long, Say("Done."))
    ending = await stage.run()

    assert ending.error is None
    assert stage.sink.of("compaction")[0]["reason"] == "overflow"
    assert len(stage.sent(2)) < len(stage.sent(1)) / 2
    assert "characters left out" in stage.sent(2)


async def test_a_conversation_that_stays_too_long_fails_the_run(
    fake: FakeModel, tmp_path: Path
) -> None:
    too_long = Fail(400, "maximum context length is 10 tokens")
    stage = Stage(fake, tmp_path, "openai-completions", LOOK, too_long)
    ending = await stage.run()

    assert "longer than the model can read" in (ending.error or "")
    assert len(stage.requests) == 3
    assert stage.sink.told[-2][0] == "appstrate.error"


async def test_compaction_can_be_turned_off(fake: FakeModel, tmp_path: Path) -> None:
    full = Say("", {"bash": {"command": "seq 4000"}}, prompt_tokens=120_000)
    off = {"MODEL_COMPACTION_ENABLED": "false"}
    stage = Stage(fake, tmp_path, "openai-completions", full, full, full, Say("Done."), **off)

    assert (await stage.run()).error is None
    assert stage.sink.of("compaction") == []


@FORMAT
async def test_an_answer_that_is_cut_off_goes_on(fake: FakeModel, tmp_path: Path, api: str) -> None:
    stage = Stage(fake, tmp_path, api, Say("One, two", cut=True), Say("three."))
    ending = await stage.run()

    assert ending.error is None
    assert "cut off at its output limit" in stage.sent(1)
    assert len(stage.sink.of("output_limit")) == 1


async def test_answers_that_are_always_cut_off_are_a_failure(
    fake: FakeModel, tmp_path: Path
) -> None:
    stage = Stage(fake, tmp_path, "openai-completions", Say("One, two", cut=True))
    ending = await stage.run()

    assert "reached its output limit again and again" in (ending.error or "")
    assert len(stage.requests) == 4


async def test_a_call_that_is_cut_off_says_so(fake: FakeModel, tmp_path: Path) -> None:
    call = {"index": 0, "id": "c", "function": {"name": "write", "arguments": '{"path": "a'}}
    chunks: list[Json] = [
        {"choices": [{"delta": {"tool_calls": [call]}}]},
        {"choices": [{"delta": {}, "finish_reason": "length"}]},
    ]
    stream = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)
    stage = Stage(fake, tmp_path, "openai-completions", Raw(stream), Say("Done."))

    assert (await stage.run()).error is None
    assert "cut off at its output limit" in stage.sent(1)
    assert "write long content in several pieces" in stage.sent(1)


@FORMAT
async def test_a_missing_output_is_asked_for_once_with_what_delivers_it(
    fake: FakeModel, tmp_path: Path, api: str
) -> None:
    tools = {"RUNTIME_TOOLS_JSON": '["output"]'}
    stage = Stage(fake, tmp_path, api, Say("I am done."), DELIVER, **tools)
    ending = await stage.run()
    offered = json.dumps(stage.requests[1]["tools"])

    assert ending.output == {"n": 1}
    assert len(stage.sink.of("output_reprompt")) == 1
    assert len(stage.requests[1]["tools"]) == 2
    assert '"output"' in offered
    assert '"read"' in offered


async def test_nothing_happens_after_an_output(fake: FakeModel, tmp_path: Path) -> None:
    both = Say("", [("output", {"data": {"n": 1}}), ("bash", {"command": "touch late"})])
    tools = {"RUNTIME_TOOLS_JSON": '["output"]'}
    stage = Stage(fake, tmp_path, "openai-completions", both, **tools)

    assert (await stage.run()).output == {"n": 1}
    assert not (tmp_path / "late").exists()
    assert len(stage.requests) == 1


async def test_the_time_that_is_left_is_told_twice(
    fake: FakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurry = {"AGENT_TIMEOUT_SECONDS": "100"}
    step = Say("", {"bash": {"command": "true"}})
    stage = Stage(fake, tmp_path, "openai-completions", *[step] * 4, Say("Done."), **hurry)
    now = [0.0]

    def pass_time(_: Json) -> None:
        now[0] += 30.0

    monkeypatch.setattr("appstrate.agent.loop.time.monotonic", lambda: now[0])
    monkeypatch.setattr(fake, "on_request", pass_time)
    await stage.run()
    nudges = stage.sink.of("deadline_nudge")

    assert [(n["remainingSeconds"], n["fraction"]) for n in nudges] == [(10, 0.9)]
    assert "only 10 seconds are left" in stage.sent(3)


async def test_each_mark_of_the_time_is_told_once(
    fake: FakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurry = {"AGENT_TIMEOUT_SECONDS": "100"}
    step = Say("", {"bash": {"command": "true"}})
    stage = Stage(fake, tmp_path, "openai-completions", *[step] * 6, Say("Done."), **hurry)
    now = [0.0]

    def pass_time(_: Json) -> None:
        now[0] += 16.0

    monkeypatch.setattr("appstrate.agent.loop.time.monotonic", lambda: now[0])
    monkeypatch.setattr(fake, "on_request", pass_time)
    await stage.run()
    nudges = stage.sink.of("deadline_nudge")

    assert [(n["remainingSeconds"], n["fraction"]) for n in nudges] == [(20, 0.75), (4, 0.9)]
    assert stage.sent(6).count("Time check") == 2


@FORMAT
async def test_a_picture_is_shown_to_a_model_that_sees(
    fake: FakeModel, tmp_path: Path, api: str
) -> None:
    (tmp_path / "cat.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"cat")
    look = Say("", {"read": {"path": "cat.png"}})
    seeing = Stage(fake, tmp_path, api, look, Say("A."), MODEL_INPUT='["text", "image"]')
    await seeing.run()
    picture = base64.b64encode((tmp_path / "cat.png").read_bytes()).decode()

    assert picture in seeing.sent(1)
    blind = Stage(fake, tmp_path, api, look, Say("A."))
    await blind.run()
    assert "cannot see pictures" in blind.sent(len(blind.requests) - 1)


async def test_retries_are_told_with_their_data(fake: FakeModel, tmp_path: Path) -> None:
    stage = Stage(fake, tmp_path, "openai-completions", Fail(503), Say("Done."))
    await stage.run()
    told = stage.sink.of("retry")[0]

    assert (told["attempt"], told["status"]) == (1, 503)
    assert "waitMs" in told


async def test_a_tool_that_does_not_exist_is_told(fake: FakeModel, tmp_path: Path) -> None:
    stage = Stage(fake, tmp_path, "openai-completions", Say("", {"fly": {}}), Say("Done."))
    await stage.run()

    assert "there is no tool 'fly'" in stage.sent(1)
