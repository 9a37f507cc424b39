"""The due times of schedules in PostgreSQL."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

import asyncpg

from actors.contract import pick
from actors.ids import EndUserId, InstanceId, OrgId, RunId, ScheduleId, UserId
from actors.runs import Ended
from actors.schedules import OVERLAPS, DueFire, Expand, Expansion, Schedule
from actors.schedules.fire_records import AT_ITS_TIME, NO_LIMITS
from adapters.postgres.notifications import notify
from adapters.postgres.pool import Pool
from adapters.postgres.run_rows import COLUMNS, NAMES, read_run
from adapters.postgres.webhooks import tell_webhooks

OLDEST = """
    SELECT schedule_id, due_at, lease_until FROM schedule_fires
    WHERE state = 'due' {} ORDER BY schedule_id, due_at LIMIT 1
"""
# The oldest due time of each schedule, so that those of one schedule stay in order. From one
# schedule to the next: of those that wait for a launch rate there may be a million.
FIRST = f"""
    WITH RECURSIVE oldest AS (
        ({OLDEST.format("")}) UNION ALL
        SELECT f.* FROM oldest o
        CROSS JOIN LATERAL ({OLDEST.format("AND schedule_id > o.schedule_id")}) f
    ) SELECT * FROM oldest
"""

NEXT = f"""
    SELECT least((SELECT min(next_run_at) FROM schedules) - $2::interval, (
        SELECT min(coalesce(f.lease_until, f.due_at)) FROM ({FIRST}) f
        WHERE (SELECT org_id FROM schedules s WHERE s.id = f.schedule_id) <> ALL ($1)
    ))
"""

EXPAND = """
    SELECT s.*, NULL AS actor_name FROM schedules s
    WHERE next_run_at <= $2 AND (next_run_at <= $1 OR overlap_policy = 'allow')
    ORDER BY next_run_at LIMIT $3 FOR UPDATE SKIP LOCKED
"""

# A schedule that skips overlaps loses the due times that come while a run of it is active.
CLAIM = f"""
    WITH turns AS (
        SELECT f.schedule_id, f.due_at, s.overlap_policy = 'skip' AS skips, s.org_id,
            row_number() OVER (PARTITION BY s.org_id ORDER BY f.due_at, f.schedule_id) AS turn
        FROM ({FIRST}) f JOIN schedules s ON s.id = f.schedule_id
        WHERE f.lease_until IS NULL OR f.lease_until <= $1
    ), chosen AS (
        SELECT f.schedule_id, f.due_at, t.skips AND EXISTS (
            SELECT FROM runs r WHERE r.org_id = t.org_id AND r.schedule_id = t.schedule_id
                AND r.status IN ('pending', 'running')
        ) AS overlaps
        FROM turns t LEFT JOIN unnest($5::text[], $6::int[]) AS m(org_id, most) USING (org_id)
        JOIN schedule_fires f USING (schedule_id, due_at)
        WHERE t.turn <= coalesce(m.most, $3)
            AND f.state = 'due' AND (f.lease_until IS NULL OR f.lease_until <= $1)
        ORDER BY f.due_at, f.schedule_id LIMIT $3
        FOR UPDATE OF f SKIP LOCKED
    ), held AS (
        UPDATE schedule_fires f SET
            lease_until = CASE WHEN c.overlaps THEN NULL ELSE $2::timestamptz END,
            held_by = CASE WHEN NOT c.overlaps THEN $7 END,
            state = CASE WHEN c.overlaps THEN 'skipped' ELSE 'due' END,
            reason = CASE WHEN c.overlaps THEN $4 END
        FROM chosen c WHERE (f.schedule_id, f.due_at) = (c.schedule_id, c.due_at)
        RETURNING f.schedule_id, f.due_at, f.state
    )
    SELECT s.*, NULL AS actor_name, h.due_at FROM held h
    JOIN schedules s ON s.id = h.schedule_id WHERE h.state = 'due' ORDER BY h.due_at, s.id
