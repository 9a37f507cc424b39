"""End users: the people an application serves, as the application knows them.

They do not sign in. A backend acts for one by naming it beside its API key.
"""

from datetime import datetime
from typing import Any, Literal, Protocol, TypeAlias, TypeVar, assert_never

import msgspec

from actors.accounts.accounts import Accounts, ForgetCallers
from actors.accounts.records import Caller
from actors.accounts.rules import check_email, invalid
from actors.contract import Resource, spell
from actors.ids import ApplicationId, EndUserId, OrgId, new_end_user_id
from actors.runtime import Actor, Address, Conflict, Lane, NotFound, Rejected, Request

LONGEST_NAME = 200
LONGEST_EXTERNAL_ID = 255
MOST_KEYS = 50
LONGEST_KEY = 40
LONGEST_VALUE = 500

Metadata: TypeAlias = dict[str, str | int | float | bool | None]
Found = TypeVar("Found")
Taken: TypeAlias = Literal["external_id", "email"]


class EndUser(Resource, frozen=True, kw_only=True, rename=spell):
    """Somebody an application serves."""

    object: Literal["end_user"] = "end_user"
    id: EndUserId
    application_id: ApplicationId
    name: str | None
    email: str | None
    external_id: str | None
    metadata: dict[str, Any]
    created_at: datetime
    updated_at: datetime


