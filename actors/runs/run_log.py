"""Reading runs: lists, one run, its log."""

from typing import Any, TypeAlias, assert_never

from actors.accounts import Caller
from actors.ids import RunId
from actors.runs.events import LEVELS, Level
from actors.runs.records import LogLine, Run, RunPage, RunQuery, RunRecords
from actors.runtime import Actor, Lane, NotFound, Request


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


RunLogMessage: TypeAlias = ReadRun | ListRuns | ReadLog


class RunLog(Actor):
    """Reads, and changes nothing."""

    lanes = (Lane("reads", 64),)

    def __init__(self, records: RunRecords) -> None:
        super().__init__()
        self._records = records

    async def receive(self, message: RunLogMessage) -> Any:
        match message:
            case ReadRun():
                return await self._read(message.caller, message.run)
            case ListRuns():
                return await self._records.runs(*message.caller.tenant, message.query)
            case ReadLog():
                return await self._lines(message)
            case _:
                assert_never(message)

    async def _read(self, caller: Caller, run: RunId) -> Run:
        found = await self._records.run(*caller.tenant, run)
        if found is None:
            raise NotFound("there is no such run")
        return found

    async def _lines(self, message: ReadLog) -> list[LogLine]:
        run = await self._read(message.caller, message.run)
        levels: list[str] = [*LEVELS[LEVELS.index(message.level) :]]
        return await self._records.logs(run.org_id, run.id, message.since, levels, message.limit)
