"""The loop: ask the model, run its calls, until it has delivered or has nothing more to do."""

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any

from appstrate.agent.models.client import Model
from appstrate.agent.models.turn import (
    Call,
    Json,
    ModelError,
    Result,
    Tokens,
    Tool,
    ToolError,
    Turn,
    read_arguments,
)
from appstrate.agent.settings import Settings
from appstrate.agent.sink import Sink
from appstrate.agent.tools.runtime import Output

BEGIN = "Begin now. Do what your instructions say, with the input they give."
REPROMPT = (
    "You ended without calling the tool `output`. Deliver the result now, from the work you have "
    "done, by calling `output`."
)
MOST_TURNS = 500


@dataclass(slots=True)
class Ending:
    """How the loop ended. Without an error the run was a success, as far as the loop can tell."""

    output: Any = None
    error: str | None = None
    tokens: Tokens = field(default_factory=Tokens)


class Loop:
    """One conversation with the model, and what it leads to."""

    def __init__(
        self, settings: Settings, sink: Sink, tools: list[Tool], output: Output | None
    ) -> None:
        self._settings = settings
        self._sink = sink
        self._output = output
        self._tools = tools + ([output.tool] if output else [])
        self._model = Model(settings, lambda why: sink.progress(why, {"event": "retry"}, "warn"))
        self._history: list[Json] = []
        self.tokens = Tokens()

    async def run(self) -> Ending:
        """Converse to the end. Only the last turn decides whether the run failed."""
        self._history += self._model.wire.user(BEGIN)
        reprompted = False
        try:
            for index in range(MOST_TURNS):
                turn = await self._turn(index)
                if turn.calls:
                    await self._act(turn)
                    if self._delivered:
                        return self._ending()
                elif self._output is None or reprompted:
                    return self._ending()
                else:
                    reprompted = True
                    self._sink.progress("output missing", {"event": "output_reprompt"}, "warn")
                    self._tools = [t for t in self._tools if t.name in ("output", "read")]
                    self._history += self._model.wire.user(REPROMPT)
        except ModelError as error:
            self._sink.emit("appstrate.error", {"message": str(error)})
            return Ending(error=str(error), output=self._data, tokens=self.tokens)
        return Ending(error=f"The agent did not end within {MOST_TURNS} turns", tokens=self.tokens)

    @property
    def _delivered(self) -> bool:
        return self._output is not None and self._output.delivered

    @property
    def _data(self) -> Any:
        return self._output.data if self._output else None

    def _ending(self) -> Ending:
        return Ending(output=self._data, tokens=self.tokens)

    async def _turn(self, index: int) -> Turn:
        began = time.monotonic()
        turn = await self._model.turn(self._settings.prompt, self._history, self._tools)
        self._history += self._model.wire.assistant(turn)
        self.tokens.add(turn.tokens)
        self._report(turn, index, int((time.monotonic() - began) * 1000))
        return turn

    def _report(self, turn: Turn, index: int, latency: int) -> None:
        if turn.tokens.any:
            self._sink.emit("appstrate.metric", metric(self.tokens, self._settings.model_cost))
            self._sink.progress(
                f"turn {index}",
                {
                    "event": "turn",
                    "index": index,
                    "latencyMs": latency,
                    "inputTokens": turn.tokens.input,
                    "outputTokens": turn.tokens.output,
                    "cacheReadTokens": turn.tokens.cache_read,
                    "cacheWriteTokens": turn.tokens.cache_write,
                    "contextTokens": turn.tokens.context,
                    "contextWindow": self._settings.model_context_window,
                },
            )
        if turn.text.strip():
            self._sink.progress(turn.text, {"event": "assistant_message"}, "info")

    async def _act(self, turn: Turn) -> None:
        """Run the calls of a turn together, up to each `output`: the first that fits is the end."""
        results: list[Result] = []
        waiting: list[Call] = []
        for call in turn.calls:
            waiting.append(call)
            if call.name == "output":
                results += await self._call_all(waiting[:-1]) + await self._call_all([call])
                waiting = []
                if self._delivered:
                    return
        results += await self._call_all(waiting)
        self._history += self._model.wire.results(results)

    async def _call_all(self, calls: list[Call]) -> list[Result]:
        return list(await asyncio.gather(*(self._call(call) for call in calls)))

    async def _call(self, call: Call) -> Result:
        began = time.monotonic()
        limit = self._settings.tool_result_limit
        arguments, problem = _arguments(call.arguments)
        started = {"tool": call.name, "args": shorten(arguments, limit), "toolCallId": call.id}
        self._sink.progress(f"Tool: {call.name}", started, "info")
        if problem is not None:
            result = Result(call, problem, failed=True)
        else:
            result = await self._perform(call, arguments)
        self._sink.progress(
            f"Tool {'error' if result.failed else 'result'}: {call.name}",
            {
                "tool": call.name,
                "result": shorten(result.text, limit),
                "isError": result.failed,
                "toolCallId": call.id,
                "durationMs": int((time.monotonic() - began) * 1000),
            },
            "info",
        )
        return result

    async def _perform(self, call: Call, arguments: Json) -> Result:
        tool = next((tool for tool in self._tools if tool.name == call.name), None)
        if tool is None:
            known = ", ".join(tool.name for tool in self._tools)
            return Result(call, f"there is no tool {call.name!r}; there are: {known}", failed=True)
        try:
            return Result(call, await tool.run(arguments))
        except ToolError as error:
            return Result(call, str(error), failed=True)
        except (OSError, ValueError) as error:
            return Result(call, f"{type(error).__name__}: {error}", failed=True)


def metric(tokens: Tokens, rates: dict[str, float]) -> Json:
    """Totals so far, as the platform counts them; the cost only where rates are known."""
    told: Json = {
        "usage": {
            "input_tokens": tokens.input,
            "output_tokens": tokens.output,
            "cache_creation_input_tokens": tokens.cache_write,
            "cache_read_input_tokens": tokens.cache_read,
        }
    }
    if rates:
        told["cost"] = (
            tokens.input * rates.get("input", 0)
            + tokens.output * rates.get("output", 0)
            + tokens.cache_read * rates.get("cacheRead", 0)
            + tokens.cache_write * rates.get("cacheWrite", 0)
        ) / 1_000_000
    return told


def shorten(value: Any, limit: int) -> Any:
    """A value for the log, where it may be cut; the model saw all of it."""
    if isinstance(value, str):
        encoded = value.encode(errors="replace")
        if len(encoded) <= limit:
            return value
        return encoded[:limit].decode(errors="ignore") + f"…(truncated, {len(encoded)} bytes)"
    text = json.dumps(value)
    if len(text) <= limit:
        return value
    return {
        "__truncated": True,
        "reason": "size",
        "bytes": len(text),
        "limit": limit,
        "preview": text[: min(512, limit)],
    }


def _arguments(written: str) -> tuple[Json, str | None]:
    try:
        return read_arguments(written), None
    except ValueError as error:
        return {}, str(error)