class EndUserFields(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of an end user; None where nothing is."""

    name: str | None = None
    email: str | None = None
    external_id: str | None = None
    metadata: Metadata | None = None


class EndUserQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which end users to list, newest first; after or before one of them, not both.

    `search` is part of a name, an address or an external id, in any case.
    """

    limit: int
    search: str | None = None
    email: str | None = None
    external_id: str | None = None
    after: EndUserId | None = None
    before: EndUserId | None = None


class EndUserPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some end users, and whether there are more in the direction one goes."""

    end_users: list[EndUser]
    more: bool


class CreateEndUser(Request["EndUsers", EndUser], frozen=True, kw_only=True):
    """Add an end user. Refuses an external id that is there (`external_id_taken`)."""

    caller: Caller
    fields: EndUserFields


class ListEndUsers(Request["EndUsers", EndUserPage], frozen=True, kw_only=True):
    """Some end users of the caller's application."""

    caller: Caller
    query: EndUserQuery


class ReadEndUser(Request["EndUsers", EndUser], frozen=True, kw_only=True):
    """One end user of the caller's application."""

    caller: Caller
    end_user: EndUserId


class ChangeEndUser(Request["EndUsers", EndUser], frozen=True, kw_only=True):
    """Change what is not None; metadata is merged key by key."""

    caller: Caller
    end_user: EndUserId
    fields: EndUserFields


class DeleteEndUser(Request["EndUsers", None], frozen=True, kw_only=True):
    """Delete an end user, their schedules and what agents keep of them.

    Their runs stay, and are nobody's.
    """

    caller: Caller
    end_user: EndUserId


EndUsersMessage: TypeAlias = (
    CreateEndUser | ListEndUsers | ReadEndUser | ChangeEndUser | DeleteEndUser
)


class EndUserRecords(Protocol):
    """Where end users are kept. Each method is one transaction."""

    async def add(
        self, org: OrgId, application: ApplicationId, end_user: EndUserId, fields: EndUserFields
    ) -> EndUser | Taken:
        """Add an end user, or tell what another has."""
        ...

    async def end_users(
        self, org: OrgId, application: ApplicationId, query: EndUserQuery
    ) -> list[EndUser]:
        """Up to one more than the limit: newest first, oldest first if `before` is asked for."""
        ...

    async def end_user(
        self, org: OrgId, application: ApplicationId, end_user: EndUserId
    ) -> EndUser | None:
        """One end user."""
        ...

    async def change(
        self, org: OrgId, application: ApplicationId, end_user: EndUserId, fields: EndUserFields
    ) -> EndUser | Taken | None:
        """Change what is not None, with metadata as `merged` says; None when nobody is there."""
        ...

    async def remove(self, org: OrgId, application: ApplicationId, end_user: EndUserId) -> bool:
        """Delete an end user. False when nobody is there."""
        ...


class EndUsers(Actor):
    """Keeps the end users of applications."""

    lanes = (Lane("end users", 32),)

    def __init__(self, records: EndUserRecords, accounts: Address[Accounts]) -> None:
        super().__init__()
        self._records = records
        self._accounts = accounts

    async def receive(self, message: EndUsersMessage) -> Any:
        match message:
            case CreateEndUser():
                return await self._create(message)
            case ListEndUsers():
                return await self._list(message)
            case ReadEndUser():
                return await self._read(message.caller, message.end_user)
            case ChangeEndUser():
                return await self._change(message)
            case DeleteEndUser():
                return await self._delete(message)
            case _:
                assert_never(message)

    async def _create(self, message: CreateEndUser) -> EndUser:
        check_fields(message.fields)
        added = await self._records.add(*message.caller.tenant, new_end_user_id(), message.fields)
        return _not_taken(added)

    async def _list(self, message: ListEndUsers) -> EndUserPage:
        query = message.query
        if query.after is not None and query.before is not None:
            raise Rejected(
                "give startingAfter or endingBefore, not both: they lead in opposite directions",
                param="endingBefore",
            )
        cursor = query.after or query.before
        if cursor is not None:
            await self._read(message.caller, cursor)
        found = await self._records.end_users(*message.caller.tenant, query)
        shown = found[: query.limit]
        if query.before is not None:
            shown.reverse()
        return EndUserPage(end_users=shown, more=len(found) > query.limit)

    async def _read(self, caller: Caller, end_user: EndUserId) -> EndUser:
        return _there(await self._records.end_user(*caller.tenant, end_user))

    async def _change(self, message: ChangeEndUser) -> EndUser:
        check_fields(message.fields)
        changed = await self._records.change(
            *message.caller.tenant, message.end_user, message.fields
        )
        return _not_taken(_there(changed))

    async def _delete(self, message: DeleteEndUser) -> None:
        if not await self._records.remove(*message.caller.tenant, message.end_user):
            raise _nobody()
        await self._accounts.ask(ForgetCallers())


def check_fields(fields: EndUserFields) -> None:
    """Refuse what cannot be told of an end user, naming the field."""
    if fields.name is not None and not 1 <= len(fields.name) <= LONGEST_NAME:
        raise invalid("name", f"must have 1 to {LONGEST_NAME} characters", "out_of_range")
    if fields.email is not None:
        check_email(fields.email)
    if fields.external_id is not None and not 1 <= len(fields.external_id) <= LONGEST_EXTERNAL_ID:
        problem = f"must have 1 to {LONGEST_EXTERNAL_ID} characters"
        raise invalid("externalId", problem, "out_of_range")
    check_metadata(fields.metadata or {})


def check_metadata(metadata: Metadata) -> None:
    """Refuse metadata that is too much, naming the key."""
    if len(metadata) > MOST_KEYS:
        raise invalid("metadata", f"must have at most {MOST_KEYS} keys", "out_of_range")
    for key, value in metadata.items():
        if not 1 <= len(key) <= LONGEST_KEY:
            problem = f"is too short or too long a key: keys have 1 to {LONGEST_KEY} characters"
            raise invalid(f"metadata.{key[:LONGEST_KEY]}", problem, "invalid_key")
        if isinstance(value, str) and len(value) > LONGEST_VALUE:
            problem = f"must have at most {LONGEST_VALUE} characters"
            raise invalid(f"metadata.{key}", problem, "out_of_range")


def merged(before: Metadata, changes: Metadata | None) -> Metadata:
    """Metadata after a change: what is named is replaced, and the whole must still be allowed."""
    after = before | (changes or {})
    check_metadata(after)
    return after


def _there(found: Found | None) -> Found:
    if found is None:
        raise _nobody()
    return found


def _not_taken(written: EndUser | Taken) -> EndUser:
    if isinstance(written, EndUser):
        return written
    if written == "external_id":
        raise Conflict(
            "another end user of this application has this externalId",
            code="external_id_taken",
            param="externalId",
        )
    raise Conflict("another end user of this application has this email", param="email")


def _nobody() -> NotFound:
    return NotFound("there is no such end user in this application")
