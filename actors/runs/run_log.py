"""Reading runs: lists, one run, its log."""

from datetime import timedelta
from typing import Any, Protocol, TypeAlias, assert_never

import msgspec

from actors.accounts import Caller
from actors.ids import ApplicationId, OrgId, PackageId, RunId
from actors.notifications import NotificationRecords, recipient
from actors.runs.events import LEVELS, Level
from actors.runs.records import LogLine, Run, RunPage, RunQuery, RunRecords
from actors.runtime import Actor, Lane, NotFound, Request

OVERLAP = timedelta(seconds=30)


class ReadRun(Request["RunLog", Run], frozen=True, kw_only=True):
    """One run of the caller's application."""

    caller: Caller
    run: RunId


class ListRuns(Request["RunLog", RunPage], frozen=True, kw_only=True):
    """Some runs of the caller's application, newest first."""

    caller: Caller
    query: RunQuery


class ReadLog(Request["RunLog", list[LogLine]], frozen=True, kw_only=True):
    """Up to `limit` lines of a run's log after the id `since`, of at least `level`, ascending."""

    caller: Caller
    run: RunId
    since: int = 0
    level: Level = "debug"
    limit: int = 1000


class ReadRuns(Request["RunLog", list[Run]], frozen=True, kw_only=True):
    """Those of some runs that are of the caller's application."""

    caller: Caller
    runs: list[RunId]


class NewestLine(Request["RunLog", int], frozen=True, kw_only=True):
    """The id of the last line in any log; 0 before the first."""

    caller: Caller


class ReadFeed(Request["RunLog", list[LogLine]], frozen=True, kw_only=True):
    """Up to `limit` lines of all runs of the caller's application, or of one agent, ascending.

    They follow the id `since`. Lines of several runs do not commit in the order of their ids:
    with `overlap` those of the 30 seconds before `since` are read again.
    """

    caller: Caller
    package: PackageId | None = None
    since: int
    overlap: bool = False
    limit: int = 500


RunLogMessage: TypeAlias = ReadRun | ListRuns | ReadLog | ReadRuns | NewestLine | ReadFeed


class FeedRecords(Protocol):
    """The logs of many runs. Each method is one transaction."""

    async def runs(self, org: OrgId, application: ApplicationId, runs: list[RunId]) -> list[Run]:
        """Those of some runs that are of this application."""
        ...

    async def newest(self) -> int:
        """The id of the last line in any log; 0 before the first."""
        ...

    async def overlapping(self, since: int, overlap: timedelta) -> int:
        """An id below which every line is older than that of `since` by more than `overlap`."""
        ...

    async def lines(
        self,
        org: OrgId,
        application: ApplicationId,
        package: PackageId | None,
        since: int,
        limit: int,
    ) -> list[LogLine]:
        """Lines with an id above `since`, ascending."""
        ...


class RunLog(Actor):
    """Reads, and changes nothing."""

    lanes = (Lane("reads", 64),)

    def __init__(
        self, records: RunRecords, feed: FeedRecords, notifications: NotificationRecords
    ) -> None:
        super().__init__()
        self._records = records
        self._feed = feed
        self._notifications = notifications

    async def receive(self, message: RunLogMessage) -> Any:
        match message:
            case ReadRun():
                run = await self._read(message.caller, message.run)
                return (await self._marked(message.caller, [run]))[0]
            case ListRuns():
                found = await self._list(message.caller, message.query)
                marked = await self._marked(message.caller, found.runs)
                return msgspec.structs.replace(found, runs=marked)
            case ReadLog():
                return await self._lines(message)
            case ReadRuns():
                runs = await self._feed.runs(*message.caller.tenant, message.runs)
                seen = [run for run in runs if message.caller.sees(run.end_user_id)]
                return await self._marked(message.caller, seen)
            case NewestLine():
                return await self._feed.newest()
            case ReadFeed():
                return await self._feed_lines(message)
            case _:
                assert_never(message)

    async def _list(self, caller: Caller, query: RunQuery) -> RunPage:
        if caller.end_user is not None:
            query = msgspec.structs.replace(query, user=None, end_user=caller.end_user)
        return await self._records.runs(*caller.tenant, query)

    async def _read(self, caller: Caller, run: RunId) -> Run:
        found = await self._records.run(*caller.tenant, run)
        if found is None or not caller.sees(found.end_user_id):
            raise NotFound("there is no such run")
        return found

    async def _marked(self, caller: Caller, runs: list[Run]) -> list[Run]:
        """The runs, those marked as unread whose end the caller has not taken note of."""
        ended = [run.id for run in runs if run.ended and not run.package_ephemeral]
        if not ended:
            return runs
        unread = await self._notifications.unread_runs(recipient(caller), ended)
        return [msgspec.structs.replace(r, unread=True) if r.id in unread else r for r in runs]

    async def _feed_lines(self, message: ReadFeed) -> list[LogLine]:
        since = message.since
        if message.overlap:
            since = await self._feed.overlapping(since, OVERLAP)
        return await self._feed.lines(*message.caller.tenant, message.package, since, message.limit)

    async def _lines(self, message: ReadLog) -> list[LogLine]:
        run = await self._read(message.caller, message.run)
        levels: list[str] = [*LEVELS[LEVELS.index(message.level) :]]
        return await self._records.logs(run.org_id, run.id, message.since, levels, message.limit)
