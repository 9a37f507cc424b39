"""Models in PostgreSQL."""

import asyncpg
import msgspec

from actors.contract import pick
from actors.ids import ApplicationId, CredentialId, ModelId, OrgId, PackageId, UserId
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

    async def add(self, org: OrgId, user: UserId, model: ModelId, spec: ModelSpec) -> bool:
        async with self._pool.transaction() as connection:
            default = await _held_default(connection, org)
            added = await _insert(connection, (org, user, model), spec)
            if added and default is None:
                await _point_default(connection, org, model)
        return added

    async def seed(
        self, org: OrgId, user: UserId, credential: CredentialId, models: dict[ModelId, ModelSpec]
    ) -> tuple[list[ModelId], bool]:
        async with self._pool.transaction() as connection:
            default = await _held_default(connection, org)
            has_some = await connection.fetchval(
                "SELECT EXISTS (SELECT 1 FROM org_models WHERE org_id = $1 AND credential_id = $2)",
                *(org, credential),
            )
            if has_some:
                return [], False
            added = [m for m, s in models.items() if await _insert(connection, (org, user, m), s)]
            if added and default is None:
                await _point_default(connection, org, added[0])
        return added, bool(added) and default is None

    async def write(self, org: OrgId, model: ModelId, spec: ModelSpec) -> bool:
        written = await self._pool.fetchval(
            """
            UPDATE org_models m SET label = $3, model_id = $4, credential_id = c.id, input = $6,
                context_window = $7, max_tokens = $8, reasoning = $9, cost = $10, aliased = $11,
                enabled = $12, updated_at = now()
            FROM model_provider_credentials c
            WHERE m.org_id = $1 AND m.id = $2 AND c.org_id = $1 AND c.id = $5 RETURNING 1
            """,
            *(org, model, *_columns(spec)),
        )
        return written is not None

    async def delete(self, org: OrgId, model: ModelId) -> bool:
        async with self._pool.transaction() as connection:
            deleted = await connection.fetchval(
                "DELETE FROM org_models WHERE org_id = $1 AND id = $2 RETURNING 1", *(org, model)
            )
            await connection.execute(
                """
                UPDATE organizations SET default_model_id = NULL, updated_at = now()
                WHERE id = $1 AND default_model_id = $2
                """,
                *(org, model),
            )
            await connection.execute(
                """
                UPDATE application_packages p SET model_id = NULL, updated_at = now()
                FROM applications a
                WHERE a.id = p.application_id AND a.org_id = $1 AND p.model_id = $2
                """,
                *(org, model),
            )
        return deleted is not None

    async def all(self, org: OrgId) -> OrgModels:
        rows = await self._pool.fetch(
            """
            SELECT m.*, o.default_model_id, to_json(c) AS credential
            FROM organizations o
            LEFT JOIN org_models m ON m.org_id = o.id
            LEFT JOIN model_provider_credentials c ON c.id = m.credential_id
            WHERE o.id = $1 ORDER BY m.created_at, m.position
            """,
            org,
        )
        return OrgModels(
            models=[_model(row) for row in rows if row["id"] is not None],
            default_id=rows[0]["default_model_id"] if rows else None,
        )

    async def set_default(self, org: OrgId, model: ModelId | None) -> None:
        async with self._pool.connection() as connection:
            await _point_default(connection, org, model)

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


async def _held_default(connection: asyncpg.Connection, org: OrgId) -> ModelId | None:
    """The default of an organization, whose row is locked: two first models cannot both be it."""
    default: ModelId | None = await connection.fetchval(
        "SELECT default_model_id FROM organizations WHERE id = $1 FOR UPDATE", org
    )
    return default


async def _insert(
    connection: asyncpg.Connection, what: tuple[OrgId, UserId, ModelId], spec: ModelSpec
) -> bool:
    org, user, model = what
    added = await connection.fetchval(
        """
        INSERT INTO org_models (id, org_id, label, model_id, credential_id, input,
            context_window, max_tokens, reasoning, cost, aliased, enabled, created_by)
        SELECT $2, $1, $3, $4, c.id, $6, $7, $8, $9, $10, $11, $12, $13
        FROM model_provider_credentials c WHERE c.org_id = $1 AND c.id = $5
        RETURNING id
        """,
        *(org, model, *_columns(spec), user),
    )
    return added is not None


def _columns(spec: ModelSpec) -> tuple[object, ...]:
    return (
        *(spec.label or spec.model_id, spec.model_id, spec.credential_id, spec.input),
        *(spec.context_window, spec.max_tokens, spec.reasoning, spec.cost),
        *(spec.aliased, spec.enabled),
    )


async def _point_default(connection: asyncpg.Connection, org: OrgId, model: ModelId | None) -> None:
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
