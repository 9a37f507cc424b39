"""What agents keep between runs: reading it and forgetting it."""

from typing import cast, get_args

from actors.contract import Resource, spell
from actors.ids import RunId
from actors.persistence import (
    ActorType,
    Choice,
    Entry,
    ForgetEntries,
    Kind,
    ListEntries,
)
from actors.runtime import NotFound, Rejected
from appstrate.http.call import Call, Query, Routes, Scope

routes = Routes()

LONGEST_ID = 19
PATH = "/api/agents/{scope}/{name}/persistence"
KINDS, ACTORS = get_args(Kind), get_args(ActorType)
CHOICE = (
    Query("kind", "Only what is pinned, or only memories.", {"enum": list(KINDS)}),
    Query("actor_type", "Only what belongs to such actors.", {"enum": list(ACTORS)}),
    Query("actor_id", "Only what belongs to this user or end user."),
    Query("runId", "Only what this run wrote last."),
)


class Kept(Resource, frozen=True, kw_only=True, rename=spell):
    """What an agent keeps, the latest change first, and whether there is more than is told here."""

    pinned: list[Entry]
    memories: list[Entry]
    has_more: bool


class Forgotten(Resource, frozen=True, kw_only=True, rename=spell):
    """How many entries there are no more."""

    deleted_count: int


@routes.add("GET", PATH, Scope.APPLICATION, "persistence:read", query=CHOICE)
async def list_entries(call: Call) -> Kept:
    """What an agent keeps: slots and memories.

    Owners and admins see what belongs to anybody, others what is their own and what is shared.
    At most a thousand entries are told, or about 16 MB; ask for those of one user when there are
    more.
    """
    found = await call.at.persistence.ask(
        ListEntries(caller=call.caller, package=call.package, choice=_choice(call))
    )
    return Kept(
        pinned=[entry for entry in found.entries if entry.pinned],
        memories=[entry for entry in found.entries if not entry.pinned],
        has_more=found.more,
    )


@routes.add("DELETE", PATH, Scope.APPLICATION, "persistence:delete", query=CHOICE)
async def forget(call: Call) -> Forgotten:
    """Forget what an agent keeps; all of it, unless the query says which.

    A parameter that is unknown or empty is refused: it would not have left out anything.
    """
    _check_choice(call)
    forgotten = await call.at.persistence.ask(
        ForgetEntries(caller=call.caller, package=call.package, choice=_choice(call))
    )
    return Forgotten(deleted_count=forgotten)


@routes.add(
    "DELETE", PATH + "/memories/{memory}", Scope.APPLICATION, "persistence:delete", status=204
)
async def forget_memory(call: Call) -> None:
    """Forget one memory."""
    await _forget_one(call, "memory", "memory")


@routes.add("DELETE", PATH + "/pinned/{slot}", Scope.APPLICATION, "persistence:delete", status=204)
async def forget_pinned(call: Call) -> None:
    """Forget one slot."""
    await _forget_one(call, "pinned", "slot")


async def _forget_one(call: Call, kind: Kind, parameter: str) -> None:
    text = call.request.match_info[parameter]
    if not (text.isascii() and text.isdigit() and len(text) < LONGEST_ID):
        raise NotFound(f"this agent keeps nothing under the id {text[:50]}")
    choice = Choice(kind=kind, id=int(text))
    await call.at.persistence.ask(
        ForgetEntries(caller=call.caller, package=call.package, choice=choice)
    )


def _check_choice(call: Call) -> None:
    known = [each.name for each in CHOICE]
    for name, value in call.request.query.items():
        if name not in known:
            told = f"there is no parameter {name[:50]}: what to forget is chosen with "
            raise Rejected(told + ", ".join(known), param=name[:50])
        if not value:
            raise Rejected(f"{name} is empty: leave it out, or say which", param=name)


def _choice(call: Call) -> Choice:
    run = call.query("runId")
    return Choice(
        kind=cast("Kind | None", call.choice("kind", KINDS)),
        actor_type=cast("ActorType | None", call.choice("actor_type", ACTORS)),
        actor_id=call.query("actor_id"),
        run=RunId(run) if run is not None else None,
    )
