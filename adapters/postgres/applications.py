"""Applications and API keys in PostgreSQL."""

from typing import Any

import asyncpg

from actors.accounts import ApiKey, Application, NewKey
from actors.contract import pick
from actors.ids import ApiKeyId, ApplicationId, OrgId
from adapters.postgres.pool import Pool


class PostgresApplicationRecords:
    """`ApplicationRecords` over the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def applications(self, org: OrgId) -> list[Application]:
        rows = await self._pool.fetch(
            """
            SELECT id, org_id, name, is_default, settings, created_by, created_at, updated_at
            FROM applications WHERE org_id = $1 ORDER BY is_default DESC, created_at, id
            """,
            org,
        )
        return [Application(**dict(row)) for row in rows]

    async def add_key(self, key: NewKey) -> None:
        await self._pool.execute(
            """
            INSERT INTO api_keys (id, org_id, application_id, name, key_hash, key_prefix, scopes,
                                  created_by, expires_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
            """,
            *(key.id, key.org_id, key.application_id, key.name, key.key_hash, key.key_prefix),
            *(key.scopes, key.created_by, key.expires_at),
        )

    async def keys(self, org: OrgId, application: ApplicationId) -> list[ApiKey]:
        rows = await self._pool.fetch(
            """
            SELECT k.*, u.name AS created_by_name FROM api_keys k
            LEFT JOIN users u ON u.id = k.created_by
            WHERE k.org_id = $1 AND k.application_id = $2 ORDER BY k.created_at DESC, k.id
            """,
            *(org, application),
        )
        return [_api_key(row) for row in rows]

    async def revoke_key(self, org: OrgId, application: ApplicationId, key: ApiKeyId) -> bool:
        found: Any = await self._pool.fetchval(
            """
            UPDATE api_keys SET revoked_at = coalesce(revoked_at, now())
            WHERE org_id = $1 AND application_id = $2 AND id = $3 RETURNING id
            """,
            *(org, application, key),
        )
        return found is not None


def _api_key(row: asyncpg.Record) -> ApiKey:
    return ApiKey(**pick(ApiKey, row))
