"""What a run may ask while it runs, with its bearer token: earlier runs, and notes they took."""

from typing import cast, get_args

import msgspec

from actors.limiter import Rule, TakeTurn
from actors.persistence import Memory, PastField, PastRun, ReadHistory, Recall
from actors.runs import IdentifyRun, RunIdentity
from actors.runtime import Rejected
from appstrate.http.call import Call, Page, Query, Routes, Scope, number
from appstrate.http.refusals import OF_TOKENS

routes = Routes()

RULE = Rule(name="internal", limit=200)
LIMIT = Query("limit", "How many.", number(50, 10))
LONGEST_TEXT = 2000
FIELDS = get_args(PastField)


class Memories(msgspec.Struct, kw_only=True):
    """Notes that were found."""

    memories: list[Memory]


@routes.add(
    "GET",
    "/internal/run-history",
    Scope.PUBLIC,
    query=(
        LIMIT,
        Query("fields", "What to tell: checkpoint, result, or both with a comma between them."),
    ),
    of_runs=True,
    refuses=OF_TOKENS,
)
async def read_history(call: Call) -> Page[PastRun]:
    """Earlier runs of the run's agent that succeeded for the same user, the latest first."""
    who = await _identified(call)
    wanted = (call.query("fields") or "checkpoint").split(",")
    fields = frozenset(cast("PastField", each) for each in wanted if each in FIELDS)
    found = await call.at.persistence.ask(
        ReadHistory(
            viewer=who.viewer, run=who.run, fields=fields, limit=call.number("limit", 10, most=50)
        )
    )
    return Page(data=found.runs, has_more=found.more)


@routes.add(
    "GET",
    "/internal/memories",
    Scope.PUBLIC,
    query=(LIMIT, Query("q", "Part of the note, in any case; without it every note is found.")),
    of_runs=True,
    refuses=OF_TOKENS,
)
async def recall(call: Call) -> Memories:
    """Notes of earlier runs of the run's agent, of the same user or shared, the latest first."""
    who = await _identified(call)
    text = call.query("q") or ""
    if len(text) > LONGEST_TEXT:
        raise Rejected(f"q is longer than {LONGEST_TEXT} characters", param="q")
    limit = call.number("limit", 10, most=50)
    found = await call.at.persistence.ask(Recall(viewer=who.viewer, text=text, limit=limit))
    return Memories(memories=found)


async def _identified(call: Call) -> RunIdentity:
    kind, _, token = call.request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token:
        raise Rejected(
            "send the token of the run as `Authorization: Bearer …`", code="authentication_required"
        )
    who = await call.at.run_tokens.ask(IdentifyRun(token=token.strip()))
    allowance = await call.at.limiter.ask(TakeTurn(rule=RULE, key=who.run))
    allowance.check("this run has asked too often")
    return who
