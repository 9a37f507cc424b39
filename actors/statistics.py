"""The port that counts what waits, runs and has ended, for whoever watches the platform."""

import asyncio
from collections import Counter
from datetime import UTC, datetime
from typing import Protocol, TypeAlias

import msgspec
import structlog

from actors.events import RunChanged
from actors.pubsub import Lagged, PubSub, here_topic, subscription
from actors.runtime import Actor, Address, AskError, Lane, Request, Unavailable

log = structlog.get_logger("statistics")

ENDS = ("success", "failed", "timeout", "cancelled")
PAUSE_SECONDS = 1.0


class JobCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The jobs of one topic: those that are due and wait, those somebody carries out, those that
    are due later, and those that were given up.
    """

    topic: str
    waiting: int
    held: int
    later: int
    dead: int


class RowCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What the database tells: how many runs are in each state that is not the last, the jobs, and
    how many seconds the oldest due time of a schedule waits.
    """

    runs: dict[str, int]
    jobs: list[JobCounts]
    schedule_lag: float


class WorkCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How much there is to do, and how many runs this server has ended since it started."""

    rows: RowCounts
    ended: dict[str, int]


class CountWork(Request["Statistics", WorkCounts], frozen=True, kw_only=True):
    """Count, over all organizations. It takes as long as there is work, not as there was."""


StatisticsMessage: TypeAlias = CountWork


class StatisticsRecords(Protocol):
    """Where it is counted."""

    async def work(self, now: datetime) -> RowCounts: ...


class Statistics(Actor):
    """Counts for operators. Every end of a run is counted once, where it was announced."""

    lanes = (Lane("counts", 2, limit=16),)

    def __init__(self, records: StatisticsRecords, pubsub: Address[PubSub]) -> None:
        super().__init__()
        self._records = records
        self._pubsub = pubsub
        self._ended = Counter[str](dict.fromkeys(ENDS, 0))

    async def started(self) -> None:
        self.own(self._listen(), "ends of runs")

    async def receive(self, message: StatisticsMessage) -> WorkCounts:
        rows = await self._records.work(datetime.now(UTC))
        return WorkCounts(rows=rows, ended=dict(self._ended))

    async def _listen(self) -> None:
        while True:
            try:
                async with subscription(self._pubsub, here_topic(RunChanged)) as changes:
                    async for change in changes:
                        self._count(change)
            except (Unavailable, AskError) as problem:
                log.warning("ends of runs are not counted", why=str(problem))
            await asyncio.sleep(PAUSE_SECONDS)

    def _count(self, change: object) -> None:
        if isinstance(change, Lagged):
            log.warning("some ends of runs were not counted")
        elif isinstance(change, RunChanged) and change.update.status in ENDS:
            self._ended[change.update.status] += 1
