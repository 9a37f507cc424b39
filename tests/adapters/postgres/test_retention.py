"""How what is old goes: in batches, each of which begins where the last has come to."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from actors import retention
from actors.queue import Queue
from actors.retention import DeletedLines, PurgeExpired, Retention, RetentionPolicy
from adapters.local.queue import LocalQueue
from adapters.postgres.jobs import PostgresJobRecords
from adapters.postgres.pool import Pool
from adapters.postgres.retention import PostgresRetentionRecords
from support.running import running

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
# Run n ended on day n, with three lines, two calls and an exit; the last one has not ended.
RUNS = """
    INSERT INTO users (id, email, name) VALUES ('u', 'u@example.com', 'Ada');
    INSERT INTO organizations (id, name, slug, created_by) VALUES ('o', 'O', 'o', 'u');
    INSERT INTO applications (id, org_id, name) VALUES ('a', 'o', 'A');
    INSERT INTO runs (id, org_id, application_id, agent_scope, agent_name, run_number, status,
                      version_label, version_ref, completed_at)
        SELECT 'run_' || n, 'o', 'a', '@o', 'agent', n,
               CASE WHEN n = 9 THEN 'running' ELSE 'success' END, '1', '1',
               CASE WHEN n < 9 THEN timestamptz '2026-01-01 00:00Z' + n * interval '1 day' END
        FROM generate_series(0, 9) n;
    INSERT INTO run_logs (run_id, org_id, position, type, level)
        SELECT id, org_id, p, 'progress', 'info' FROM runs, generate_series(1, 3) p;
    INSERT INTO run_model_calls (run_id, id, org_id, started_at)
        SELECT id, c, org_id, now() FROM runs, generate_series(1, 2) c;
    INSERT INTO run_exits (run_id, org_id, output, exited_at)
        SELECT id, org_id, '[]', now() FROM runs;
"""
LEFT = """
    SELECT DISTINCT run_id FROM (
        SELECT run_id FROM run_logs UNION SELECT run_id FROM run_model_calls
        UNION SELECT run_id FROM run_exits
    ) left_over ORDER BY run_id
"""


async def left(pool: Pool) -> list[str]:
    return [row["run_id"] for row in await pool.fetch(LEFT)]


async def test_a_batch_begins_where_the_last_has_come_to(pool: Pool) -> None:
    async with pool.connection() as connection:
        await connection.execute(RUNS)
    records, before = PostgresRetentionRecords(pool), START + 7 * DAY
    first = await records.lines(START + DAY, before, 4, inline_only=False)
    reached = [first.reached]
    total = first.number
    while reached[-1] is not None:
        batch = await records.lines(reached[-1], before, 4, inline_only=False)
        total += batch.number
        reached.append(batch.reached)
    ends = [each for each in reached if each is not None]

    assert (first.number, first.reached) == (4, START + 2 * DAY)
    assert ends == sorted(ends)
    assert total == 6 * 3
    # Run 0 ended before where it began, 7 and 8 too late, and 9 not at all.
    assert await left(pool) == ["run_0", "run_7", "run_8", "run_9"]


async def test_old_runs_are_gone_through_once(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    async with pool.connection() as connection:
        await connection.execute(RUNS)
    monkeypatch.setattr(retention, "LINES_AT_ONCE", 4)
    began: list[datetime] = []

    class Watched(PostgresRetentionRecords):
        async def lines(
            self, since: datetime, before: datetime, limit: int, *, inline_only: bool
        ) -> DeletedLines:
            if not inline_only:
                began.append(since)
            return await super().lines(since, before, limit, inline_only=inline_only)

    policy = RetentionPolicy(run_days=None, log_days=1)
    queue: Callable[[], Queue] = partial(LocalQueue, PostgresJobRecords(pool))
    async with (
        running(queue) as jobs,
        running(partial(Retention, Watched(pool), jobs, policy)) as at,
    ):
        purged = await at.ask(PurgeExpired(now=START + 8 * DAY))

    assert purged.lines == 7 * 3
    assert began == sorted(set(began))
    assert await left(pool) == ["run_7", "run_8", "run_9"]


async def test_what_of_one_run_is_more_than_a_batch_goes_in_several(pool: Pool) -> None:
    async with pool.connection() as connection:
        await connection.execute(RUNS)
    records, since = PostgresRetentionRecords(pool), START
    batches = 0
    while True:
        batch = await records.lines(since, START + DAY, 1, inline_only=False)
        batches += 1
        if batch.reached is None:
            break
        since = batch.reached

    assert batches == 4
    assert "run_0" not in await left(pool)
    assert "run_1" in await left(pool)
