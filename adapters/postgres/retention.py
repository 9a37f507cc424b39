"""Deleting what is old from PostgreSQL, a little at a time."""

from datetime import datetime

from actors.events import DELIVERIES
from actors.retention import DeletedLines
from adapters.postgres.pool import Pool
from adapters.postgres.run_deletion import READ_ELSEWHERE

KEPT_OF_EACH = 100
ENDED = "r.completed_at < $1 AND r.status NOT IN ('pending', 'running')"
DEFINED = "r.package_ephemeral AND (r.inline_manifest IS NOT NULL OR r.inline_prompt IS NOT NULL)"


class PostgresRetentionRecords:
    """`RetentionRecords` over the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def lines(
        self, since: datetime, before: datetime, limit: int, *, inline_only: bool
    ) -> DeletedLines:
        which = f"{ENDED} AND {DEFINED}" if inline_only else ENDED
        # In the order of their ends, and no further than a batch of lines, so that none looks again
        # at what others have emptied.
        which = f"{which} AND r.completed_at >= $3"
        order = "ORDER BY r.completed_at LIMIT $2"
        reached = "coalesce((SELECT max(ended) FROM lines HAVING count(*) = $2), $1)"
        row = await self._pool.fetchrow(
            f"""
            WITH lines AS (
                SELECT l.id, r.completed_at AS ended FROM runs r CROSS JOIN LATERAL (
                    SELECT id FROM run_logs WHERE run_id = r.id LIMIT $2
                ) l WHERE {which} {order}
            ), calls AS (
                SELECT c.run_id, c.id, r.completed_at AS ended FROM runs r CROSS JOIN LATERAL (
                    SELECT run_id, id FROM run_model_calls WHERE run_id = r.id LIMIT $2
                ) c WHERE {which} AND r.completed_at <= {reached} {order}
            ), exits AS (
                SELECT e.run_id, r.completed_at AS ended
                FROM runs r JOIN run_exits e ON e.run_id = r.id
                WHERE {which} AND r.completed_at <= {reached} {order}
            ), no_lines AS (
                DELETE FROM run_logs WHERE id IN (SELECT id FROM lines)
            ), no_calls AS (
                DELETE FROM run_model_calls WHERE (run_id, id) IN (SELECT run_id, id FROM calls)
            ), no_exits AS (
                DELETE FROM run_exits WHERE run_id IN (SELECT run_id FROM exits)
            )
            SELECT max(number) AS number, min(ended) FILTER (WHERE number = $2) AS reached FROM (
                SELECT count(*) AS number, max(ended) AS ended FROM lines UNION ALL
                SELECT count(*), max(ended) FROM calls UNION ALL
                SELECT count(*), max(ended) FROM exits
            ) kinds
            """,
            *(before, limit, since),
        )
        assert row is not None
        return DeletedLines(number=row["number"], reached=row["reached"])

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

    async def leftovers(self, now: datetime, before: datetime, limit: int) -> int:
        deleted: int = await self._pool.fetchval(
            """
            WITH sessions AS (
                DELETE FROM sessions WHERE id IN (
                    SELECT id FROM sessions WHERE expires_at < $1 LIMIT $3
                ) RETURNING 1
            ), fires AS (
                DELETE FROM schedule_fires WHERE (schedule_id, due_at) IN (
                    SELECT s.id, f.due_at FROM schedules s CROSS JOIN LATERAL (
                        SELECT due_at FROM schedule_fires
                        WHERE schedule_id = s.id ORDER BY due_at DESC OFFSET $4 - 1 LIMIT 1
                    ) kept CROSS JOIN LATERAL (
                        SELECT due_at FROM schedule_fires
                        WHERE schedule_id = s.id AND due_at < kept.due_at AND due_at < $2
                              AND state <> 'due' LIMIT $3
                    ) f LIMIT $3
                ) RETURNING 1
            ), attempts AS (
                DELETE FROM webhook_deliveries WHERE id IN (
                    SELECT d.id FROM webhooks w CROSS JOIN LATERAL (
                        SELECT created_at FROM webhook_deliveries
                        WHERE webhook_id = w.id ORDER BY created_at DESC OFFSET $4 - 1 LIMIT 1
                    ) kept CROSS JOIN LATERAL (
                        SELECT id FROM webhook_deliveries
                        WHERE webhook_id = w.id AND created_at < kept.created_at
                              AND created_at < $2 LIMIT $3
                    ) d LIMIT $3
                ) RETURNING 1
            ), events AS (
                DELETE FROM webhook_events WHERE id IN (
                    SELECT e.id FROM webhook_events e WHERE e.created_at < $2
                    AND NOT EXISTS (SELECT FROM webhook_deliveries d WHERE d.event_id = e.id)
                    AND NOT EXISTS (SELECT FROM jobs j WHERE j.topic = $5
                                    AND j.died_at IS NULL AND j.payload ->> 'event' = e.id)
                    LIMIT $3
                ) RETURNING 1
            )
            SELECT greatest(
                (SELECT count(*) FROM sessions), (SELECT count(*) FROM fires),
                (SELECT count(*) FROM attempts), (SELECT count(*) FROM events))
            """,
            *(now, before, limit, KEPT_OF_EACH, DELIVERIES),
        )
        return deleted
