"""Notifications: what users are told when they look, until they have read it.

One is made for each run that ends, in the transaction that ends it: for the run's user or
end user, and when it has neither, for every owner and admin. Inline runs make none.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal, Protocol, TypeAlias, assert_never

import msgspec

from actors.accounts import Caller
from actors.ids import (
    ApplicationId,
    EndUserId,
    NotificationId,
    OrgId,
    PackageId,
    RunId,
    ScheduleId,
    UserId,
)
from actors.runtime import Actor, Lane, NotFound, Request

Recipient: TypeAlias = tuple[OrgId, ApplicationId, Literal["user", "end_user"], UserId | EndUserId]


def recipient(caller: Caller) -> Recipient:
    """Whose notifications a caller reads: a user's, or those of the end user they act for."""
    if caller.end_user is not None:
        return *caller.tenant, "end_user", caller.end_user
    return *caller.tenant, "user", caller.user


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """What a user is told. Its fields are snake_case throughout, the ids too."""

    id: NotificationId
    type: str
    run_id: RunId
    payload: dict[str, Any]
    read_at: datetime | None
    created_at: datetime


class NotificationPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some notifications, the last first."""

    data: list[Notification]
    has_more: bool


class ListNotifications(Request["Notifications", NotificationPage], frozen=True, kw_only=True):
    """The caller's notifications in an application, the last first, after one of them.

    Refuses one that is not there, or gone with its run, with `NotFound`.
    """

    caller: Caller
    unread: bool
    limit: int
    after: NotificationId | None = None


class CountUnread(Request["Notifications", int], frozen=True, kw_only=True):
    """How many the caller has not read."""

    caller: Caller


class CountUnreadByAgent(Request["Notifications", dict[str, int]], frozen=True, kw_only=True):
    """The same for each agent that has some."""

    caller: Caller


class MarkRead(Request["Notifications", None], frozen=True, kw_only=True):
    """The caller has read one; once is enough."""

    caller: Caller
    notification: NotificationId


class MarkRunRead(Request["Notifications", None], frozen=True, kw_only=True):
    """The caller has read whatever there is about a run of the application."""

    caller: Caller
    run: RunId


class MarkAllRead(Request["Notifications", int], frozen=True, kw_only=True):
    """The caller has read everything; how much was new."""

    caller: Caller


NotificationsMessage: TypeAlias = (
    ListNotifications | CountUnread | CountUnreadByAgent | MarkRead | MarkRunRead | MarkAllRead
)


class NotificationRecords(Protocol):
    """Where notifications are kept. Each method is one transaction."""

    async def some(
        self, who: Recipient, *, unread: bool, after: NotificationId | None, limit: int
    ) -> list[Notification] | None:
        """Somebody's notifications, the last first, after one of them; None: it is not there."""
        ...

    async def unread_by_agent(self, who: Recipient) -> dict[PackageId, int]:
        """How many are unread, by agent."""
        ...

    async def unread_runs(self, who: Recipient, runs: list[RunId]) -> set[RunId]:
        """Those of some runs that somebody has an unread notification of."""
        ...

    async def unread_by_schedule(
        self, who: Recipient, schedules: list[ScheduleId]
    ) -> dict[ScheduleId, int]:
        """How many are about runs of some schedules, and unread."""
        ...

    async def mark(
        self, who: Recipient, *, notification: NotificationId | None, now: datetime
    ) -> int | None:
        """Mark one as read, or all; how many were not. None when there is no such one."""
        ...

    async def mark_run(self, who: Recipient, run: RunId, now: datetime) -> bool:
        """Mark those about a run as read. False when they see no such run."""
        ...


class Notifications(Actor):
    """Reads notifications, and marks them as read."""

    lanes = (Lane("notifications", 32),)

    def __init__(
        self,
        records: NotificationRecords,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__()
        self._records = records
        self._now = now

    async def receive(self, message: NotificationsMessage) -> Any:
        who = recipient(message.caller)
        match message:
            case ListNotifications():
                return await self._list(who, message)
            case CountUnread():
                return sum((await self._records.unread_by_agent(who)).values())
            case CountUnreadByAgent():
                return await self._records.unread_by_agent(who)
            case MarkRead():
                return await self._mark(who, message.notification)
            case MarkRunRead():
                return await self._mark_run(who, message.run)
            case MarkAllRead():
                return await self._records.mark(who, notification=None, now=self._now())
            case _:
                assert_never(message)

    async def _list(self, who: Recipient, message: ListNotifications) -> NotificationPage:
        found = await self._records.some(
            who, unread=message.unread, after=message.after, limit=message.limit + 1
        )
        if found is None:
            raise NotFound("there is no such notification: begin with the first page")
        return NotificationPage(data=found[: message.limit], has_more=len(found) > message.limit)

    async def _mark(self, who: Recipient, notification: NotificationId) -> None:
        if await self._records.mark(who, notification=notification, now=self._now()) is None:
            raise NotFound("there is no such notification")

    async def _mark_run(self, who: Recipient, run: RunId) -> None:
        if not await self._records.mark_run(who, run, self._now()):
            raise NotFound("there is no such run")
