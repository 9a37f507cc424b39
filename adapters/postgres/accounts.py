"""Users and sessions in PostgreSQL."""

from datetime import datetime
from typing import Any

import asyncpg

from actors.accounts import (
    Founded,
    Founding,
    FoundingProblem,
    KeyFacts,
    Language,
    Profile,
    PublicProfile,
    Session,
    SessionFacts,
    User,
)
from actors.contract import pick
from actors.ids import ApiKeyId, UserId
from adapters.postgres.organizations import add_organization
from adapters.postgres.pool import Pool

CLAIM_LOCK = 0x636C61696D  # "claim": the key of an advisory lock, free with its transaction
PROFILE = "id, coalesce(display_name, name) AS display_name, language, email, name"

USER = "u.id, u.email, u.name, u.email_verified, u.image, u.created_at, u.updated_at"


class PostgresAccountRecords:
    """`AccountRecords` over the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add_user(
        self, user: UserId, email: str, name: str, password_hash: str
    ) -> User | None:
        async with self._pool.connection() as connection:
            return await _add_user(connection, user, email, name, password_hash)

    async def found(self, founding: Founding) -> Founded | FoundingProblem:
        async with self._pool.transaction() as connection:
            lock = "SELECT pg_try_advisory_xact_lock($1)"
            if not await connection.fetchval(lock, CLAIM_LOCK):
                return "in_progress"
            claimed = await connection.fetchval("SELECT count(*) FROM platform_owner")
            if claimed and founding.claims:
                return "claimed"
            user = await _add_user(
                connection, founding.user, founding.email, founding.name, founding.password_hash
            )
            if user is None:
                return "user_exists"
            if not claimed:
                await connection.execute(
                    "INSERT INTO platform_owner (user_id) VALUES ($1)", user.id
                )
            for slug in founding.slugs:
                made = await add_organization(
                    connection,
                    user.id,
                    founding.org,
                    founding.org_name,
                    slug,
                    application=founding.application,
                )
                if made is not None:
                    return Founded(user=user, slug=slug)
            raise AssertionError("the last slug is random")

    async def is_claimed(self) -> bool:
        return bool(await self._pool.fetchval("SELECT count(*) FROM platform_owner"))

    async def is_invited(self, email: str) -> bool:
        found: bool = await self._pool.fetchval(
            """
            SELECT EXISTS (
                SELECT FROM org_invitations
                WHERE email = $1 AND status = 'pending' AND expires_at > now()
            )
            """,
            email,
        )
        return found

    async def profile(self, user: UserId) -> Profile:
        row = await self._pool.fetchrow(f"SELECT {PROFILE} FROM users WHERE id = $1", user)
        assert row is not None
        return Profile(**dict(row))

    async def change_profile(
        self, user: UserId, display_name: str | None, language: Language | None
    ) -> Profile:
        row = await self._pool.fetchrow(
            f"""
            UPDATE users SET display_name = coalesce($2, display_name),
                             language = coalesce($3, language), updated_at = now()
            WHERE id = $1 RETURNING {PROFILE}
            """,
            *(user, display_name, language),
        )
        assert row is not None
        return Profile(**dict(row))

    async def profiles(self, viewer: UserId, users: list[UserId]) -> list[PublicProfile]:
        rows = await self._pool.fetch(
            """
            SELECT u.id, coalesce(u.display_name, u.name) AS display_name FROM users u
            WHERE u.id = ANY ($2::text[]) AND (u.id = $1 OR EXISTS (
                SELECT FROM org_members mine JOIN org_members theirs USING (org_id)
                WHERE mine.user_id = $1 AND theirs.user_id = u.id
            ))
            ORDER BY u.id
            """,
            *(viewer, users),
        )
        return [PublicProfile(**dict(row)) for row in rows]

    async def add_password(self, user: UserId, password_hash: str) -> bool:
        added: Any = await self._pool.fetchval(
            """
            INSERT INTO login_methods (user_id, provider, password_hash)
            VALUES ($1, 'credential', $2) ON CONFLICT DO NOTHING RETURNING user_id
            """,
            *(user, password_hash),
        )
        return added is not None

    async def password_of(self, email: str) -> tuple[User | None, str | None]:
        row = await self._pool.fetchrow(
            f"""
            SELECT {USER}, m.password_hash FROM users u
            LEFT JOIN login_methods m ON m.user_id = u.id AND m.provider = 'credential'
            WHERE u.email = $1
            """,
            email,
        )
        return (None, None) if row is None else (User(**pick(User, row)), row["password_hash"])

    async def add_session(self, session: Session, token_hash: str) -> None:
        await self._pool.execute(
            """
            INSERT INTO sessions
                (id, token_hash, user_id, ip_address, user_agent, expires_at, created_at,
                 updated_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
            """,
            *(session.id, token_hash, session.user_id, session.ip_address, session.user_agent),
            *(session.expires_at, session.created_at, session.updated_at),
        )

    async def session(
        self, token_hash: str, org: str | None, application: str | None
    ) -> SessionFacts | None:
        row = await self._pool.fetchrow(
            f"""
            SELECT s.id AS session_id, s.user_id, s.expires_at, s.created_at AS session_created_at,
                   s.updated_at AS session_updated_at, s.ip_address, s.user_agent,
                   {USER}, m.role, a.id AS application_id,
                   o.settings ->> 'api_version' AS api_version,
                   EXISTS (SELECT FROM platform_owner p WHERE p.user_id = u.id) AS owns_platform
            FROM sessions s
            JOIN users u ON u.id = s.user_id
            LEFT JOIN org_members m ON m.user_id = u.id AND m.org_id = $2
            LEFT JOIN organizations o ON o.id = m.org_id
            LEFT JOIN applications a ON a.org_id = m.org_id AND a.id = $3
            WHERE s.token_hash = $1 AND s.expires_at > now()
            """,
            *(token_hash, org, application),
        )
        if row is None:
            return None
        session = Session(
            id=row["session_id"],
            user_id=row["user_id"],
            expires_at=row["expires_at"],
            created_at=row["session_created_at"],
            updated_at=row["session_updated_at"],
            ip_address=row["ip_address"],
            user_agent=row["user_agent"],
        )
        return SessionFacts(
            session=session,
            user=User(**pick(User, row)),
            role=row["role"],
            application_id=row["application_id"],
            api_version=row["api_version"],
            owns_platform=row["owns_platform"],
        )

    async def renew_session(self, session_id: str, expires_at: datetime) -> None:
        await self._pool.execute(
            "UPDATE sessions SET expires_at = $2, updated_at = now() WHERE id = $1",
            *(session_id, expires_at),
        )

    async def end_session(self, token_hash: str) -> None:
        await self._pool.execute("DELETE FROM sessions WHERE token_hash = $1", token_hash)

    async def key(self, key_hash: str, end_user: str | None = None) -> KeyFacts | None:
        row = await self._pool.fetchrow(
            """
            SELECT k.id, k.org_id, k.application_id, k.scopes, k.created_by AS user_id, u.email,
                   m.role, o.settings ->> 'api_version' AS api_version,
                   k.revoked_at IS NOT NULL AS revoked,
                   coalesce(k.expires_at <= now(), false) AS expired, e.id AS end_user_id
            FROM api_keys k
            JOIN users u ON u.id = k.created_by
            JOIN organizations o ON o.id = k.org_id
            LEFT JOIN org_members m ON m.org_id = k.org_id AND m.user_id = k.created_by
            LEFT JOIN end_users e ON e.application_id = k.application_id AND e.id = $2
            WHERE k.key_hash = $1
            """,
            *(key_hash, end_user),
        )
        return None if row is None else KeyFacts(**dict(row))

    async def touch_keys(self, used: dict[ApiKeyId, datetime]) -> None:
        await self._pool.execute(
            """
            UPDATE api_keys k SET last_used_at = greatest(k.last_used_at, u.at)
            FROM unnest($1::text[], $2::timestamptz[]) AS u (id, at) WHERE k.id = u.id
            """,
            *(list(used), list(used.values())),
        )


async def _add_user(
    connection: asyncpg.Connection, user: UserId, email: str, name: str, password_hash: str
) -> User | None:
    row = await connection.fetchrow(
        f"""
        WITH u AS (
            INSERT INTO users (id, email, name) VALUES ($1, $2, $3)
            ON CONFLICT (email) DO NOTHING RETURNING *
        ), m AS (
            INSERT INTO login_methods (user_id, provider, password_hash)
            SELECT id, 'credential', $4 FROM u
        )
        SELECT {USER} FROM u
        """,
        *(user, email, name, password_hash),
    )
    return None if row is None else User(**pick(User, row))
