"""Models and their credentials in PostgreSQL."""

import asyncpg
import msgspec

from actors.contract import pick
from actors.ids import ApplicationId, ModelId, OrgId, PackageId, UserId
from actors.models import (
    AgentModel,
    Cost,
    Generation,
    ModelSpec,
    OrgModels,
    StoredCredential,
    StoredModel,
)
from adapters.postgres.pool import Pool

# The agent $3, if application $2 of organization $1 sees it: a shipped one, or one installed there.
AGENT = """
    SELECT p.id FROM packages p WHERE p.id = $3 AND p.type = 'agent' AND (
        p.org_id IS NULL OR p.org_id = $1 AND EXISTS (
            SELECT 1 FROM application_packages a WHERE a.application_id = $2 AND a.package_id = p.id
        )
    )
"""
CHOICE = "LEFT JOIN application_packages a ON a.application_id = $2 AND a.package_id = p.id"


class PostgresModelRecords:
    """`ModelRecords` over the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add_credential(self, credential: StoredCredential) -> None:
        await self._pool.execute(
            """
            INSERT INTO model_provider_credentials (id, org_id, label, provider_id,
                credentials_encrypted, base_url_override, created_by, created_at, updated_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
            """,
            *msgspec.structs.astuple(credential),
        )

    async def credentials(self, org: OrgId) -> list[StoredCredential]:
        rows = await self._pool.fetch(
            "SELECT * FROM model_provider_credentials WHERE org_id = $1 ORDER BY created_at, id",
            org,
        )
        return [StoredCredential(**dict(row)) for row in rows]

    async def add_model(self, org: OrgId, user: UserId, model: ModelId, spec: ModelSpec) -> bool:
        # The organization's row is locked first, so two first models cannot both become default.
        async with self._pool.transaction() as connection:
            default = await connection.fetchval(
                "SELECT coalesce(default_model_id, '') FROM organizations WHERE id = $1 FOR UPDATE",
                org,
            )
            added = await connection.fetchval(
                """
                INSERT INTO org_models (id, org_id, label, model_id, credential_id, input,
                    context_window, max_tokens, reasoning, cost, created_by)
                SELECT $1, $2, $3, $4, c.id, $6, $7, $8, $9, $10, $11
                FROM model_provider_credentials c WHERE c.org_id = $2 AND c.id = $5
                RETURNING id
                """,
                *(model, org, (spec.label or spec.model_id).strip()[:100], spec.model_id.strip()),
                *(spec.credential_id, spec.input, spec.context_window, spec.max_tokens),
                *(spec.reasoning, spec.cost, user),
            )
            if added is not None and default == "":
                await self._point_default(connection, org, model)
        return added is not None

    async def models(self, org: OrgId) -> OrgModels:
        rows = await self._pool.fetch(
            """
            SELECT m.*, o.default_model_id, to_json(c) AS credential
            FROM organizations o
            LEFT JOIN org_models m ON m.org_id = o.id
            LEFT JOIN model_provider_credentials c ON c.id = m.credential_id
            WHERE o.id = $1 ORDER BY m.created_at, m.id
            """,
            org,
        )
        return OrgModels(
            models=[_model(row) for row in rows if row["id"] is not None],
            default_id=rows[0]["default_model_id"] if rows else None,
        )

    async def set_default(self, org: OrgId, model: ModelId | None) -> None:
        async with self._pool.connection() as connection:
            await self._point_default(connection, org, model)

    async def agent_model(
        self, org: OrgId, application: ApplicationId, package: PackageId
    ) -> AgentModel | None:
        row = await self._pool.fetchrow(
            f"SELECT a.model_id, a.generation_config FROM ({AGENT}) p {CHOICE}",
            *(org, application, package),
        )
        if row is None:
            return None
        generation = msgspec.convert(row["generation_config"] or {}, Generation)
        return AgentModel(model_id=row["model_id"], generation=generation)

    async def set_agent_model(
        self, org: OrgId, application: ApplicationId, package: PackageId, choice: AgentModel
    ) -> bool:
        kept = await self._pool.fetchval(
            f"""
            INSERT INTO application_packages AS a
                (application_id, package_id, model_id, generation_config)
            SELECT $2, p.id, $4, $5 FROM ({AGENT}) p
            ON CONFLICT (application_id, package_id) DO UPDATE SET
                model_id = excluded.model_id, generation_config = excluded.generation_config,
                updated_at = now()
            RETURNING 1
            """,
            *(org, application, package, choice.model_id, choice.generation),
        )
        return kept is not None

    async def _point_default(
        self, connection: asyncpg.Connection, org: OrgId, model: ModelId | None
    ) -> None:
        await connection.execute(
            "UPDATE organizations SET default_model_id = $2, updated_at = now() WHERE id = $1",
            *(org, model),
        )


def _model(row: asyncpg.Record) -> StoredModel:
    fields = pick(StoredModel, row)
    fields["credential"] = msgspec.convert(row["credential"], StoredCredential)
    cost = row["cost"]
    fields["cost"] = None if cost is None else msgspec.convert(cost, Cost)
    return StoredModel(**fields)