"""

REFUSE = f"""
    WITH fire AS (
        UPDATE schedule_fires SET state = 'refused', reason = $3, run_id = $4, lease_until = NULL
        WHERE schedule_id = $1 AND due_at = $2 AND state = 'due' RETURNING schedule_id
    ), s AS (
        UPDATE schedules SET last_run_at = $5 FROM fire
        WHERE id = fire.schedule_id AND org_id = $6
        RETURNING schedules.*
    ), counter AS (
        INSERT INTO run_counters SELECT application_id, package_id, 1 FROM s
        ON CONFLICT (application_id, package_id)
        DO UPDATE SET last_number = run_counters.last_number + 1 RETURNING last_number
    ), r AS (
        INSERT INTO runs (id, org_id, application_id, package_id, agent_scope, agent_name,
            run_number, user_id, end_user_id, input, version_label, version_ref, schedule_id,
            status, error, started_at, completed_at, duration)
        SELECT $4, org_id, application_id, package_id, split_part(package_id, '/', 1),
            split_part(package_id, '/', 2), last_number, user_id, end_user_id,
            coalesce(input, '{{}}'),
            coalesce(version_override, 'published'), coalesce(version_override, 'published'),
            id, 'failed', $3, $5, $5, 0
        FROM s CROSS JOIN counter RETURNING *
    ), line AS (
        INSERT INTO run_logs (run_id, org_id, position, type, level, event, message, data)
        SELECT id, org_id, 1, 'system', 'error', 'run_completed', error,
            json_build_object('runId', id, 'status', status, 'error', error) FROM r
    )
    SELECT {COLUMNS} FROM r {NAMES}
"""


class PostgresFireRecords:
    """`FireRecords` over the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def next_due(
        self, aside: Collection[OrgId] = (), ahead: timedelta = AT_ITS_TIME
    ) -> datetime | None:
        due: datetime | None = await self._pool.fetchval(NEXT, [*aside], ahead)
        return due

    async def expand(
        self, now: datetime, expand: Expand, limit: int, ahead: timedelta = AT_ITS_TIME
    ) -> int:
        async with self._pool.transaction() as connection:
            rows = await connection.fetch(EXPAND, now, now + ahead, limit)
            if rows:
                found = [(row["id"], expand(Schedule(**pick(Schedule, row)))) for row in rows]
                await _write(connection, found)
        return len(rows)

    async def claim(
        self,
        now: datetime,
        until: datetime,
        limit: int,
        most: Mapping[OrgId, int] = NO_LIMITS,
        by: InstanceId | None = None,
    ) -> list[DueFire]:
        limits = ([*most], [*most.values()])
        rows = await self._pool.fetch(CLAIM, now, until, limit, OVERLAPS, *limits, by)
        return [
            DueFire(schedule=Schedule(**pick(Schedule, row)), due_at=row["due_at"]) for row in rows
        ]

    async def release(self, fires: Sequence[DueFire]) -> set[tuple[ScheduleId, datetime]]:
        rows = await self._pool.fetch(
            """
            UPDATE schedule_fires f SET lease_until = NULL
            FROM unnest($1::text[], $2::timestamptz[]) AS g(schedule_id, due_at)
            WHERE (f.schedule_id, f.due_at, f.state) = (g.schedule_id, g.due_at, 'due')
            RETURNING f.schedule_id, f.due_at
            """,
            *([fire.schedule.id for fire in fires], [fire.due_at for fire in fires]),
        )
        return {(row["schedule_id"], row["due_at"]) for row in rows}

    async def free(self, instance: InstanceId) -> int:
        freed = await self._pool.fetch(
            """
            UPDATE schedule_fires SET lease_until = NULL
            WHERE state = 'due' AND lease_until IS NOT NULL AND held_by = $1 RETURNING due_at
            """,
            instance,
        )
        return len(freed)

    async def refuse(self, fire: DueFire, error: str, run: RunId, now: datetime) -> Ended | None:
        async with self._pool.transaction() as connection:
            row = await connection.fetchrow(
                REFUSE,
                *(fire.schedule.id, fire.due_at, error, run, now, fire.schedule.org_id),
            )
            if row is None:
                return None
            ended = read_run(row)
            await notify(connection, run, now)
            tells = await tell_webhooks(connection, ended, now)
        return Ended(run=ended, lines=[], tells=tells)

    async def disable(self, schedule: Schedule, reason: str) -> None:
        async with self._pool.transaction() as connection:
            await hold_due(connection, schedule.org_id, schedule.id)
            await connection.execute(
                """
                UPDATE schedules SET enabled = false, disabled_reason = $3, next_run_at = NULL,
                                     updated_at = now() WHERE org_id = $1 AND id = $2
                """,
                *(schedule.org_id, schedule.id, reason),
            )
            await skip_due(connection, schedule, f"skipped: {reason}")


