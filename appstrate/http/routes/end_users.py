"""The end users of an application."""

import msgspec

from actors.accounts import (
    ChangeEndUser,
    CreateEndUser,
    DeleteEndUser,
    EndUser,
    EndUserFields,
    EndUserQuery,
    ListEndUsers,
    ReadEndUser,
)
from actors.contract import spell
from actors.ids import EndUserId
from appstrate.http.call import Call, Page, Query, Routes, Scope, number

routes = Routes()

END_USERS = "/api/end-users"
END_USER = "/api/end-users/{end_user}"


class EndUserBody(msgspec.Struct, kw_only=True, rename=spell, forbid_unknown_fields=True):
    """What is told of an end user: of metadata at most 50 keys, of at most 40 characters each."""

    name: str | None = None
    email: str | None = None
    external_id: str | None = None
    metadata: dict[str, str | int | float | bool | None] | None = None

    def fields(self) -> EndUserFields:
        """The same for the actors."""
        return msgspec.convert(self, EndUserFields, from_attributes=True)


@routes.add(
    "POST",
    END_USERS,
    Scope.APPLICATION,
    "end-users:write",
    body=EndUserBody,
    status=201,
    limit=60,
    refuses={409: "conflict external_id_taken"},
)
async def create_end_user(call: Call, body: EndUserBody) -> EndUser:
    """Add an end user."""
    return await call.at.end_users.ask(CreateEndUser(caller=call.caller, fields=body.fields()))


@routes.add(
    "GET",
    END_USERS,
    Scope.APPLICATION,
    "end-users:read",
    query=(
        Query("limit", "End users on a page.", number(100, 20)),
        Query("search", "Part of a name, an address or an external id, in any case."),
        Query("email", "Only who has this address."),
        Query("externalId", "Only who has this external id."),
        Query("startingAfter", "The id of the last end user of the page before this one."),
        Query("endingBefore", "The id of the first end user of the page after this one."),
    ),
    limit=300,
)
async def list_end_users(call: Call) -> Page[EndUser]:
    """The end users of the application, newest first."""
    after, before = call.query("startingAfter"), call.query("endingBefore")
    query = EndUserQuery(
        limit=call.number("limit", 20, most=100),
        search=call.query("search"),
        email=call.query("email"),
        external_id=call.query("externalId"),
        after=EndUserId(after) if after is not None else None,
        before=EndUserId(before) if before is not None else None,
    )
    found = await call.at.end_users.ask(ListEndUsers(caller=call.caller, query=query))
    if found.more and query.before is None:
        call.next_page(startingAfter=found.end_users[-1].id)
    return Page(data=found.end_users, has_more=found.more)


@routes.add("GET", END_USER, Scope.APPLICATION, "end-users:read")
async def read_end_user(call: Call) -> EndUser:
    """One end user."""
    return await call.at.end_users.ask(ReadEndUser(caller=call.caller, end_user=_named(call)))


@routes.add(
    "PATCH",
    END_USER,
    Scope.APPLICATION,
    "end-users:write",
    body=EndUserBody,
    refuses={409: "conflict external_id_taken"},
)
async def change_end_user(call: Call, body: EndUserBody) -> EndUser:
    """Change what is told of an end user: metadata is merged, and null changes nothing."""
    return await call.at.end_users.ask(
        ChangeEndUser(caller=call.caller, end_user=_named(call), fields=body.fields())
    )


@routes.add("DELETE", END_USER, Scope.APPLICATION, "end-users:delete", status=204)
async def delete_end_user(call: Call) -> None:
    """Delete an end user, their schedules and what agents keep of them; their runs stay."""
    await call.at.end_users.ask(DeleteEndUser(caller=call.caller, end_user=_named(call)))


def _named(call: Call) -> EndUserId:
    return EndUserId(call.request.match_info["end_user"])
