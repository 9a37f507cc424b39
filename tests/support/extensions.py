"""Extensions as strangers write them: good ones, and one for each way to be bad."""

import asyncio
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import ClassVar

import msgspec

from actors.extension import Extension, on
from actors.runtime import Event


class Rang(Event, frozen=True, kw_only=True):
    number: int


class Shouted(Event, frozen=True, kw_only=True):
    text: str


class Ear(Extension):
    """Remembers what it heard, over all its lives; gives up on number 13."""

    heard: ClassVar[list[Event]] = []
    lives: ClassVar[list[str]] = []

    async def open(self) -> None:
        self.lives.append("+")

    async def close(self) -> None:
        self.lives.append("-")

    @on(Rang)
    async def hear(self, event: Rang) -> None:
        if event.number == 13:
            raise ValueError("unlucky")
        self.heard.append(event)

    @on(Shouted, everywhere=True)
    async def hear_all(self, event: Shouted) -> None:
        self.heard.append(event)


class Other(Extension):
    heard: ClassVar[list[int]] = []

    @on(Rang)
    async def hear(self, event: Rang) -> None:
        self.heard.append(event.number)


class Fields(msgspec.Struct, frozen=True, kw_only=True):
    url: str
    times: int = 1
    loud: bool = False
    names: tuple[str, ...] = ()


class Told(Extension):
    Settings = Fields


class NeverOpens(Extension):
    async def open(self) -> None:
        raise OSError("the disk is on fire")


class Sleepy(Extension):
    async def open(self) -> None:
        await asyncio.Event().wait()


class NoExtension:
    pass


class Unset(Extension):
    Settings = None  # type: ignore[assignment] # as a stranger may write it


class Mixed(msgspec.Struct):
    path: Path | int | None = None  # no text can be told from the other


class Puzzled(Extension):
    Settings = Mixed


class Leaving(msgspec.Struct):
    path: str = "x"

    def __post_init__(self) -> None:
        raise SystemExit(self.path)


class Quits(Extension):
    Settings = Leaving


class OddError(BaseException):
    """Not an Exception: few nets hold it."""


class Odd(Extension):
    @on(Rang)
    async def hear(self, event: Rang) -> None:
        raise OddError(event.number)


def __getattr__(name: str) -> object:
    """What is raised when an extension of this name is loaded."""
    raise {"Interrupts": KeyboardInterrupt, "IsOdd": OddError}.get(name, AttributeError)(
        f"module has no attribute {name!r}"
    )


def entry(name: str, attribute: str) -> EntryPoint:
    """An entry point, as an installed distribution has it."""
    return EntryPoint(name, f"support.extensions:{attribute}", "appstrate.extensions")


class Ends(Extension):
    """Tries to take the server with it."""

    @on(Rang)
    async def hear(self, event: Rang) -> None:
        raise SystemExit(event.number)


class GivesUp(Extension):
    """Cancels itself, as careless code does."""

    @on(Rang)
    async def hear(self, event: Rang) -> None:
        raise asyncio.CancelledError
