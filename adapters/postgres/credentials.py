"""Keys for providers of models in PostgreSQL, sealed."""

from typing import Literal

import asyncpg

from actors.contract import pick
from actors.ids import CredentialId, OrgId
from actors.models import StoredCredential
from adapters.postgres.pool import Pool


class PostgresCredentialRecords:
    """`CredentialRecords` over the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, credential: StoredCredential) -> None:
        new = credential
        await self._pool.execute(
            """
            INSERT INTO model_provider_credentials (id, org_id, label, provider_id,
                credentials_encrypted, base_url_override, created_by, created_at, updated_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
            """,
            *(new.id, new.org_id, new.label, new.provider_id, new.credentials_encrypted),
            *(new.base_url_override, new.created_by, new.created_at, new.updated_at),
        )

    async def all(self, org: OrgId) -> list[StoredCredential]:
        rows = await self._pool.fetch(
            "SELECT * FROM model_provider_credentials WHERE org_id = $1 ORDER BY created_at, id",
            org,
        )
        return [StoredCredential(**pick(StoredCredential, row)) for row in rows]

    async def find(self, org: OrgId, credential: CredentialId) -> StoredCredential | None:
        row = await self._pool.fetchrow(
            "SELECT * FROM model_provider_credentials WHERE org_id = $1 AND id = $2",
            *(org, credential),
        )
        return None if row is None else StoredCredential(**pick(StoredCredential, row))

    async def update(self, credential: StoredCredential) -> bool:
        new = credential
        written = await self._pool.fetchval(
            """
            UPDATE model_provider_credentials SET label = $3, credentials_encrypted = $4,
                available_model_ids = $5, updated_at = $6
            WHERE org_id = $1 AND id = $2 RETURNING 1
            """,
            *(new.org_id, new.id, new.label, new.credentials_encrypted),
            *(new.available_model_ids, new.updated_at),
        )
        return written is not None

    async def delete(
        self, org: OrgId, credential: CredentialId
    ) -> Literal["deleted", "missing", "in use"]:
        try:
            deleted = await self._pool.fetchval(
                """
                DELETE FROM model_provider_credentials WHERE org_id = $1 AND id = $2 RETURNING 1
                """,
                *(org, credential),
            )
        except (
            asyncpg.IntegrityConstraintViolationError
        ):  # which one depends on the server's version
            return "in use"
        return "missing" if deleted is None else "deleted"
