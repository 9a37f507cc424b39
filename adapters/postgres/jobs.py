"""Jobs in PostgreSQL."""

from datetime import datetime

import asyncpg

from actors.queue import DeadJob, Job, JobId, NewJob
from adapters.postgres.pool import Pool

LONGEST_ID = 18
DEAD = "id::text, topic, payload, attempts, error, created_at, died_at"
# Whether a job's group has not as many jobs held as the third parameter allows; null allows any.
HAS_ROOM = """
    (group_id IS NULL OR group_id NOT IN (
        SELECT group_id FROM jobs
        WHERE topic = $1 AND token IS NOT NULL AND group_id IS NOT NULL AND due_at > $2
        GROUP BY group_id HAVING count(*) >= $3))
"""
FIRST = f"""
    SELECT id FROM jobs WHERE topic = $1 AND died_at IS NULL AND due_at <= $2 AND {HAS_ROOM}
    ORDER BY due_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
"""
# Where many groups have more than they may have held, those that have little to do come in between.
FIRST_OF_IDLE = FIRST.replace("$3", "CASE WHEN $3::integer IS NOT NULL THEN 1 END")


class PostgresJobRecords:
    """`JobRecords` over the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, job: NewJob, now: datetime) -> JobId:
        async with self._pool.connection() as connection:
            return await enqueue(connection, job, now)

    async def take(
        self, topic: str, token: str, now: datetime, until: datetime, most_of_group: int | None
    ) -> Job | None:
        row = await self._pool.fetchrow(
            f"""
            UPDATE jobs SET token = $4, due_at = $5, attempts = attempts + 1
            WHERE id = coalesce(({FIRST_OF_IDLE}), ({FIRST}))
            RETURNING id, topic, payload, attempts, token
            """,
            *(topic, now, most_of_group, token, until),
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

    async def next_due(
        self, topic: str, now: datetime, most_of_group: int | None
    ) -> datetime | None:
        due: datetime | None = await self._pool.fetchval(
            f"SELECT min(due_at) FROM jobs WHERE topic = $1 AND died_at IS NULL AND {HAS_ROOM}",
            *(topic, now, most_of_group),
        )
        return due

    async def finish(self, job: JobId, token: str) -> str | None:
        topic: str | None = await self._pool.fetchval(
            "DELETE FROM jobs WHERE id = $1 AND token = $2 RETURNING topic", *(int(job), token)
        )
        return topic

    async def fail(
        self, job: JobId, token: str, error: str, retry_at: datetime | None, now: datetime
    ) -> str | None:
        topic: str | None = await self._pool.fetchval(
            """
            UPDATE jobs SET token = NULL, error = $3, due_at = coalesce($4, due_at),
                            died_at = CASE WHEN $4::timestamptz IS NULL THEN $5::timestamptz END
            WHERE id = $1 AND token = $2 RETURNING topic
            """,
            *(int(job), token, error, retry_at, now),
        )
        return topic

    async def extend(self, job: JobId, token: str, until: datetime) -> bool:
        extended = await self._pool.fetchval(
            "UPDATE jobs SET due_at = $3 WHERE id = $1 AND token = $2 RETURNING id",
            *(int(job), token, until),
        )
        return extended is not None

    async def dead(self, topic: str | None, limit: int, after: JobId | None) -> list[DeadJob]:
        rows = await self._pool.fetch(
            f"""
            SELECT {DEAD} FROM jobs
            WHERE died_at IS NOT NULL AND ($1::text IS NULL OR topic = $1)
              AND ($3::bigint IS NULL
                   OR (died_at, id) < (SELECT died_at, id FROM jobs WHERE id = $3))
            ORDER BY died_at DESC, id DESC LIMIT $2
            """,
            *(topic, limit, None if after is None else _number(after)),
        )
        return [DeadJob(**dict(row)) for row in rows]

    async def dead_job(self, job: JobId) -> DeadJob | None:
        row = await self._pool.fetchrow(
            f"SELECT {DEAD} FROM jobs WHERE id = $1 AND died_at IS NOT NULL", _number(job)
        )
        return None if row is None else DeadJob(**dict(row))

    async def revive(self, job: JobId, now: datetime) -> str | None:
        try:
            topic: str | None = await self._pool.fetchval(
                """
                UPDATE jobs SET died_at = NULL, attempts = 0, due_at = $2
                WHERE id = $1 AND died_at IS NOT NULL RETURNING topic
                """,
                *(_number(job), now),
            )
        except asyncpg.UniqueViolationError:  # there is another one of its key
            return None
        return topic

    async def revive_all(self, topic: str, before: datetime, now: datetime) -> int:
        revived = await self._pool.fetch(
            """
            UPDATE jobs SET died_at = NULL, due_at = $3 WHERE topic = $1 AND died_at < $2
            AND NOT EXISTS (
                SELECT 1 FROM jobs other
                WHERE other.topic = jobs.topic AND other.key = jobs.key
                  AND (other.died_at IS NULL OR other.id > jobs.id)
            )
            RETURNING 1
            """,
            *(topic, before, now),
        )
        return len(revived)

    async def discard(self, job: JobId) -> bool:
        gone = await self._pool.fetchval(
            "DELETE FROM jobs WHERE id = $1 AND died_at IS NOT NULL RETURNING id", _number(job)
        )
        return gone is not None

    async def forget(self, before: datetime) -> int:
        gone = await self._pool.fetch("DELETE FROM jobs WHERE died_at < $1 RETURNING 1", before)
        return len(gone)


def _number(job: JobId) -> int:
    """The number of a row; 0, which none has, for what is no id."""
    return int(job) if job.isascii() and job.isdigit() and len(job) <= LONGEST_ID else 0


async def enqueue(connection: asyncpg.Connection, job: NewJob, now: datetime) -> JobId:
    """Add a job in somebody's own transaction: it is there if, and only if, that commits.

    Whoever does this tells the queue afterwards, with WakeQueue.
    """
    added = None
    while added is None:
        # Two statements: one would not see the job of this key that another transaction is adding
        # at the same moment. When that is done before it is looked for, there is room again.
        added = await connection.fetchval(
            """
            INSERT INTO jobs (topic, payload, key, due_at, created_at, group_id)
            VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT (topic, key) WHERE key IS NOT NULL AND died_at IS NULL DO NOTHING
            RETURNING id
            """,
            *(job.topic, job.payload, job.key, job.due_at or now, now, job.group),
        ) or await connection.fetchval(
            "SELECT id FROM jobs WHERE topic = $1 AND key = $2 AND died_at IS NULL",
            *(job.topic, job.key),
        )
    return JobId(str(added))
