"""Notifications: which runs have ended since one looked."""

import msgspec

from actors.ids import NotificationId
from actors.notifications import (
    CountUnread,
    CountUnreadByAgent,
    ListNotifications,
    MarkAllRead,
    MarkRead,
    MarkRunRead,
    NotificationPage,
)
from appstrate.http.call import Call, Query, Routes, Scope, number

routes = Routes()

PATH = "/api/notifications"
MOST = 100


class Unread(msgspec.Struct, kw_only=True):
    """How many are unread."""

    count: int


class UnreadByAgent(msgspec.Struct, kw_only=True):
    """How many are unread, by agent."""

    counts: dict[str, int]


class Marked(msgspec.Struct, kw_only=True):
    """How many were marked."""

    updated_count: int


@routes.add(
    "GET",
    PATH,
    Scope.APPLICATION,
    query=(
        Query("unread", "With `true` only unread ones.", {"enum": ["true", "false"]}),
        Query("limit", "Notifications on a page.", number(MOST, 20)),
        Query("startingAfter", "The id of the last notification one has."),
    ),
)
async def list_notifications(call: Call) -> NotificationPage:
    """The caller's notifications, the last first."""
    after = call.query("startingAfter")
    message = ListNotifications(
        caller=call.caller,
        unread=call.choice("unread", ("true", "false")) == "true",
        limit=call.number("limit", 20, most=MOST),
        after=NotificationId(after) if after else None,
    )
    found = await call.at.notifications.ask(message)
    if found.has_more:
        call.next_page(startingAfter=found.data[-1].id)
    return found


@routes.add("GET", f"{PATH}/unread-count", Scope.APPLICATION)
async def count_unread(call: Call) -> Unread:
    """How many the caller has not read."""
    return Unread(count=await call.at.notifications.ask(CountUnread(caller=call.caller)))


@routes.add("GET", f"{PATH}/unread-counts-by-agent", Scope.APPLICATION)
async def count_unread_by_agent(call: Call) -> UnreadByAgent:
    """How many the caller has not read, for each agent that has some."""
    counts = await call.at.notifications.ask(CountUnreadByAgent(caller=call.caller))
    return UnreadByAgent(counts=counts)


@routes.add("PUT", f"{PATH}/read-all", Scope.APPLICATION)
async def mark_all_read(call: Call) -> Marked:
    """The caller has read everything there is in the application."""
    marked = await call.at.notifications.ask(MarkAllRead(caller=call.caller))
    return Marked(updated_count=marked)


@routes.add("PUT", f"{PATH}/read/{{run}}", Scope.APPLICATION, status=204)
async def mark_run_read(call: Call) -> None:
    """The caller has read what there is about a run."""
    await call.at.notifications.ask(MarkRunRead(caller=call.caller, run=call.run))


@routes.add("PUT", f"{PATH}/{{notification}}/read", Scope.APPLICATION, status=204)
async def mark_read(call: Call) -> None:
    """The caller has read a notification."""
    notification = NotificationId(call.request.match_info["notification"])
    await call.at.notifications.ask(MarkRead(caller=call.caller, notification=notification))
