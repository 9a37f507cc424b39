"""Applications and API keys, and what is kept of them."""

from datetime import datetime
from typing import Annotated, Any, Literal, Protocol, TypeAlias

import msgspec

from actors.contract import Resource, spell
from actors.ids import ApiKeyId, ApplicationId, OrgId, UserId


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


class ApplicationSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is decided for an application: where sign-ins may lead back to, at most 20 domains."""

    allowed_redirect_domains: Annotated[list[str], msgspec.Meta(max_length=20)] = msgspec.field(
        default_factory=list[str], name="allowedRedirectDomains"
    )


Deletion: TypeAlias = Literal["deleted", "default", "active", "missing"]


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

    async def add_application(
        self, org: OrgId, application: ApplicationId, name: str, settings: Any, user: UserId
    ) -> Application:
        """Add an application."""
        ...

    async def application(self, org: OrgId, application: ApplicationId) -> Application | None:
        """One application of an organization."""
        ...

    async def change_application(
        self, org: OrgId, application: ApplicationId, name: str | None, settings: Any
    ) -> Application | None:
        """Change what is not None. None when there is no such application."""
        ...

    async def delete_application(self, org: OrgId, application: ApplicationId) -> Deletion:
        """Delete an application with everything in it, unless it is the default or runs."""
        ...
