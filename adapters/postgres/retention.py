"""Deleting what is old from PostgreSQL, a little at a time."""

from datetime import datetime

from adapters.postgres.pool import Pool
from adapters.postgres.run_deletion import READ_ELSEWHERE

ENDED = "r.completed_at < $1 AND r.status NOT IN ('pending', 'running')"
DEFINED = "r.package_ephemeral AND (r.inline_manifest IS NOT NULL OR r.inline_prompt IS NOT NULL)"


class PostgresRetentionRecords:
    """`RetentionRecords` over the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def lines(self, before: datetime, limit: int, *, inline_only: bool) -> int:
        which = f"{ENDED} AND {DEFINED}" if inline_only else ENDED
        deleted: int = await self._pool.fetchval(
            f"""
            WITH lines AS (
                DELETE FROM run_logs WHERE id IN (
                    SELECT l.id FROM runs r CROSS JOIN LATERAL (
                        SELECT id FROM run_logs WHERE run_id = r.id LIMIT $2
                    ) l WHERE {which} LIMIT $2
                ) RETURNING 1
            ), calls AS (
                DELETE FROM run_model_calls WHERE (run_id, id) IN (
                    SELECT c.run_id, c.id FROM runs r CROSS JOIN LATERAL (
                        SELECT run_id, id FROM run_model_calls WHERE run_id = r.id LIMIT $2
                    ) c WHERE {which} LIMIT $2
                ) RETURNING 1
            ), exits AS (
                DELETE FROM run_exits WHERE run_id IN (
                    SELECT e.run_id FROM runs r JOIN run_exits e ON e.run_id = r.id
                    WHERE {which} LIMIT $2
                ) RETURNING 1
            )
            SELECT greatest(
                (SELECT count(*) FROM lines), (SELECT count(*) FROM calls),
                (SELECT count(*) FROM exits))
            """,
            *(before, limit),
        )
        return deleted

    async def definitions(self, before: datetime, limit: int) -> int:
        rows = await self._pool.fetch(
            f"""
            UPDATE runs SET inline_manifest = NULL, inline_prompt = NULL WHERE id IN (
                SELECT r.id FROM runs r WHERE {ENDED} AND {DEFINED} LIMIT $2
                FOR NO KEY UPDATE SKIP LOCKED
            ) RETURNING 1
            """,
            *(before, limit),
        )
        return len(rows)

    async def runs(self, before: datetime, limit: int) -> int:
        rows = await self._pool.fetch(
            f"""
            DELETE FROM runs WHERE id IN (
                SELECT r.id FROM runs r WHERE {ENDED} AND NOT {READ_ELSEWHERE}
                ORDER BY r.completed_at LIMIT $2
                FOR UPDATE SKIP LOCKED
            ) RETURNING 1
            """,
            *(before, limit),
        )
        return len(rows)
