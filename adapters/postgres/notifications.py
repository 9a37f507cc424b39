"""Notifications in PostgreSQL."""

from datetime import datetime

import asyncpg

from actors.ids import NotificationId, PackageId, RunId, ScheduleId
from actors.notifications import Notification, Recipient
from adapters.postgres.pool import Pool

MINE = """
    n.org_id = $1 AND n.application_id = $2
    AND n.recipient_type = $3 AND n.recipient_id = $4
"""


class PostgresNotificationRecords:
    """`NotificationRecords` over the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def some(
        self, who: Recipient, *, unread: bool, after: NotificationId | None, limit: int
    ) -> list[Notification] | None:
        rows = await self._pool.fetch(
            f"""
            SELECT n.id, n.type, n.run_id, n.payload, n.read_at, n.created_at
            FROM notifications n
            WHERE {MINE} AND NOT ($5 AND n.read_at IS NOT NULL) AND ($6::text IS NULL OR
                (n.created_at, n.id) < (
                    SELECT n.created_at, n.id FROM notifications n WHERE {MINE} AND n.id = $6))
            ORDER BY n.created_at DESC, n.id DESC LIMIT $7
            """,
            *(*who, unread, after, limit),
        )
        if not rows and after is not None and not await self._is_of(who, after):
            return None
        return [Notification(**dict(row)) for row in rows]

    async def _is_of(self, who: Recipient, notification: NotificationId) -> bool:
        found = await self._pool.fetchval(
            f"SELECT 1 FROM notifications n WHERE {MINE} AND n.id = $5", *(*who, notification)
        )
        return found is not None

    async def unread_by_agent(self, who: Recipient) -> dict[PackageId, int]:
        rows = await self._pool.fetch(
            f"""
            SELECT n.payload ->> 'agent_id' AS agent, count(*) AS count FROM notifications n
            WHERE {MINE} AND n.read_at IS NULL GROUP BY 1
            """,
            *who,
        )
        return {row["agent"]: row["count"] for row in rows}

    async def unread_runs(self, who: Recipient, runs: list[RunId]) -> set[RunId]:
        rows = await self._pool.fetch(
            f"SELECT n.run_id FROM notifications n WHERE {MINE} AND n.read_at IS NULL "
            "AND n.run_id = ANY ($5)",
            *(*who, runs),
        )
        return {row["run_id"] for row in rows}

    async def unread_by_schedule(
        self, who: Recipient, schedules: list[ScheduleId]
    ) -> dict[ScheduleId, int]:
        rows = await self._pool.fetch(
            f"""
            SELECT r.schedule_id, count(*) AS count
            FROM notifications n JOIN runs r ON r.id = n.run_id
            WHERE {MINE} AND n.read_at IS NULL AND r.schedule_id = ANY ($5) GROUP BY 1
            """,
            *(*who, schedules),
        )
        return {row["schedule_id"]: row["count"] for row in rows}

    async def mark(
        self, who: Recipient, *, notification: NotificationId | None, now: datetime
    ) -> int | None:
        row = await self._pool.fetchrow(
            f"""
            WITH there AS (
                SELECT n.id FROM notifications n WHERE {MINE} AND ($5::text IS NULL OR n.id = $5)
                AND ($5::text IS NOT NULL OR n.read_at IS NULL)
            ), marked AS (
                UPDATE notifications n SET read_at = $6 FROM there
                WHERE n.id = there.id AND n.read_at IS NULL RETURNING 1
            )
            SELECT (SELECT count(*) FROM there) AS there, (SELECT count(*) FROM marked) AS marked
            """,
            *(*who, notification, now),
        )
        assert row is not None
        if notification is not None and not row["there"]:
            return None
        marked: int = row["marked"]
        return marked

    async def mark_run(self, who: Recipient, run: RunId, now: datetime) -> bool:
        there = await self._pool.fetchval(
            f"""
            WITH there AS (
                SELECT id FROM runs WHERE org_id = $1 AND application_id = $2 AND id = $5
                    AND ($3 = 'user' OR end_user_id = $4)
            ), marked AS (
                UPDATE notifications n SET read_at = $6 FROM there
                WHERE {MINE} AND n.run_id = there.id AND n.read_at IS NULL
            )
            SELECT id FROM there
            """,
            *(*who, run, now),
        )
        return there is not None


async def notify(connection: asyncpg.Connection, run: RunId, now: datetime) -> None:
    """Notify whom the end of a run concerns, in the transaction that ends it."""
    await connection.execute(
        """
        INSERT INTO notifications (id, org_id, application_id, recipient_type, recipient_id, type,
                                   run_id, payload, created_at)
        SELECT gen_random_uuid()::text, r.org_id, r.application_id, recipient.type, recipient.id,
               'run_completed', r.id,
               json_build_object('agent_id', r.agent_scope || '/' || r.agent_name,
                                 'status', r.status), $2
        FROM runs r CROSS JOIN LATERAL (
            SELECT 'end_user' AS type, r.end_user_id AS id WHERE r.end_user_id IS NOT NULL
            UNION ALL
            SELECT 'user', m.user_id FROM org_members m
            WHERE m.org_id = r.org_id AND r.end_user_id IS NULL AND (
                m.user_id = r.user_id OR r.user_id IS NULL AND m.role IN ('owner', 'admin')
            )
        ) AS recipient
        WHERE r.id = $1 AND NOT r.package_ephemeral
        ON CONFLICT DO NOTHING
        """,
        *(run, now),
    )
