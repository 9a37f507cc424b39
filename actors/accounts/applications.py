"""Applications, and the API keys that act in them."""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeAlias, assert_never

import msgspec

from actors.accounts.accounts import Accounts, ForgetCallers
from actors.accounts.application_records import (
    ApiKey,
    Application,
    ApplicationRecords,
    ApplicationSettings,
    NewKey,
)
from actors.accounts.authentication import digest
from actors.accounts.permissions import grantable
from actors.accounts.records import Caller
from actors.accounts.rules import check_name, invalid
from actors.contract import Resource, spell
from actors.ids import ApiKeyId, ApplicationId, new_application_id, new_uuid
from actors.runtime import Actor, Address, Lane, NotFound, Rejected, Request


class ListApplications(Request["Applications", list[Application]], frozen=True, kw_only=True):
    """The applications of the caller's organization, the default one first."""

    caller: Caller


class IssuedKey(Resource, frozen=True, kw_only=True, rename=spell):
    """A new key; its secret is shown this once."""

    id: ApiKeyId
    key: str
    key_prefix: str
    scopes: list[str]


class CreateApiKey(Request["Applications", IssuedKey], frozen=True, kw_only=True):
    """Issue a key for the caller's application.

    Scopes the caller may not grant are dropped; none given means all they may grant.
    """

    caller: Caller
    name: str
    scopes: list[str] | None = None
    expires_at: datetime | None = None


class ListApiKeys(Request["Applications", list[ApiKey]], frozen=True, kw_only=True):
    """The keys of the caller's application, newest first."""

    caller: Caller


class RevokeApiKey(Request["Applications", None], frozen=True, kw_only=True):
    """Make a key invalid, on this instance at once."""

    caller: Caller
    key: ApiKeyId


class CreateApplication(Request["Applications", Application], frozen=True, kw_only=True):
    """Add an application to the caller's organization."""

    caller: Caller
    name: str
    settings: ApplicationSettings


class ShowApplication(Request["Applications", Application], frozen=True, kw_only=True):
    """One application of the caller's organization."""

    caller: Caller
    application: ApplicationId


class ChangeApplication(Request["Applications", Application], frozen=True, kw_only=True):
    """Change what is not None."""

    caller: Caller
    application: ApplicationId
    name: str | None = None
    settings: ApplicationSettings | None = None


class DeleteApplication(Request["Applications", None], frozen=True, kw_only=True):
    """Delete an application with everything in it.

    Refuses the default one, and one with active runs (`delete_failed`).
    """

    caller: Caller
    application: ApplicationId


ApplicationsMessage: TypeAlias = (
    CreateApplication
    | ListApplications
    | ShowApplication
    | ChangeApplication
    | DeleteApplication
    | CreateApiKey
    | ListApiKeys
    | RevokeApiKey
)


class Applications(Actor):
    """Keeps applications and their keys. What is revoked is gone when the answer is there."""

    lanes = (Lane("applications", 16),)

    def __init__(
        self,
        records: ApplicationRecords,
        accounts: Address[Accounts],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__()
        self._records = records
        self._accounts = accounts
        self._now = now

    async def receive(self, message: ApplicationsMessage) -> Any:
        match message:
            case CreateApplication():
                return await self._create(message)
            case ListApplications():
                return await self._records.applications(message.caller.organization)
            case ShowApplication():
                return _found(
                    await self._records.application(
                        message.caller.organization, message.application
                    )
                )
            case ChangeApplication():
                return await self._change(message)
            case DeleteApplication():
                return await self._delete(message)
            case CreateApiKey():
                return await self._create_key(message)
            case ListApiKeys():
                return await self._records.keys(*message.caller.tenant)
            case RevokeApiKey():
                return await self._revoke_key(message)
            case _:
                assert_never(message)

    async def _create(self, message: CreateApplication) -> Application:
        name = message.name.strip()
        check_name(name)
        caller, settings = message.caller, msgspec.to_builtins(message.settings)
        return await self._records.add_application(
            caller.organization, new_application_id(), name, settings, caller.user
        )

    async def _change(self, message: ChangeApplication) -> Application:
        name = message.name.strip() if message.name is not None else None
        if name is not None:
            check_name(name)
        settings = msgspec.to_builtins(message.settings)
        org = message.caller.organization
        return _found(
            await self._records.change_application(org, message.application, name, settings)
        )

    async def _delete(self, message: DeleteApplication) -> None:
        org = message.caller.organization
        try:
            outcome = await self._records.delete_application(org, message.application)
        finally:
            await self._accounts.ask(ForgetCallers())
        match outcome:
            case "missing":
                _found(None)
            case "default":
                raise Rejected("the default application cannot be deleted")
            case "active":
                raise Rejected(
                    "runs of this application are active: cancel them, or wait for their end",
                    code="delete_failed",
                )
            case "deleted":
                pass

    async def _create_key(self, message: CreateApiKey) -> IssuedKey:
        caller = message.caller
        org, application = caller.tenant
        assert caller.role is not None
        check_name(message.name.strip())
        if message.expires_at is not None and message.expires_at <= self._now():
            raise invalid("expiresAt", "must be in the future")
        allowed = grantable(caller.role)
        scopes = sorted(allowed & frozenset(message.scopes) if message.scopes else allowed)
        secret = f"ask_{secrets.token_hex(24)}"
        issued = IssuedKey(
            id=ApiKeyId(new_uuid()), key=secret, key_prefix=secret[:8], scopes=scopes
        )
        await self._records.add_key(
            NewKey(
                id=issued.id,
                org_id=org,
                application_id=application,
                name=message.name.strip(),
                key_hash=digest(secret),
                key_prefix=issued.key_prefix,
                scopes=scopes,
                created_by=caller.user,
                expires_at=message.expires_at,
            )
        )
        return issued

    async def _revoke_key(self, message: RevokeApiKey) -> None:
        try:
            revoked = await self._records.revoke_key(*message.caller.tenant, message.key)
        finally:
            await self._accounts.ask(ForgetCallers())
        if not revoked:
            raise NotFound("there is no such API key")


def _found(application: Application | None) -> Application:
    if application is None:
        raise NotFound("there is no such application in this organization")
    return application
