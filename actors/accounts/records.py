"""Users, sessions and callers, and what is kept of them."""

from datetime import datetime
from typing import Literal, Protocol, TypeAlias

import msgspec

from actors.accounts.permissions import Role
from actors.contract import Resource, spell
from actors.ids import ApiKeyId, ApplicationId, EndUserId, OrgId, UserId
from actors.runtime import Rejected

Language: TypeAlias = Literal["fr", "en"]


class User(Resource, frozen=True, kw_only=True, rename=spell):
    """Somebody who can sign in."""

    id: UserId
    email: str
    name: str
    email_verified: bool
    image: str | None
    created_at: datetime
    updated_at: datetime


class Profile(Resource, frozen=True, kw_only=True, rename=spell):
    """How a user is shown to others, and in which language to them."""

    id: UserId
    display_name: str
    language: Language
    email: str
    name: str


class PublicProfile(Resource, frozen=True, kw_only=True, rename=spell):
    """How a user is shown to those who share an organization with them."""

    id: UserId
    display_name: str


class Session(Resource, frozen=True, kw_only=True, rename=spell):
    """A signed-in browser or command line. Its token is known to nobody but its cookie."""

    id: str
    user_id: UserId
    expires_at: datetime
    created_at: datetime
    updated_at: datetime
    ip_address: str | None = None
    user_agent: str | None = None


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """On whose behalf a request is made, and what they may do.

    `org`, `role` and `application` are None when the request named none. Every query is scoped
    by these fields; they come from the HTTP layer, never from a body. `platform_admin` is never
    true for keys. `api_version` is what the organization chose, for requests that choose none.
    A key may act for an `end_user`: then runs are made and found for that one alone. A schedule of
    an end user has no user, whose id is empty then.
    """

    user: UserId
    email: str
    permissions: frozenset[str] = frozenset()
    org: OrgId | None = None
    role: Role | None = None
    application: ApplicationId | None = None
    api_key: ApiKeyId | None = None
    platform_admin: bool = False
    api_version: str | None = None
    end_user: EndUserId | None = None

    def sees(self, end_user: str | None) -> bool:
        """Whether what belongs to an end user, or to none, may be shown to this caller."""
        return self.end_user is None or self.end_user == end_user

    def require(self, permission: str) -> None:
        """Refuse when this caller does not hold `permission`."""
        if permission not in self.permissions:
            who = f"your role, {self.role}," if self.api_key is None else "this API key"
            told = f"this needs the permission {permission}, which {who} does not have"
            raise Rejected(told, code="forbidden")

    @property
    def organization(self) -> OrgId:
        """The organization; routes that use it have made sure of it."""
        assert self.org is not None
        return self.org

    @property
    def tenant(self) -> tuple[OrgId, ApplicationId]:
        """The organization and application; routes that use it have made sure of both."""
        assert self.org is not None
        assert self.application is not None
        return self.org, self.application


class SessionFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A live session, its user, and their place in an organization if one was named."""

    session: Session
    user: User
    role: Role | None
    application_id: ApplicationId | None
    api_version: str | None
    owns_platform: bool


class KeyFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A key, its creator's present role (None: no longer a member) and whether it still counts."""

    id: ApiKeyId
    org_id: OrgId
    application_id: ApplicationId
    scopes: list[str]
    user_id: UserId
    email: str
    role: Role | None
    api_version: str | None
    revoked: bool
    expired: bool
    end_user_id: EndUserId | None = None


class Founding(msgspec.Struct, frozen=True, kw_only=True):
    """A user, their first organization under the first slug that is free, and its application.

    With `claims` the user owns the platform or nothing happens; otherwise they own it unless
    somebody does already.
    """

    user: UserId
    email: str
    name: str
    password_hash: str
    org: OrgId
    org_name: str
    slugs: list[str]
    application: ApplicationId
    claims: bool


class Founded(msgspec.Struct, frozen=True, kw_only=True):
    """What was founded."""

    user: User
    slug: str


FoundingProblem: TypeAlias = Literal["user_exists", "claimed", "in_progress"]


class AccountRecords(Protocol):
    """Where users, sessions and what keys may do are kept. Each method is one transaction."""

    async def add_user(
        self, user: UserId, email: str, name: str, password_hash: str
    ) -> User | None:
        """Add a user with a password. None when the address is taken, also by a racing twin."""
        ...

    async def found(self, founding: Founding) -> Founded | FoundingProblem:
        """Add a user with an organization, all or nothing."""
        ...

    async def is_claimed(self) -> bool:
        """Whether somebody owns the platform."""
        ...

    async def is_invited(self, email: str) -> bool:
        """Whether an invitation waits for this address."""
        ...

    async def profile(self, user: UserId) -> Profile:
        """The profile of a user who exists."""
        ...

    async def change_profile(
        self, user: UserId, display_name: str | None, language: Language | None
    ) -> Profile:
        """Change what is not None."""
        ...

    async def profiles(self, viewer: UserId, users: list[UserId]) -> list[PublicProfile]:
        """Those of `users` who share an organization with `viewer`, and the viewer."""
        ...

    async def add_password(self, user: UserId, password_hash: str) -> bool:
        """Give a user a password. False when there is one."""
        ...

    async def password_of(self, email: str) -> tuple[User | None, str | None]:
        """The user with this address and their password hash."""
        ...

    async def add_session(self, session: Session, token_hash: str) -> None:
        """Remember a session."""
        ...

    async def session(
        self, token_hash: str, org: str | None, application: str | None
    ) -> SessionFacts | None:
        """The live session of this token, with the user's place in `org`."""
        ...

    async def renew_session(self, session_id: str, expires_at: datetime) -> None:
        """Move the end of a session."""
        ...

    async def end_session(self, token_hash: str) -> None:
        """Forget a session; unknown ones are no mistake."""
        ...

    async def key(self, key_hash: str, end_user: str | None = None) -> KeyFacts | None:
        """The key with this hash, dead or alive, with an end user if its application has them."""
        ...

    async def touch_keys(self, used: dict[ApiKeyId, datetime]) -> None:
        """Record when keys were last used."""
        ...
