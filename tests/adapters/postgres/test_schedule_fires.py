"""What looking for due schedules costs PostgreSQL."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from actors.ids import OrgId
from actors.schedules import Expansion, Schedule
from actors.schedules.rules import DueTime
from adapters.postgres.pool import Pool
from adapters.postgres.schedule_fires import CLAIM, EXPAND, NEXT, PostgresFireRecords

NOW = datetime(2026, 5, 2, 12, 0, tzinfo=UTC)
MANY = """
    INSERT INTO organizations (id, name, slug) VALUES ('o', 'O', 'o');
    INSERT INTO applications (id, org_id, name) VALUES ('a', 'o', 'A');
    INSERT INTO packages (id, org_id, type, source, draft_manifest) VALUES
        ('@o/agent', 'o', 'agent', 'local', '{}');
    INSERT INTO schedules (id, org_id, application_id, package_id, cron_expression, timezone,
        overlap_policy, misfire_policy, next_run_at)
    SELECT 'sched_' || n, 'o', 'a', '@o/agent', '@daily', 'UTC', 'allow', 'skip',
        '2026-05-03'::timestamptz + n * interval '1 second' FROM generate_series(1, 10000) n;
    INSERT INTO schedule_fires (schedule_id, due_at, state)
    SELECT 'sched_' || n, '2026-05-01', 'skipped' FROM generate_series(1, 10000) n;
    ANALYZE schedules; ANALYZE schedule_fires;
"""

BACKLOG = """
    INSERT INTO schedule_fires (schedule_id, due_at, state)
    SELECT 'sched_' || n % 4, '2026-05-02'::timestamptz + n * interval '1 second',
        CASE WHEN n < 20000 THEN 'fired' ELSE 'due' END FROM generate_series(4, 40000) n
    WHERE n % 4 > 0;
"""


@pytest.fixture
async def many(pool: Pool) -> Pool:
    """Ten thousand schedules, none of which is due."""
    await pool.execute(MANY)
    return pool


@pytest.mark.parametrize(
    ("statement", "arguments"),
    [
        (NEXT, ([], timedelta(seconds=1))),
        (EXPAND, (NOW, NOW, 1000)),
        (CLAIM, (NOW, NOW, 1000, "why", [], [], "1")),
    ],
)
async def test_looking_for_what_is_due_reads_no_whole_table(
    many: Pool, statement: str, arguments: tuple[object, ...]
) -> None:
    rows = await many.fetch(f"EXPLAIN {statement}", *arguments)

    plan = [row[0] for row in rows]
    assert not [line for line in plan if "Seq Scan on schedule" in line], "\n".join(plan)


@pytest.mark.parametrize("analyzed", [False, True])
@pytest.mark.parametrize(
    ("statement", "arguments"),
    [(NEXT, ([], timedelta())), (CLAIM, (NOW, NOW, 1000, "why", ["o"], [0], "1"))],
)
async def test_many_that_wait_for_a_launch_rate_are_not_read_to_find_the_oldest(
    many: Pool, statement: str, arguments: tuple[object, ...], *, analyzed: bool
) -> None:
    await many.execute(BACKLOG)
    if analyzed:
        await many.execute("ANALYZE schedule_fires")

    found = await many.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", *arguments)

    plan = json.loads(found)[0]["Plan"] if isinstance(found, str) else found[0]["Plan"]
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 200, plan


async def test_many_due_at_once_are_written_and_claimed_by_six_statements(many: Pool) -> None:
    records = PostgresFireRecords(many)
    await many.execute("UPDATE schedules SET next_run_at = $1 WHERE id LIKE 'sched_1__'", NOW)
    seen: list[str] = []

    def due(schedule: Schedule) -> Expansion:
        assert schedule.next_run_at is not None
        only = DueTime(due_at=schedule.next_run_at, fires=True)
        return Expansion(due=[only], following=NOW + timedelta(days=1))

    async with many.connection() as connection:
        connection.add_query_logger(lambda query: seen.append(query.query))
    assert await records.expand(NOW, due, 1000) == 100
    assert len(await records.claim(NOW, NOW, 1000, {OrgId("o"): 60})) == 60
    await asyncio.sleep(0)  # the driver tells of a statement a little later

    ours = [query for query in seen if "typeinfo" not in query and "'jit'" not in query]
    assert len(ours) == 6, ours  # BEGIN, read, write, write, COMMIT; claim
