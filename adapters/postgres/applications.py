"""Applications and API keys in PostgreSQL."""

from typing import Any

import asyncpg

from actors.accounts import ApiKey, Application, Deletion, NewKey
from actors.contract import pick
from actors.ids import ApiKeyId, ApplicationId, OrgId, UserId
from adapters.postgres.pool import Pool, refusing_deleted

APPLICATION = "id, org_id, name, is_default, settings, created_by, created_at, updated_at"


class PostgresApplicationRecords:
    """`ApplicationRecords` over the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def applications(self, org: OrgId) -> list[Application]:
        rows = await self._pool.fetch(
            f"""
            SELECT {APPLICATION} FROM applications WHERE org_id = $1
            ORDER BY is_default DESC, created_at, id
            """,
            org,
        )
        return [Application(**dict(row)) for row in rows]

    @refusing_deleted
    async def add_application(
        self, org: OrgId, application: ApplicationId, name: str, settings: Any, user: UserId
    ) -> Application:
        row = await self._pool.fetchrow(
            f"""
            INSERT INTO applications (id, org_id, name, settings, created_by)
            VALUES ($2, $1, $3, $4, $5) RETURNING {APPLICATION}
            """,
            *(org, application, name, settings, user),
        )
        assert row is not None
        return Application(**dict(row))

    async def application(self, org: OrgId, application: ApplicationId) -> Application | None:
        row = await self._pool.fetchrow(
            f"SELECT {APPLICATION} FROM applications WHERE org_id = $1 AND id = $2",
            *(org, application),
        )
        return None if row is None else Application(**dict(row))

    async def change_application(
        self, org: OrgId, application: ApplicationId, name: str | None, settings: Any
    ) -> Application | None:
        row = await self._pool.fetchrow(
            f"""
            UPDATE applications SET name = coalesce($3, name), settings = coalesce($4, settings),
                                    updated_at = now()
            WHERE org_id = $1 AND id = $2 RETURNING {APPLICATION}
            """,
            *(org, application, name, settings),
        )
        return None if row is None else Application(**dict(row))

    async def delete_application(self, org: OrgId, application: ApplicationId) -> Deletion:
        async with self._pool.transaction() as connection:
            # No run is launched from here on: its row refers to this one, and waits for it.
            row = await connection.fetchrow(
                "SELECT is_default FROM applications WHERE org_id = $1 AND id = $2 FOR UPDATE",
                *(org, application),
            )
            if row is None:
                return "missing"
            if row["is_default"]:
                return "default"
            active = await connection.fetchval(
                """
                SELECT count(*) FROM runs
                WHERE org_id = $1 AND application_id = $2 AND status IN ('pending', 'running')
                """,
                *(org, application),
            )
            if active:
                return "active"
            await connection.execute("DELETE FROM applications WHERE id = $1", application)
            return "deleted"

    @refusing_deleted
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
