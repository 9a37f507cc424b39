"""Members and invitations in PostgreSQL."""

import asyncpg

from actors.accounts import Invitation, KeptInvitation, Member, Organization, Role
from actors.contract import pick
from actors.ids import ApplicationId, EndUserId, OrgId, UserId
from actors.schedules import ACTOR_GONE
from adapters.postgres.organizations import INVITATION, MEMBER
from adapters.postgres.pool import Pool, refusing_deleted
from adapters.postgres.schedule_fires import disable_all

KEPT = f"""
    SELECT {INVITATION}, i.status, o.name AS org_name,
           coalesce(u.display_name, u.name) AS inviter_name,
           NOT EXISTS (SELECT FROM users x WHERE x.email = i.email) AS is_new_user
    FROM org_invitations i JOIN organizations o ON o.id = i.org_id
    LEFT JOIN users u ON u.id = i.invited_by
"""


class PostgresMemberRecords:
    """`MemberRecords` over the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def role_of(self, org: OrgId, user: UserId) -> Role | None:
        role: Role | None = await self._pool.fetchval(
            "SELECT role FROM org_members WHERE org_id = $1 AND user_id = $2", org, user
        )
        return role

    async def standing(
        self, org: OrgId, application: ApplicationId, user: UserId
    ) -> tuple[str, Role] | None:
        row = await self._pool.fetchrow(
            """
            SELECT u.email, m.role FROM org_members m JOIN users u ON u.id = m.user_id
            JOIN applications a ON a.org_id = m.org_id
            WHERE m.org_id = $1 AND a.id = $2 AND m.user_id = $3
            """,
            *(org, application, user),
        )
        return None if row is None else (row["email"], row["role"])

    async def serves(self, org: OrgId, application: ApplicationId, end_user: EndUserId) -> bool:
        found = await self._pool.fetchval(
            "SELECT 1 FROM end_users WHERE org_id = $1 AND application_id = $2 AND id = $3",
            *(org, application, end_user),
        )
        return found is not None

    async def change_role(
        self, org: OrgId, user: UserId, before: Role, role: Role
    ) -> Member | None:
        row = await self._pool.fetchrow(
            f"""
            UPDATE org_members m SET role = $4 FROM users u
            WHERE m.org_id = $1 AND m.user_id = $2 AND m.role = $3 AND u.id = m.user_id
            RETURNING {MEMBER}
            """,
            *(org, user, before, role),
        )
        return None if row is None else Member(**dict(row))

    async def remove(self, org: OrgId, user: UserId, before: Role) -> bool:
        async with self._pool.transaction() as connection:
            gone = await connection.fetchval(
                """
                WITH gone AS (
                    DELETE FROM org_members WHERE org_id = $1 AND user_id = $2 AND role = $3
                    RETURNING org_id, user_id
                ), keys AS (
                    UPDATE api_keys k SET revoked_at = now() FROM gone
                    WHERE k.org_id = gone.org_id AND k.created_by = gone.user_id
                          AND k.revoked_at IS NULL
                ), told AS (
                    DELETE FROM notifications n USING gone
                    WHERE n.org_id = gone.org_id AND n.recipient_type = 'user'
                          AND n.recipient_id = gone.user_id
                )
                SELECT user_id FROM gone
                """,
                *(org, user, before),
            )
            if gone is not None:
                await disable_all(connection, org, user, ACTOR_GONE)
        return gone is not None

    async def user_of(self, org: OrgId, email: str) -> tuple[bool, bool]:
        row = await self._pool.fetchrow(
            """
            SELECT m.user_id IS NOT NULL AS is_member FROM users u
            LEFT JOIN org_members m ON m.user_id = u.id AND m.org_id = $1 WHERE u.email = $2
            """,
            *(org, email),
        )
        return (False, False) if row is None else (True, row["is_member"])

    @refusing_deleted
    async def invite(self, org: OrgId, invited_by: UserId, invitation: Invitation) -> None:
        async with self._pool.transaction() as connection:
            # One invitation at a time: a second one of the same address must see the first.
            await connection.execute(
                "SELECT FROM organizations WHERE id = $1 FOR NO KEY UPDATE", org
            )
            await connection.execute(
                """
                UPDATE org_invitations SET status = 'cancelled'
                WHERE org_id = $1 AND email = $2 AND status = 'pending'
                """,
                *(org, invitation.email),
            )
            await connection.execute(
                """
                INSERT INTO org_invitations
                    (id, org_id, token, email, role, invited_by, expires_at, created_at)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                """,
                *(invitation.id, org, invitation.token, invitation.email, invitation.role),
                *(invited_by, invitation.expires_at, invitation.created_at),
            )

    async def invitation(self, org: OrgId, invitation: str) -> KeptInvitation | None:
        return _kept(
            await self._pool.fetchrow(
                KEPT + "WHERE i.org_id = $1 AND i.id = $2", *(org, invitation)
            )
        )

    async def invitation_of(self, token: str) -> KeptInvitation | None:
        return _kept(await self._pool.fetchrow(KEPT + "WHERE i.token = $1", token))

    async def change_invitation(self, invitation: str, role: Role) -> bool:
        return await self._update_open(invitation, "role = $2", role)

    async def cancel_invitation(self, invitation: str) -> bool:
        return await self._update_open(invitation, "status = $2", "cancelled")

    async def _update_open(self, invitation: str, change: str, value: str) -> bool:
        changed: str | None = await self._pool.fetchval(
            f"""
            UPDATE org_invitations SET {change}
            WHERE id = $1 AND status = 'pending' AND expires_at > now() RETURNING id
            """,
            *(invitation, value),
        )
        return changed is not None

    async def accept(self, invitation: str, user: UserId) -> Organization | None:
        async with self._pool.transaction() as connection:
            # Whoever deletes the organization locks it first, and its invitations then.
            await connection.execute(
                """
                SELECT FROM organizations
                WHERE id = (SELECT org_id FROM org_invitations WHERE id = $1) FOR KEY SHARE
                """,
                invitation,
            )
            row = await connection.fetchrow(
                """
                WITH i AS (
                    UPDATE org_invitations
                    SET status = 'accepted', accepted_by = $2, accepted_at = now()
                    WHERE id = $1 AND status = 'pending' AND expires_at > now()
                    RETURNING org_id, role
                ), m AS (
                    INSERT INTO org_members (org_id, user_id, role) SELECT org_id, $2, role FROM i
                    ON CONFLICT (org_id, user_id) DO UPDATE SET role = org_members.role
                    RETURNING org_id, role
                )
                SELECT o.id, o.name, o.slug, m.role, o.created_at
                FROM m JOIN organizations o ON o.id = m.org_id
                """,
                *(invitation, user),
            )
        return None if row is None else Organization(**dict(row))


def _kept(row: asyncpg.Record | None) -> KeptInvitation | None:
    if row is None:
        return None
    return KeptInvitation(
        invitation=Invitation(**pick(Invitation, row)),
        status=row["status"],
        org_name=row["org_name"],
        inviter_name=row["inviter_name"],
        is_new_user=row["is_new_user"],
    )
