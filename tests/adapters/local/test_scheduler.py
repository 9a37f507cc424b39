"""The scheduler of one process waits with a timer; it does not ask the database all the time."""

from typing import Any

import pytest

from actors.accounts import Members
from actors.ids import InstanceId
from actors.limiter import Limiter
from actors.pubsub import PubSub
from actors.runs import Launcher, LaunchRate, RunManager
from actors.runtime import Address
from actors.schedules import Firing, LookAgain
from adapters.local.scheduler import LocalScheduler
from adapters.postgres.pool import Pool
from adapters.postgres.schedule_fires import PostgresFireRecords
from support.running import running
from support.waiting import eventually, until

DUE = """
    INSERT INTO organizations (id, name, slug) VALUES ('o', 'O', 'o');
    INSERT INTO applications (id, org_id, name) VALUES ('a', 'o', 'A');
    INSERT INTO packages (id, org_id, type, source, draft_manifest) VALUES
        ('@o/agent', 'o', 'agent', 'local', '{}');
    INSERT INTO schedules (id, org_id, application_id, package_id, cron_expression, timezone,
        overlap_policy, misfire_policy, next_run_at)
    VALUES ('s', 'o', 'a', '@o/agent', '@yearly', 'UTC', 'allow', 'skip', now());
"""


class CountingPool(Pool):
    """Counts the statements and transactions that are asked for."""

    def __init__(self, pool: Pool) -> None:
        super().__init__()
        self._pool = pool._pool
        self.used = 0

    def connection(self) -> Any:
        self.used += 1
        return super().connection()


def scheduler_of(records: PostgresFireRecords) -> LocalScheduler:
    """One that nobody answers."""
    pubsub: Address[PubSub] = Address("pubsub")
    members: Address[Members] = Address("members")
    launcher: Address[Launcher] = Address("launcher")
    runs: Address[RunManager] = Address("runs")
    limiter: Address[Limiter] = Address("limiter")
    firing = Firing(records, pubsub, members, launcher, runs)
    return LocalScheduler(records, firing, LaunchRate(limiter, 1), InstanceId("1"))


async def test_what_cannot_be_counted_is_let_go_at_once(pool: Pool) -> None:
    await pool.execute(DUE)

    async def is_let_go() -> bool:
        return bool(
            await pool.fetchval(
                "SELECT 1 FROM schedule_fires WHERE state = 'due' AND lease_until IS NULL"
                " AND (SELECT next_run_at FROM schedules) > now()"
            )
        )

    async with running(lambda: scheduler_of(PostgresFireRecords(pool))):
        await until(is_let_go, 5)


async def test_nothing_is_asked_while_nothing_is_due(pool: Pool) -> None:
    counting = CountingPool(pool)
    records = PostgresFireRecords(counting)

    async with running(lambda: scheduler_of(records)) as scheduler:
        await eventually(lambda: counting.used == 2)
        scheduler.tell(LookAgain())
        await eventually(lambda: counting.used == 3)
        with pytest.raises(TimeoutError):
            await eventually(lambda: counting.used > 3, within=1.5)
