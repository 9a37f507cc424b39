"""End users in PostgreSQL."""

from typing import Any

import asyncpg

from actors.accounts import EndUser, EndUserFields, EndUserQuery, Taken, merged
from actors.ids import ApplicationId, EndUserId, OrgId
from adapters.postgres.pool import Pool, refusing_deleted
from adapters.postgres.schedule_fires import hold_due_of

END_USER = "id, application_id, name, email, external_id, metadata, created_at, updated_at"
OF_INDEX: dict[str | None, Taken] = {
    "end_users_external": "external_id",
    "end_users_email": "email",
}


class PostgresEndUserRecords:
    """`EndUserRecords` over the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @refusing_deleted
    async def add(
        self, org: OrgId, application: ApplicationId, end_user: EndUserId, fields: EndUserFields
    ) -> EndUser | Taken:
        try:
            row = await self._pool.fetchrow(
                f"""
                INSERT INTO end_users
                    (org_id, application_id, id, name, email, external_id, metadata)
                VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING {END_USER}
                """,
                *(org, application, end_user, fields.name, fields.email, fields.external_id),
                fields.metadata or {},
            )
        except asyncpg.UniqueViolationError as error:
            return OF_INDEX[error.constraint_name]
        assert row is not None
        return EndUser(**dict(row))

    async def end_users(
        self, org: OrgId, application: ApplicationId, query: EndUserQuery
    ) -> list[EndUser]:
        comparison, direction = (">", "ASC") if query.before is not None else ("<", "DESC")
        rows = await self._pool.fetch(
            f"""
            SELECT {END_USER} FROM end_users
            WHERE org_id = $1 AND application_id = $2
              AND ($3::text IS NULL OR strpos(lower(concat_ws(' ', name, email, external_id)),
                                              lower($3)) > 0)
              AND ($4::text IS NULL OR lower(email) = lower($4))
              AND ($5::text IS NULL OR external_id = $5)
              AND ($6::text IS NULL OR (created_at, id) {comparison} (
                  SELECT created_at, id FROM end_users WHERE application_id = $2 AND id = $6))
            ORDER BY created_at {direction}, id {direction} LIMIT $7
            """,
            *(org, application, query.search, query.email, query.external_id),
            *(query.before or query.after, query.limit + 1),
        )
        return [EndUser(**dict(row)) for row in rows]

    async def end_user(
        self, org: OrgId, application: ApplicationId, end_user: EndUserId
    ) -> EndUser | None:
        row = await self._pool.fetchrow(
            f"""
            SELECT {END_USER} FROM end_users
            WHERE org_id = $1 AND application_id = $2 AND id = $3
            """,
            *(org, application, end_user),
        )
        return None if row is None else EndUser(**dict(row))

    async def change(
        self, org: OrgId, application: ApplicationId, end_user: EndUserId, fields: EndUserFields
    ) -> EndUser | Taken | None:
        try:
            async with self._pool.transaction() as connection:
                return await _change(connection, (org, application, end_user), fields)
        except asyncpg.UniqueViolationError as error:
            return OF_INDEX[error.constraint_name]

    async def remove(self, org: OrgId, application: ApplicationId, end_user: EndUserId) -> bool:
        async with self._pool.transaction() as connection:
            if not await _hold_all(connection, org, application, end_user):
                return False
            # First, for a run that is written again and again must find the schedule it names.
            await connection.execute("DELETE FROM schedules WHERE end_user_id = $1", end_user)
            await connection.execute(
                """
                WITH told AS (
                    DELETE FROM notifications
                    WHERE recipient_type = 'end_user' AND recipient_id = $1
                )
                DELETE FROM end_users WHERE id = $1
                """,
                end_user,
            )
        return True


async def _change(
    connection: asyncpg.Connection, which: tuple[Any, ...], fields: EndUserFields
) -> EndUser | None:
    before = await connection.fetchrow(
        """
        SELECT metadata FROM end_users WHERE org_id = $1 AND application_id = $2 AND id = $3
        FOR NO KEY UPDATE
        """,
        *which,
    )
    if before is None:
        return None
    row = await connection.fetchrow(
        f"""
        UPDATE end_users SET name = coalesce($4, name), email = coalesce($5, email),
            external_id = coalesce($6, external_id), metadata = $7, updated_at = now()
        WHERE org_id = $1 AND application_id = $2 AND id = $3 RETURNING {END_USER}
        """,
        *(*which, fields.name, fields.email, fields.external_id),
        merged(before["metadata"], fields.metadata),
    )
    assert row is not None
    return EndUser(**dict(row))


async def _hold_all(
    connection: asyncpg.Connection, org: OrgId, application: ApplicationId, end_user: EndUserId
) -> bool:
    """Lock an end user and what goes with them; False when there is none.

    Due times, runs, schedules, end users: a run that ends or publishes is written twice, and looks
    for what it refers to then; one that is launched comes from a schedule.
    """
    which = (org, application, end_user)
    await hold_due_of(connection, org, end_user)
    await connection.execute(
        """
        SELECT FROM runs WHERE org_id = $1 AND application_id = $2 AND id IN (
            SELECT id FROM runs WHERE end_user_id = $3
            UNION SELECT r.id FROM runs r JOIN schedules s ON s.id = r.schedule_id
            WHERE s.end_user_id = $3
        ) ORDER BY id FOR NO KEY UPDATE
        """,
        *which,
    )
    await connection.execute(
        """
        SELECT FROM schedules WHERE org_id = $1 AND application_id = $2 AND end_user_id = $3
        ORDER BY id FOR UPDATE
        """,
        *which,
    )
    found = await connection.fetchval(
        "SELECT 1 FROM end_users WHERE org_id = $1 AND application_id = $2 AND id = $3 FOR UPDATE",
        *which,
    )
    return found is not None
