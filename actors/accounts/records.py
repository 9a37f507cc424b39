"""What accounts are made of, and what is kept of them."""

from datetime import datetime
from typing import Any, Literal, Protocol

import msgspec

from actors.accounts.permissions import Role
from actors.contract import Resource, spell
from actors.ids import ApiKeyId, ApplicationId, OrgId, UserId
from actors.runtime import Rejected


class User(Resource, frozen=True, kw_only=True, rename=spell):
    """Somebody who can sign in."""

    id: UserId
    email: str
    name: str
    email_verified: bool
    image: str | None
    created_at: datetime
    updated_at: datetime


class Session(Resource, frozen=True, kw_only=True, rename=spell):
    """A signed-in browser or command line. Its token is known to nobody but its cookie."""

    id: str
    user_id: UserId
    expires_at: datetime
    created_at: datetime
    updated_at: datetime
    ip_address: str | None = None
    user_agent: str | None = None


class Organization(Resource, frozen=True, kw_only=True, rename=spell):
    """A tenant, as one of its members sees it."""

    id: OrgId
    name: str
    slug: str
    role: Role
    created_at: datetime


class Application(Resource, frozen=True, kw_only=True, rename=spell):
    """A part of an organization: everything operational belongs to one."""

    object: Literal["application"] = "application"
    id: ApplicationId
    org_id: OrgId
    name: str
    is_default: bool
    settings: dict[str, Any]
    created_by: UserId | None
    created_at: datetime
    updated_at: datetime


class ApiKey(Resource, frozen=True, kw_only=True, rename=spell):
    """A key without its secret."""

    id: ApiKeyId
    name: str
    key_prefix: str
    scopes: list[str]
    created_by: UserId
    created_by_name: str | None
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    created_at: datetime


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """On whose behalf a request is made, and what they may do.

    `org`, `role` and `application` are None when the request named none. Every query is scoped
    by these fields; they come from the HTTP layer, never from a body.
    """

    user: UserId
    email: str
    permissions: frozenset[str] = frozenset()
    org: OrgId | None = None
    role: Role | None = None
    application: ApplicationId | None = None
    api_key: ApiKeyId | None = None

    def require(self, permission: str) -> None:
        """Refuse when this caller does not hold `permission`."""
        if permission not in self.permissions:
            raise Rejected(f"this needs the permission {permission}", code="forbidden")

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


class KeyFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A key, its creator's present role (None: no longer a member) and whether it still counts."""

    id: ApiKeyId
    org_id: OrgId
    application_id: ApplicationId
    scopes: list[str]
    user_id: UserId
    email: str
    role: Role | None
    revoked: bool
    expired: bool


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key to be stored."""

    id: ApiKeyId
    org_id: OrgId
    application_id: ApplicationId
    name: str
    key_hash: str
    key_prefix: str
    scopes: list[str]
    created_by: UserId
    expires_at: datetime | None


class AccountRecords(Protocol):
    """Where users, sessions and what keys may do are kept. Each method is one transaction."""

    async def add_user(
        self, user: UserId, email: str, name: str, password_hash: str
    ) -> User | None:
        """Add a user with a password. None when the address is taken, also by a racing twin."""
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

    async def key(self, key_hash: str) -> KeyFacts | None:
        """The key with this hash, dead or alive."""
        ...

    async def touch_keys(self, used: dict[ApiKeyId, datetime]) -> None:
        """Record when keys were last used."""
        ...


class OrganizationRecords(Protocol):
    """Where organizations are kept. Each method is one transaction."""

    async def add_organization(
        self, owner: UserId, org: OrgId, name: str, slug: str, application: ApplicationId
    ) -> Organization | None:
        """Add an organization, its owner and its default application. None: the slug is taken."""
        ...

    async def organizations(self, user: UserId) -> list[Organization]:
        """The organizations of a user, oldest first."""
        ...


class ApplicationRecords(Protocol):
    """Where applications and their keys are kept. Each method is one transaction."""

    async def applications(self, org: OrgId) -> list[Application]:
        """The applications of an organization, the default one first."""
        ...

    async def add_key(self, key: NewKey) -> None:
        """Store a key."""
        ...

    async def keys(self, org: OrgId, application: ApplicationId) -> list[ApiKey]:
        """The keys of an application, newest first, revoked ones included."""
        ...

    async def revoke_key(self, org: OrgId, application: ApplicationId, key: ApiKeyId) -> bool:
        """Revoke a key. False when there is none of this id in this application."""
        ...
