"""The door to execution: what a backend offers, and what it promises about a run's end.

A *slot* is everything a run needs that does not depend on which run it is. It is made, assigned
once, watched, and stopped; nothing of it is used again. Implementations: LocalExecutor (a process
of this machine).
"""

import signal
from collections.abc import Mapping
from typing import Protocol

import msgspec


class Exit(msgspec.Struct, frozen=True, kw_only=True):
    """How a slot's program ended, and the last lines it wrote.

    Exactly one of `code` and `signal` is set; both are None when nobody could see it end.
    `out_of_memory` tells that it was ended because it had used up what it may use.
    """

    code: int | None = None
    signal: int | None = None
    out_of_memory: bool = False
    tail: list[str] = msgspec.field(default_factory=list[str])

    def describe(self) -> str:
        """One sentence for the run's error."""
        if self.signal is not None:
            how = f"was killed by {signal.Signals(self.signal).name}"
        elif self.code is not None:
            how = f"exited with code {self.code}"
        else:
            how = "vanished"
        said = "\n".join(self.tail[-5:])
        return f"Agent process {how}" + (f": {said}" if said else "")


class Slot(Protocol):
    """A place for one run."""

    name: str

    async def assign(self, environment: Mapping[str, str]) -> None:
        """Give the waiting program its run. Called once."""
        ...

    async def wait(self) -> Exit:
        """Wait for the program to end."""
        ...

    async def stop(self) -> None:
        """End the program and everything it started, and remove its workspace.

        Asks politely first and insists within 5 s. Idempotent; when it returns, nothing is left.
        """
        ...


class Executor(Protocol):
    """Makes slots."""

    async def make(self) -> Slot:
        """A slot whose program waits for its assignment."""
        ...

    async def sweep(self) -> int:
        """End what an earlier, killed life of this server left running; returns how many."""
        ...
