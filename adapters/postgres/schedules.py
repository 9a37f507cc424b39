"""Schedules in PostgreSQL."""

from actors.contract import pick
from actors.ids import ApplicationId, OrgId, PackageId, ScheduleId
from actors.schedules import Fire, Schedule
from adapters.postgres.pool import Pool, refusing_deleted
from adapters.postgres.schedule_fires import hold_due, skip_due

SHOWN = """
    SELECT s.*, coalesce(u.name, e.name) AS actor_name,
        CASE WHEN s.end_user_id IS NULL THEN 'user' ELSE 'end_user' END AS actor_type,
        (SELECT count(*) FROM runs r WHERE r.org_id = s.org_id AND r.schedule_id = s.id
            AND r.status IN ('pending', 'running')) AS running_runs,
        coalesce((SELECT run_number FROM runs r WHERE r.schedule_id = s.id
            ORDER BY started_at DESC LIMIT 1), 0) AS last_run_number
    FROM schedules s
    LEFT JOIN users u ON u.id = s.user_id LEFT JOIN end_users e ON e.id = s.end_user_id
"""
TIMES = ("cron_expression", "timezone", "enabled", "next_run_at")
CHANGEABLE = (
    *("name", "disabled_reason", "input", "user_id", "end_user_id", "model_id_override"),
    *("proxy_id_override", "generation_config_override", "version_override"),
    *("connection_overrides", "dependency_overrides", "overlap_policy", "misfire_policy"),
)
ASSIGNMENTS = ", ".join(f"{name} = ${place}" for place, name in enumerate(CHANGEABLE, 9))


class PostgresScheduleRecords:
    """`ScheduleRecords` over the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @refusing_deleted
    async def add(self, schedule: Schedule) -> Schedule:
        names = ("id", "org_id", "application_id", "package_id", *TIMES, *CHANGEABLE)
        marks = ", ".join(f"${place}" for place in range(1, len(names) + 1))
        await self._pool.execute(
            f"INSERT INTO schedules ({', '.join(names)}) VALUES ({marks})",
            *(getattr(schedule, name) for name in names),
        )
        found = await self.schedule(schedule.org_id, schedule.application_id, schedule.id)
        return found or schedule

    @refusing_deleted
    async def change(self, schedule: Schedule) -> Schedule | None:
        async with self._pool.transaction() as connection:
            await hold_due(connection, schedule.org_id, schedule.id)
            changed = await connection.fetchval(
                f"""
                WITH before AS (
                    SELECT *, (cron_expression, timezone, enabled) <> ($4, $5, $6) AS moves
                    FROM schedules WHERE org_id = $1 AND application_id = $2 AND id = $3
                        AND updated_at = ${len(CHANGEABLE) + 9} FOR UPDATE
                ), come AS (
                    INSERT INTO schedule_fires (schedule_id, due_at, state, reason)
                    SELECT id, next_run_at, 'skipped', $8 FROM before
                    WHERE moves AND next_run_at <= now() ON CONFLICT DO NOTHING
                ), coming AS (
                    DELETE FROM schedule_fires f USING before
                    WHERE moves AND schedule_id = before.id AND state = 'due' AND due_at > now()
                )
                UPDATE schedules s SET {ASSIGNMENTS}, updated_at = now(),
                    cron_expression = $4, timezone = $5, enabled = $6,
                    next_run_at = CASE WHEN before.moves THEN $7 ELSE s.next_run_at END
                FROM before WHERE s.id = before.id RETURNING s.id
                """,
                *(schedule.org_id, schedule.application_id, schedule.id),
                *(schedule.cron_expression, schedule.timezone, schedule.enabled),
                *(schedule.next_run_at, "skipped: the schedule was changed at that moment"),
                *(getattr(schedule, name) for name in CHANGEABLE),
                schedule.updated_at,
            )
            if changed is None:
                return None
            if not schedule.enabled:
                await skip_due(connection, schedule, "skipped: the schedule was disabled")
        return await self.schedule(schedule.org_id, schedule.application_id, schedule.id)

    async def remove(self, org: OrgId, application: ApplicationId, schedule: ScheduleId) -> bool:
        async with self._pool.transaction() as connection:
            await hold_due(connection, org, schedule)
            # Who ends or deletes a run holds that, and looks for what it refers to then.
            await connection.execute(
                """
                SELECT FROM runs WHERE schedule_id = $3 AND org_id = $1 AND application_id = $2
                ORDER BY id FOR NO KEY UPDATE
                """,
                *(org, application, schedule),
            )
            removed = await connection.fetchval(
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

    async def fires(
        self, org: OrgId, application: ApplicationId, schedule: ScheduleId, limit: int
    ) -> list[Fire]:
        rows = await self._pool.fetch(
            """
            SELECT due_at, state, reason, run_id FROM schedule_fires
            WHERE schedule_id = (
                SELECT id FROM schedules WHERE org_id = $1 AND application_id = $2 AND id = $3
            ) ORDER BY due_at DESC LIMIT $4
            """,
            *(org, application, schedule, limit),
        )
        return [Fire(**dict(row)) for row in rows]
