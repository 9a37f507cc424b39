"""The port that counts what waits and what runs, for whoever watches the platform."""

from typing import Protocol, TypeAlias

import msgspec

from actors.runtime import Actor, Lane, Request


class JobCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The jobs of one topic: those to be done, and those that were given up."""

    topic: str
    open: int
    dead: int


class WorkCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many runs are in each state that is not the last, and how many jobs there are."""

    runs: dict[str, int]
    jobs: list[JobCounts]


class CountWork(Request["Statistics", WorkCounts], frozen=True, kw_only=True):
    """Count, over all organizations. It takes as long as there is work, not as there was."""


StatisticsMessage: TypeAlias = CountWork


class StatisticsRecords(Protocol):
    """Where it is counted."""

    async def work(self) -> WorkCounts: ...


class Statistics(Actor):
    """Counts for operators."""

    lanes = (Lane("counts", 2, limit=16),)

    def __init__(self, records: StatisticsRecords) -> None:
        super().__init__()
        self._records = records

    async def receive(self, message: StatisticsMessage) -> WorkCounts:
        return await self._records.work()
