"""What a stream is about: where its events are heard, and where what it missed is read."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import ClassVar, Protocol

from actors.accounts import Caller
from actors.addresses import Addresses
from actors.events import RunUpdate, agent_topic, application_topic, run_topic
from actors.ids import PackageId, RunId
from actors.runs import LogLine, NewestLine, ReadFeed, ReadLog, ReadRun, ReadRuns

PAGE = 500


class Source(Protocol):
    """One run, or several. `exact`: its lines commit in the order of their ids."""

    @property
    def exact(self) -> bool: ...

    @property
    def topic(self) -> str:
        """Where its events are published."""
        ...

    async def snapshot(self, caller: Caller) -> Iterable[RunUpdate]:
        """What its runs are, for every client at the beginning."""
        ...

    async def newest(self, caller: Caller) -> int | None:
        """Where a client that has seen nothing begins; None: at the next line it hears of."""
        ...

    def pages(self, caller: Caller, since: int) -> AsyncIterator[list[LogLine]]:
        """The lines after `since`, in pages; some of them may be known."""
        ...

    async def updates(self, caller: Caller, runs: set[RunId]) -> Iterable[RunUpdate]:
        """What runs are by now whose lines were read again."""
        ...


@dataclass(frozen=True, slots=True)
class OneRun:
    """One run, whose log is read again without a gap and without a duplicate."""

    at: Addresses
    run: RunId
    exact: ClassVar[bool] = True

    @property
    def topic(self) -> str:
        return run_topic(self.run)

    async def snapshot(self, caller: Caller) -> Iterable[RunUpdate]:
        run = await self.at.run_log.ask(ReadRun(caller=caller, run=self.run))
        return (run.update("UPDATE"),)

    async def newest(self, caller: Caller) -> int | None:
        return None

    async def pages(self, caller: Caller, since: int) -> AsyncIterator[list[LogLine]]:
        more = True
        while more:
            message = ReadLog(caller=caller, run=self.run, since=since, limit=PAGE)
            lines = await self.at.run_log.ask(message)
            yield lines
            more = len(lines) == PAGE
            since = lines[-1].id if lines else since

    async def updates(self, caller: Caller, runs: set[RunId]) -> Iterable[RunUpdate]:
        return ()


@dataclass(frozen=True, slots=True)
class ManyRuns:
    """The runs of the caller's application, or those of one agent in it."""

    at: Addresses
    caller: Caller
    package: PackageId | None = None
    exact: ClassVar[bool] = False

    @property
    def topic(self) -> str:
        application = self.caller.tenant[1]
        if self.package is None:
            return application_topic(application)
        return agent_topic(application, self.package)

    async def snapshot(self, caller: Caller) -> Iterable[RunUpdate]:
        return ()

    async def newest(self, caller: Caller) -> int | None:
        return await self.at.run_log.ask(NewestLine(caller=caller))

    async def pages(self, caller: Caller, since: int) -> AsyncIterator[list[LogLine]]:
        more, overlap = True, True
        while more:
            message = ReadFeed(
                caller=caller, package=self.package, since=since, overlap=overlap, limit=PAGE
            )
            lines = await self.at.run_log.ask(message)
            yield lines
            more, overlap = len(lines) == PAGE, False
            since = lines[-1].id if lines else since

    async def updates(self, caller: Caller, runs: set[RunId]) -> Iterable[RunUpdate]:
        if not runs:
            return ()
        found = await self.at.run_log.ask(ReadRuns(caller=caller, runs=sorted(runs)))
        return [run.update("UPDATE") for run in found]
