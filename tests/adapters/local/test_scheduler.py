"""The scheduler of one process waits with a timer; it does not ask the database all the time."""

from typing import Any

import pytest

from actors.accounts import Members
from actors.limiter import Limiter
from actors.pubsub import PubSub
from actors.runs import Launcher, LaunchRate, RunManager
from actors.runtime import Address
from actors.schedules import Firing, LookAgain
from adapters.local.scheduler import LocalScheduler
from adapters.postgres.pool import Pool
from adapters.postgres.schedules import PostgresScheduleRecords
from support.running import running
from support.waiting import eventually


class CountingPool(Pool):
    """Counts the statements and transactions that are asked for."""

    def __init__(self, pool: Pool) -> None:
        super().__init__()
        self._pool = pool._pool
        self.used = 0

    def connection(self) -> Any:
        self.used += 1
        return super().connection()


async def test_nothing_is_asked_while_nothing_is_due(pool: Pool) -> None:
    counting = CountingPool(pool)
    records = PostgresScheduleRecords(counting)
    pubsub: Address[PubSub] = Address("pubsub")
    members: Address[Members] = Address("members")
    launcher: Address[Launcher] = Address("launcher")
    runs: Address[RunManager] = Address("runs")
    limiter: Address[Limiter] = Address("limiter")

    def make() -> LocalScheduler:
        firing = Firing(records, pubsub, members, launcher, runs)
        return LocalScheduler(records, firing, LaunchRate(limiter, 1))

    async with running(make) as scheduler:
        await eventually(lambda: counting.used == 1)
        scheduler.tell(LookAgain())
        await eventually(lambda: counting.used == 2)
        with pytest.raises(TimeoutError):
            await eventually(lambda: counting.used > 2, within=1.5)
