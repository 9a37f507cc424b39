"""The only door to execution: slots, made beforehand or on demand, each used once.

A *slot* is everything a run needs that does not depend on which run it is: in process mode an
agent process that has imported its code and waits on a pipe. Starting one is most of what a run
costs before its first model request, so a few are kept warm.

The policy: `size` slots are made at the start. A taken slot is replaced when a run's program
exits, not when it is taken: at that moment the machine is busy starting a run. When nothing was
taken for a while the pool is filled up too, so that long runs do not leave it empty. Whoever finds
it empty gets a cold slot, made there and then; with `size` 0 everybody does. A warm slot whose
program dies is replaced, ever more slowly while that goes on.
"""

import signal
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias, assert_never

import msgspec

from actors.runtime import Actor, Request


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


class Wall(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that stands between runs and their host, or does not.

    `how` says in which way it stands, or why it does not; `remedy` what would raise it.
    """

    name: str
    up: bool
    how: str
    remedy: str = ""


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
    """Makes slots. Implementations: LocalExecutor (processes of this machine)."""

    async def make(self) -> Slot:
        """A slot whose program waits for its assignment. Raises OSError when that cannot be."""
        ...

    async def sweep(self) -> int:
        """End what an earlier, killed life of this server left running; returns how many."""
        ...


class AcquireSlot(Request["SidecarPool", Slot], frozen=True, kw_only=True):
    """A slot for one run: a warm one if there is any, else a cold one.

    From now on it is the asker's to stop. Refuses with `Unavailable` when none can be made.
    """


class PoolState(msgspec.Struct, frozen=True, kw_only=True):
    """How many slots are kept warm, how many are warm now, and how many are in use."""

    size: int
    warm: int
    used: int


class ReadPool(Request["SidecarPool", PoolState], frozen=True, kw_only=True):
    """The pool as it is now."""


SidecarPoolMessage: TypeAlias = AcquireSlot | ReadPool


class SidecarPool(Actor):
    """Hands out slots. Implementations: LocalSidecarPool.

    At its start it ends what a killed life of this server left running, before it makes anything.
    When it stops, its warm slots are gone; those in use are not its own any more.
    """

    async def receive(self, message: SidecarPoolMessage) -> Any:
        match message:
            case AcquireSlot():
                return await self.acquire()
            case ReadPool():
                return self.state()
            case _:
                assert_never(message)

    @abstractmethod
    async def acquire(self) -> Slot: ...

    @abstractmethod
    def state(self) -> PoolState: ...
