"""Jobs in PostgreSQL."""

from datetime import datetime

import asyncpg

from actors.queue import DeadJob, Job, JobId, NewJob
from adapters.postgres.pool import Pool


class PostgresJobRecords:
    """`JobRecords` over the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, job: NewJob, now: datetime) -> JobId:
        async with self._pool.connection() as connection:
            return await enqueue(connection, job, now)

    async def take(self, topic: str, token: str, now: datetime, until: datetime) -> Job | None:
        row = await self._pool.fetchrow(
            """
            UPDATE jobs SET token = $2, due_at = $4, attempts = attempts + 1
            WHERE id = (
                SELECT id FROM jobs
                WHERE topic = $1 AND died_at IS NULL AND due_at <= $3
                ORDER BY due_at, id LIMIT 1
                FOR UPDATE SKIP LOCKED
            )
            RETURNING id, topic, payload, attempts, token
            """,
            *(topic, token, now, until),
        )
        if row is None:
            return None
        return Job(
            id=JobId(str(row["id"])),
            topic=row["topic"],
            payload=row["payload"],
            attempt=row["attempts"],
            token=row["token"],
        )

    async def next_due(self, topic: str) -> datetime | None:
        due: datetime | None = await self._pool.fetchval(
            "SELECT min(due_at) FROM jobs WHERE topic = $1 AND died_at IS NULL", topic
        )
        return due

    async def finish(self, job: JobId, token: str) -> bool:
        done = await self._pool.fetchval(
            "DELETE FROM jobs WHERE id = $1 AND token = $2 RETURNING id", *(int(job), token)
        )
        return done is not None

    async def fail(
        self, job: JobId, token: str, error: str, retry_at: datetime | None, now: datetime
    ) -> bool:
        failed = await self._pool.fetchval(
            """
            UPDATE jobs SET token = NULL, error = $3, due_at = coalesce($4, due_at),
                            died_at = CASE WHEN $4::timestamptz IS NULL THEN $5::timestamptz END
            WHERE id = $1 AND token = $2 RETURNING id
            """,
            *(int(job), token, error, retry_at, now),
        )
        return failed is not None

    async def extend(self, job: JobId, token: str, until: datetime) -> bool:
        extended = await self._pool.fetchval(
            "UPDATE jobs SET due_at = $3 WHERE id = $1 AND token = $2 RETURNING id",
            *(int(job), token, until),
        )
        return extended is not None

    async def dead(self, topic: str | None, limit: int) -> list[DeadJob]:
        rows = await self._pool.fetch(
            """
            SELECT id::text, topic, payload, attempts, error, created_at, died_at FROM jobs
            WHERE died_at IS NOT NULL AND ($1::text IS NULL OR topic = $1)
            ORDER BY died_at DESC, id DESC LIMIT $2
            """,
            *(topic, limit),
        )
        return [DeadJob(**dict(row)) for row in rows]

    async def revive(self, job: JobId, now: datetime) -> str | None:
        if not (job.isascii() and job.isdigit() and len(job) < 19):
            return None
        topic: str | None = await self._pool.fetchval(
            """
            UPDATE jobs SET died_at = NULL, attempts = 0, due_at = $2
            WHERE id = $1 AND died_at IS NOT NULL
            AND NOT EXISTS (
                SELECT 1 FROM jobs other
                WHERE other.topic = jobs.topic AND other.key = jobs.key AND other.died_at IS NULL
            )
            RETURNING topic
            """,
            *(int(job), now),
        )
        return topic


async def enqueue(connection: asyncpg.Connection, job: NewJob, now: datetime) -> JobId:
    """Add a job in somebody's own transaction: it is there if, and only if, that commits.

    Whoever does this tells the queue afterwards, with WakeQueue.
    """
    added = await connection.fetchval(
        """
        WITH added AS (
            INSERT INTO jobs (topic, payload, key, due_at, created_at)
            VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (topic, key) WHERE key IS NOT NULL AND died_at IS NULL DO NOTHING
            RETURNING id
        )
        SELECT id FROM added
        UNION ALL
        SELECT id FROM jobs WHERE topic = $1 AND key = $3 AND died_at IS NULL
        LIMIT 1
        """,
        *(job.topic, job.payload, job.key, job.due_at or now, now),
    )
    return JobId(str(added))