async def hold_due(connection: asyncpg.Connection, org: OrgId, schedule: ScheduleId) -> None:
    """Wait for whoever fires what is due: that locks due times first, and their schedules then."""
    await connection.execute(
        """
        SELECT FROM schedule_fires WHERE schedule_id = (
            SELECT id FROM schedules WHERE org_id = $1 AND id = $2
        ) AND state = 'due' ORDER BY due_at FOR UPDATE
        """,
        *(org, schedule),
    )


async def skip_due(connection: asyncpg.Connection, schedule: Schedule, reason: str) -> None:
    """Skip what is due of a schedule, for a reason."""
    await connection.execute(
        """
        UPDATE schedule_fires SET state = 'skipped', reason = $3, lease_until = NULL
        WHERE schedule_id = (SELECT id FROM schedules WHERE org_id = $1 AND id = $2)
            AND state = 'due'
        """,
        *(schedule.org_id, schedule.id, reason),
    )


async def hold_due_of(
    connection: asyncpg.Connection, org: OrgId, actor: UserId | EndUserId
) -> None:
    """Wait for whoever fires what is due of the schedules of somebody, as `hold_due` does."""
    await connection.execute(
        """
        SELECT FROM schedule_fires WHERE state = 'due' AND schedule_id IN (
            SELECT id FROM schedules WHERE org_id = $1 AND (user_id = $2 OR end_user_id = $2)
        ) ORDER BY due_at, schedule_id FOR UPDATE
        """,
        *(org, actor),
    )


async def disable_all(
    connection: asyncpg.Connection, org: OrgId, user: UserId, reason: str
) -> None:
    """Disable the schedules that run for a user of an organization, and skip what is due."""
    await hold_due_of(connection, org, user)
    await connection.execute(
        """
        WITH disabled AS (
            UPDATE schedules SET enabled = false, disabled_reason = $3, next_run_at = NULL,
                                 updated_at = now()
            WHERE org_id = $1 AND user_id = $2 AND enabled RETURNING id
        )
        UPDATE schedule_fires f SET state = 'skipped', reason = $4, lease_until = NULL
        FROM disabled WHERE f.schedule_id = disabled.id AND f.state = 'due'
        """,
        *(org, user, reason, f"skipped: {reason}"),
    )


async def _write(connection: asyncpg.Connection, found: list[tuple[str, Expansion]]) -> None:
    """Keep what has become of schedules that are locked: their due times, and the next ones."""
    due = [(schedule, each) for schedule, expansion in found for each in expansion.due]
    await connection.execute(
        """
        INSERT INTO schedule_fires (schedule_id, due_at, state, reason)
        SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[])
        ON CONFLICT DO NOTHING
        """,
        [schedule for schedule, _ in due],
        [each.due_at for _, each in due],
        ["due" if each.fires else "skipped" for _, each in due],
        [each.reason for _, each in due],
    )
    await connection.execute(
        """
        UPDATE schedules s SET next_run_at = g.following, enabled = s.enabled AND broken IS NULL,
            disabled_reason = coalesce(broken, disabled_reason)
        FROM unnest($1::text[], $2::timestamptz[], $3::text[]) AS g(id, following, broken)
        WHERE s.id = g.id
        """,
        [schedule for schedule, _ in found],
        [expansion.following for _, expansion in found],
        [expansion.broken for _, expansion in found],
    )
