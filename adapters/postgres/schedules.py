"""Schedules and their due times in PostgreSQL."""

from datetime import datetime
from itertools import repeat

import asyncpg

from actors.contract import pick
from actors.ids import ApplicationId, OrgId, PackageId, RunId, ScheduleId
from actors.runs import Ended
from actors.schedules import (
    OVERLAPS,
    DueFire,
    Expand,
    Fire,
    Schedule,
)
from adapters.postgres.notifications import notify
from adapters.postgres.pool import Pool
from adapters.postgres.runs import COLUMNS, NAMES, read_run
from adapters.postgres.webhooks import tell_webhooks

SHOWN = """
    SELECT s.*, u.name AS actor_name,
        (SELECT count(*) FROM runs r WHERE r.org_id = s.org_id AND r.schedule_id = s.id
            AND r.status IN ('pending', 'running')) AS running_runs,
        coalesce((SELECT run_number FROM runs r WHERE r.schedule_id = s.id
            ORDER BY started_at DESC LIMIT 1), 0) AS last_run_number
    FROM schedules s LEFT JOIN users u ON u.id = s.user_id
"""
CHANGEABLE = (
    *("name", "enabled", "disabled_reason", "cron_expression", "timezone", "input", "user_id"),
    *("model_id_override", "generation_config_override", "proxy_id_override", "version_override"),
    *("connection_overrides", "dependency_overrides", "overlap_policy", "misfire_policy"),
    "next_run_at",
)
ASSIGNMENTS = ", ".join(f"{name} = ${place}" for place, name in enumerate(CHANGEABLE, 2))

# One due time of each schedule at once, the oldest, so that those of one schedule stay in order.
# A schedule that skips overlaps loses the due times that come while a run of it is active.
CLAIM = """
    WITH first AS (
        SELECT DISTINCT ON (schedule_id) schedule_id, due_at, lease_until
        FROM schedule_fires WHERE state = 'due' ORDER BY schedule_id, due_at
    ), chosen AS (
        SELECT f.schedule_id, f.due_at, s.overlap_policy = 'skip' AND EXISTS (
            SELECT FROM runs r WHERE r.org_id = s.org_id AND r.schedule_id = s.id
                AND r.status IN ('pending', 'running')
        ) AS overlaps
        FROM first JOIN schedule_fires f USING (schedule_id, due_at)
        JOIN schedules s ON s.id = f.schedule_id
        WHERE f.state = 'due' AND (f.lease_until IS NULL OR f.lease_until <= $1)
        ORDER BY f.due_at LIMIT $3
        FOR UPDATE OF f SKIP LOCKED
    ), held AS (
        UPDATE schedule_fires f SET
            lease_until = CASE WHEN c.overlaps THEN NULL ELSE $2::timestamptz END,
            state = CASE WHEN c.overlaps THEN 'skipped' ELSE 'due' END,
            reason = CASE WHEN c.overlaps THEN $4 END
        FROM chosen c WHERE (f.schedule_id, f.due_at) = (c.schedule_id, c.due_at)
        RETURNING f.schedule_id, f.due_at, f.state
    )
    SELECT s.*, NULL AS actor_name, h.due_at, h.state FROM held h
    JOIN schedules s ON s.id = h.schedule_id ORDER BY h.due_at
"""

