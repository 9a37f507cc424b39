"""An actor whose handling is a script, to watch the runtime at work."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from actors.runtime import Actor, Lane, NotFound, Request, current_context


class Do(Request["Probe", Any], frozen=True, kw_only=True):
    """Run `work` inside the actor and answer with its result."""

    work: "Work"


class Quick(Request["Probe", str], frozen=True, kw_only=True):
    """Answered at once, in a lane of its own where there are lanes."""


class Stream(Request["Probe", Any], frozen=True, kw_only=True):
    """Like Do, as a streaming message."""

    streaming = True
    work: "Work"


class Probe(Actor):
    """Does what it is told, one thing at a time."""

    def __init__(self, life: list[str] | None = None) -> None:
        super().__init__()
        self.life = [] if life is None else life

    async def started(self) -> None:
        self.life.append("started")

    async def stopped(self) -> None:
        self.life.append("stopped")

    async def receive(self, message: Any) -> Any:
        if isinstance(message, Quick):
            return "quick"
        return await message.work(self)


class LaneProbe(Probe):
    """The same with two lanes: one narrow, one wide."""

    lanes = (Lane("slow", 2, (Do,), limit=3), Lane("rest", 32))


class SmallProbe(Probe):
    """A serial actor in whose inbox two messages may wait."""

    lanes = ()

    def __init__(self, life: list[str] | None = None) -> None:
        super().__init__(life)
        self.inbox.connect((Lane("serial", 1, limit=2),), self._serve_waiting, self._begin_stop)


Work = Callable[[Probe], Awaitable[Any]]


async def settle() -> None:
    """Let everything happen that is about to."""
    for _ in range(20):
        await asyncio.sleep(0)


def sleeping(seconds: float = 3600) -> Work:
    async def work(_: Probe) -> None:
        await asyncio.sleep(seconds)

    return work


def waiting_for(event: asyncio.Event, answer: object = None) -> Work:
    async def work(_: Probe) -> Any:
        await event.wait()
        return answer

    return work


async def fail(_: Probe) -> None:
    raise ZeroDivisionError("a bug")


async def refuse(_: Probe) -> None:
    raise NotFound("no such thing")


async def context(_: Probe) -> Any:
    return current_context.get()
