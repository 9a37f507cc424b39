"""The port that keeps extensions alive, and tells how each of them is.

Implementation: InstalledExtensions (those that installed distributions bring).
"""

from abc import abstractmethod
from typing import Any, Literal, TypeAlias, assert_never

import msgspec

from actors.contract import spell
from actors.runtime import Actor, Request

Standing: TypeAlias = Literal[
    "starting",
    "running",
    "restarting",
    "crashed_too_often",
    "disabled",
    "load_error",
    "settings_error",
]


class ExtensionStatus(msgspec.Struct, frozen=True, kw_only=True, rename=spell):
    """How an extension is, and why.

    One that has crashed too often is tried again, after a growing wait; its reason is the last
    crash. `events` are the kinds it listens to, once it could be loaded.
    """

    name: str
    distribution: str
    status: Standing
    reason: str | None = None
    restarts: int = 0
    events: tuple[str, ...] = ()


class ListExtensions(Request["ExtensionHost", tuple[ExtensionStatus, ...]], frozen=True):
    """Every extension that was found, by name, also those that do not run."""


class ExtensionHost(Actor):
    """Keeps extensions alive. What one of them does ends neither the others nor this actor."""

    async def receive(self, message: ListExtensions) -> Any:
        match message:
            case ListExtensions():
                return self.statuses()
            case _:
                assert_never(message)

    @abstractmethod
    def statuses(self) -> tuple[ExtensionStatus, ...]: ...
