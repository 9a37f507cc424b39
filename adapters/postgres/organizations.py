"""Organizations in PostgreSQL."""

import asyncpg
import msgspec

from actors.accounts import (
    Invitation,
    Member,
    Organization,
    OrganizationDetail,
    OrganizationSettings,
    StorageUse,
)
from actors.ids import ApplicationId, OrgId, UserId
from adapters.postgres.pool import Pool

MEMBER = """
    m.user_id, m.role, m.joined_at, coalesce(u.display_name, u.name) AS display_name, u.email
"""
INVITATION = "i.id, i.email, i.role, i.token, i.expires_at, i.created_at"


class PostgresOrganizationRecords:
    """`OrganizationRecords` over the pool."""

    def __init__(self, pool: Pool, org_bytes: int | None = None) -> None:
        self._pool = pool
        self._org_bytes = org_bytes

    async def add_organization(
        self, owner: UserId, org: OrgId, name: str, slug: str, application: ApplicationId
    ) -> Organization | None:
        async with self._pool.connection() as connection:
            return await add_organization(
                connection, owner, org, name, slug, application=application
            )

    async def organizations(self, user: UserId) -> list[Organization]:
        rows = await self._pool.fetch(
            """
            SELECT o.id, o.name, o.slug, m.role, o.created_at
            FROM org_members m JOIN organizations o ON o.id = m.org_id
            WHERE m.user_id = $1 ORDER BY o.created_at, o.id
            """,
            user,
        )
        return [Organization(**dict(row)) for row in rows]

    async def show(self, org: OrgId) -> OrganizationDetail | None:
        async with self._pool.connection() as connection:
            row = await connection.fetchrow("SELECT * FROM organizations WHERE id = $1", org)
            members = await connection.fetch(
                f"""
                SELECT {MEMBER} FROM org_members m JOIN users u ON u.id = m.user_id
                WHERE m.org_id = $1 ORDER BY m.joined_at, m.user_id
                """,
                org,
            )
            invitations = await connection.fetch(
                f"""
                SELECT {INVITATION} FROM org_invitations i
                WHERE i.org_id = $1 AND i.status = 'pending' AND i.expires_at > now()
                ORDER BY i.created_at, i.id
                """,
                org,
            )
        if row is None:
            return None
        limit = row["documents_bytes_limit"]
        return OrganizationDetail(
            id=row["id"],
            name=row["name"],
            slug=row["slug"],
            created_at=row["created_at"],
            storage=StorageUse(
                used_bytes=row["documents_bytes_used"],
                limit_bytes=limit,
                effective_limit_bytes=self._org_bytes if limit is None else limit,
            ),
            members=[Member(**dict(each)) for each in members],
            invitations=[Invitation(**dict(each)) for each in invitations],
        )

    async def rename(self, org: OrgId, name: str) -> Organization | None:
        row = await self._pool.fetchrow(
            """
            UPDATE organizations SET name = $2, updated_at = now() WHERE id = $1
            RETURNING id, name, slug, 'owner' AS role, created_at
            """,
            *(org, name),
        )
        return None if row is None else Organization(**dict(row))

    async def settings(self, org: OrgId) -> OrganizationSettings | None:
        found = await self._pool.fetchval("SELECT settings FROM organizations WHERE id = $1", org)
        return None if found is None else msgspec.convert(found, OrganizationSettings)

    async def change_settings(
        self, org: OrgId, changes: OrganizationSettings
    ) -> OrganizationSettings | None:
        found = await self._pool.fetchval(
            """
            UPDATE organizations
            SET settings = jsonb_strip_nulls(settings::jsonb || $2::text::jsonb)::json,
                updated_at = now()
            WHERE id = $1 RETURNING settings
            """,
            *(org, msgspec.json.encode(changes).decode()),
        )
        return None if found is None else msgspec.convert(found, OrganizationSettings)

    async def delete(self, org: OrgId) -> int:
        async with self._pool.transaction() as connection:
            # No run is launched from here on: its row refers to this one, and waits for it.
            await connection.execute("SELECT FROM organizations WHERE id = $1 FOR UPDATE", org)
            active: int = await connection.fetchval(
                """
                SELECT count(*) FROM runs WHERE org_id = $1 AND status IN ('pending', 'running')
                """,
                org,
            )
            if not active:
                # Models hold on to their credentials, so they go first.
                await connection.execute("DELETE FROM org_models WHERE org_id = $1", org)
                await connection.execute("DELETE FROM organizations WHERE id = $1", org)
            return active


async def add_organization(
    connection: asyncpg.Connection,
    owner: UserId,
    org: OrgId,
    name: str,
    slug: str,
    *,
    application: ApplicationId,
) -> Organization | None:
    """Add an organization, its owner and its default application. None: the slug is taken."""
    row = await connection.fetchrow(
        """
        WITH o AS (
            INSERT INTO organizations (id, name, slug, created_by) VALUES ($2, $3, $4, $1)
            ON CONFLICT (slug) DO NOTHING RETURNING *
        ), m AS (
            INSERT INTO org_members (org_id, user_id, role) SELECT id, $1, 'owner' FROM o
        ), a AS (
            INSERT INTO applications (id, org_id, name, is_default, created_by)
            SELECT $5, id, 'Default', true, $1 FROM o
        )
        SELECT id, name, slug, 'owner' AS role, created_at FROM o
        """,
        *(owner, org, name, slug, application),
    )
    return None if row is None else Organization(**dict(row))
