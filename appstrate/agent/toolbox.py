"""Carrying out what the model calls, and telling the platform of it."""

import asyncio
import time
from typing import Any

from appstrate.agent.models.turn import Call, Json, Result, Seen, Tool, ToolError, read_arguments
from appstrate.agent.report import shorten
from appstrate.agent.sink import Sink
from appstrate.agent.tools.runtime import Output


class Toolbox:
    """The tools of a run. `limit` is how many bytes of arguments and results the log takes."""

    def __init__(self, tools: list[Tool], output: Output | None, sink: Sink, limit: int) -> None:
        self.tools = tools + ([output.tool] if output else [])
        self.output = output
        self._sink = sink
        self._limit = limit

    @property
    def delivered(self) -> bool:
        """Whether the output has been taken: nothing is to happen after that."""
        return self.output is not None and self.output.delivered

    @property
    def data(self) -> Any:
        """The output, if there is one yet."""
        return self.output.data if self.output else None

    def reduce(self) -> None:
        """Leave only what a delivery needs."""
        self.tools = [tool for tool in self.tools if tool.name in ("output", "read")]

    async def act(self, calls: list[Call], *, cut: bool) -> list[Result]:
        """Run calls together, up to each `output`: the first that is taken is the end.

        `cut` tells that the model reached its output limit while it wrote them.
        """
        results: list[Result] = []
        waiting: list[Call] = []
        for call in calls:
            waiting.append(call)
            if call.name == "output":
                results += await self._all(waiting[:-1], cut=cut)
                results += await self._all([call], cut=cut)
                waiting = []
                if self.delivered:
                    return results
        return results + await self._all(waiting, cut=cut)

    async def _all(self, calls: list[Call], *, cut: bool) -> list[Result]:
        return list(await asyncio.gather(*(self._one(call, cut=cut) for call in calls)))

    async def _one(self, call: Call, *, cut: bool) -> Result:
        began = time.monotonic()
        arguments, problem = _read(call.arguments)
        if problem is not None and cut:
            problem = (
                f"your answer was cut off at its output limit, so {problem}. "
                "Call again with less: write long content in several pieces."
            )
        started = {"tool": call.name, "args": self._short(arguments), "toolCallId": call.id}
        self._sink.progress(f"Tool: {call.name}", started, "info")
        if problem is not None:
            result = Result(call, problem, failed=True)
        else:
            result = await self._perform(call, arguments)
        self._sink.progress(
            f"Tool {'error' if result.failed else 'result'}: {call.name}",
            {
                "tool": call.name,
                "result": self._short(result.text),
                "isError": result.failed,
                "toolCallId": call.id,
                "durationMs": int((time.monotonic() - began) * 1000),
            },
            "info",
        )
        return result

    async def _perform(self, call: Call, arguments: Json) -> Result:
        tool = next((tool for tool in self.tools if tool.name == call.name), None)
        if tool is None:
            known = ", ".join(tool.name for tool in self.tools)
            return Result(call, f"there is no tool {call.name!r}; there are: {known}", failed=True)
        try:
            answer = await tool.run(arguments)
        except ToolError as error:
            return Result(call, str(error), failed=True)
        except (OSError, ValueError) as error:
            return Result(call, f"{type(error).__name__}: {error}", failed=True)
        if isinstance(answer, Seen):
            return Result(call, answer.text, images=answer.images)
        return Result(call, answer)

    def _short(self, value: Any) -> Any:
        return shorten(value, self._limit)


def _read(written: str) -> tuple[Json, str | None]:
    try:
        return read_arguments(written), None
    except ValueError as error:
        return {}, str(error)
