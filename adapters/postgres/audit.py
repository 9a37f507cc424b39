"""Administrative changes in PostgreSQL."""

import msgspec

from actors.audit import AuditEntry, AuditEvent, AuditQuery
from adapters.postgres.pool import Pool

COLUMNS = (
    "org_id, application_id, actor_type, actor_id, action, resource_type, resource_id, before, "
    "after, ip, user_agent, request_id"
)


class PostgresAuditRecords:
    """`AuditRecords` over the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, entry: AuditEntry) -> None:
        await self._pool.execute(
            f"""
            INSERT INTO audit_events ({COLUMNS})
            VALUES ($1, (SELECT id FROM applications WHERE id = $2), $3, $4, $5, $6, $7, $8, $9,
                    $10, $11, $12)
            """,
            *msgspec.structs.astuple(entry),
        )

    async def events(self, query: AuditQuery) -> list[AuditEvent]:
        rows = await self._pool.fetch(
            f"""
            SELECT id, {COLUMNS}, created_at FROM audit_events
            WHERE ($2::text IS NULL OR org_id = $2) AND ($3::text IS NULL OR actor_id = $3)
              AND ($4::text IS NULL OR action = $4) AND ($5::text IS NULL OR resource_id = $5)
              AND ($6::timestamptz IS NULL OR created_at >= $6)
              AND ($7::timestamptz IS NULL OR created_at < $7)
              AND ($8::bigint IS NULL OR id < $8)
            ORDER BY id DESC LIMIT $1
            """,
            *msgspec.structs.astuple(query),
        )
        return [AuditEvent(**dict(row)) for row in rows]