REFUSE = f"""
    WITH fire AS (
        UPDATE schedule_fires SET state = 'refused', reason = $3, run_id = $4, lease_until = NULL
        WHERE schedule_id = $1 AND due_at = $2 AND state = 'due' RETURNING schedule_id
    ), s AS (
        UPDATE schedules SET last_run_at = $5 FROM fire WHERE id = fire.schedule_id
        RETURNING schedules.*
    ), counter AS (
        INSERT INTO run_counters SELECT application_id, package_id, 1 FROM s
        ON CONFLICT (application_id, package_id)
        DO UPDATE SET last_number = run_counters.last_number + 1 RETURNING last_number
    ), r AS (
        INSERT INTO runs (id, org_id, application_id, package_id, agent_scope, agent_name,
            run_number, user_id, input, version_label, version_ref, schedule_id, status, error,
            started_at, completed_at, duration)
        SELECT $4, org_id, application_id, package_id, split_part(package_id, '/', 1),
            split_part(package_id, '/', 2), last_number, user_id, coalesce(input, '{{}}'),
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


class PostgresScheduleRecords:
    """`ScheduleRecords` over the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, schedule: Schedule) -> Schedule:
        names = ("id", "org_id", "application_id", "package_id", *CHANGEABLE)
        marks = ", ".join(f"${place}" for place in range(1, len(names) + 1))
        await self._pool.execute(
            f"INSERT INTO schedules ({', '.join(names)}) VALUES ({marks})",
            *(getattr(schedule, name) for name in names),
        )
        found = await self.schedule(schedule.org_id, schedule.application_id, schedule.id)
        return found or schedule

    async def change(self, schedule: Schedule) -> Schedule | None:
        async with self._pool.transaction() as connection:
            await connection.execute(
                f"UPDATE schedules SET {ASSIGNMENTS}, updated_at = now() WHERE id = $1",
                *(schedule.id, *(getattr(schedule, name) for name in CHANGEABLE)),
            )
            if not schedule.enabled:
                await _skip_due(connection, schedule.id, "skipped: the schedule was disabled")
        return await self.schedule(schedule.org_id, schedule.application_id, schedule.id)

    async def remove(self, org: OrgId, application: ApplicationId, schedule: ScheduleId) -> bool:
        removed = await self._pool.fetchval(
            """
            DELETE FROM schedules WHERE id = $3 AND org_id = $1 AND application_id = $2
            RETURNING id
            """,
            *(org, application, schedule),
        )
        return removed is not None

    async def schedule(
        self, org: OrgId, application: ApplicationId, schedule: ScheduleId
    ) -> Schedule | None:
        row = await self._pool.fetchrow(
            f"{SHOWN} WHERE s.id = $3 AND s.org_id = $1 AND s.application_id = $2",
            *(org, application, schedule),
        )
        return None if row is None else Schedule(**pick(Schedule, row))

    async def schedules(
        self, org: OrgId, application: ApplicationId, package: PackageId | None
    ) -> list[Schedule]:
        rows = await self._pool.fetch(
            f"""
            {SHOWN} WHERE s.org_id = $1 AND s.application_id = $2
            AND ($3::text IS NULL OR s.package_id = $3) ORDER BY s.created_at, s.id
            """,
            *(org, application, package),
        )
        return [Schedule(**pick(Schedule, row)) for row in rows]

    async def fires(self, schedule: ScheduleId, limit: int) -> list[Fire]:
        rows = await self._pool.fetch(
            """
            SELECT due_at, state, reason, run_id FROM schedule_fires WHERE schedule_id = $1
            ORDER BY due_at DESC LIMIT $2
            """,
            *(schedule, limit),
        )
        return [Fire(**dict(row)) for row in rows]

    async def next_due(self) -> datetime | None:
        due: datetime | None = await self._pool.fetchval(
            """
            SELECT least(
                (SELECT min(next_run_at) FROM schedules),
                (SELECT min(coalesce(lease_until, due_at)) FROM schedule_fires WHERE state = 'due')
            )
            """
        )
        return due

    async def expand(self, now: datetime, expand: Expand, limit: int) -> int:
        async with self._pool.transaction() as connection:
            rows = await connection.fetch(
                """
                SELECT s.*, NULL AS actor_name FROM schedules s WHERE next_run_at <= $1
                ORDER BY next_run_at LIMIT $2 FOR UPDATE SKIP LOCKED
                """,
                *(now, limit),
            )
            for row in rows:
                due, following = expand(Schedule(**pick(Schedule, row)))
                await connection.executemany(
                    """
                    INSERT INTO schedule_fires (schedule_id, due_at, state, reason)
                    VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING
                    """,
                    [
                        (each, d.due_at, "due" if d.fires else "skipped", d.reason)
                        for each, d in zip(repeat(row["id"]), due, strict=False)
                    ],
                )
                await connection.execute(
                    "UPDATE schedules SET next_run_at = $2 WHERE id = $1", *(row["id"], following)
                )
        return len(rows)

    async def claim(self, now: datetime, until: datetime, limit: int) -> list[DueFire]:
        rows = await self._pool.fetch(CLAIM, now, until, limit, OVERLAPS)
        return [
            DueFire(schedule=Schedule(**pick(Schedule, row)), due_at=row["due_at"])
            for row in rows
            if row["state"] == "due"
        ]

    async def postpone(self, fire: DueFire, until: datetime) -> None:
        await self._pool.execute(
            """
            UPDATE schedule_fires SET lease_until = $3
            WHERE schedule_id = $1 AND due_at = $2 AND state = 'due'
            """,
            *(fire.schedule.id, fire.due_at, until),
        )

    async def refuse(self, fire: DueFire, error: str, run: RunId, now: datetime) -> Ended | None:
        async with self._pool.transaction() as connection:
            row = await connection.fetchrow(REFUSE, fire.schedule.id, fire.due_at, error, run, now)
            if row is None:
                return None
            ended = read_run(row)
            await notify(connection, run, now)
            tells = await tell_webhooks(connection, ended, now)
        return Ended(run=ended, lines=[], tells=tells)

    async def disable(self, schedule: ScheduleId, reason: str) -> None:
        async with self._pool.transaction() as connection:
            await connection.execute(
                """
                UPDATE schedules SET enabled = false, disabled_reason = $2, next_run_at = NULL,
                                     updated_at = now() WHERE id = $1
                """,
                *(schedule, reason),
            )
            await _skip_due(connection, schedule, f"skipped: {reason}")


async def _skip_due(connection: asyncpg.Connection, schedule: ScheduleId, reason: str) -> None:
    await connection.execute(
        """
        UPDATE schedule_fires SET state = 'skipped', reason = $2, lease_until = NULL
        WHERE schedule_id = $1 AND state = 'due'
        """,
        *(schedule, reason),
    )
