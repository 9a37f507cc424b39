"""Organizations in PostgreSQL."""

from actors.accounts import Organization
from actors.ids import ApplicationId, OrgId, UserId
from adapters.postgres.pool import Pool


class PostgresOrganizationRecords:
    """`OrganizationRecords` over the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add_organization(
        self, owner: UserId, org: OrgId, name: str, slug: str, application: ApplicationId
    ) -> Organization | None:
        row = await self._pool.fetchrow(
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
