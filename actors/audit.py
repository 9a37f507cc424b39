"""Who changed what: one line for each administrative change, kept for ever."""

from datetime import datetime
from typing import Any, Protocol, TypeAlias, assert_never

import msgspec

from actors.contract import Resource, spell
from actors.ids import ApplicationId, OrgId
from actors.runtime import Actor, Lane, Request


class AuditEntry(Resource, frozen=True, kw_only=True, rename=spell):
    """A change that was made. `action` is the name of the operation in the API document, `after`
    what was asked for, with what the path names beside the resource, and `before` what that was,
    where it can be read; both without anything that may be secret.
    """

    org_id: OrgId | None
    application_id: ApplicationId | None
    actor_type: str
    actor_id: str
    action: str
    resource_type: str
    resource_id: str | None
    before: dict[str, Any] | None
    after: dict[str, Any]
    ip: str
    user_agent: str | None
    request_id: str


class AuditEvent(AuditEntry, frozen=True, kw_only=True, rename=spell):
    """A change as it was written down."""

    id: int
    created_at: datetime


class AuditQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which changes to read: of whom, of what, when; older than the line `before`."""

    limit: int
    org: str | None = None
    actor: str | None = None
    action: str | None = None
    resource: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = None


class RecordChange(Request["Audit", None], frozen=True, kw_only=True):
    """Write a change down."""

    entry: AuditEntry


class ReadChanges(Request["Audit", list[AuditEvent]], frozen=True, kw_only=True):
    """Changes of all organizations, the latest first."""

    query: AuditQuery


AuditMessage: TypeAlias = RecordChange | ReadChanges


class AuditRecords(Protocol):
    """What the audit needs of a database."""

    async def add(self, entry: AuditEntry) -> None: ...

    async def events(self, query: AuditQuery) -> list[AuditEvent]: ...


class Audit(Actor):
    """Lines outlive what they tell of: the organization, the user, the thing."""

    lanes = (Lane("audit", 8),)

    def __init__(self, records: AuditRecords) -> None:
        super().__init__()
        self._records = records

    async def receive(self, message: AuditMessage) -> Any:
        match message:
            case RecordChange():
                return await self._records.add(message.entry)
            case ReadChanges():
                return await self._records.events(message.query)
            case _:
                assert_never(message)
