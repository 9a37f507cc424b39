"""Reading runs, waiting for them, cancelling them."""

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta

from actors.runs import (
    LEVELS,
    CancelRun,
    DeleteRun,
    ListRuns,
    LogLine,
    ReadLog,
    Run,
    RunQuery,
)
from actors.runtime import Rejected
from appstrate.http.call import Call, Page, Query, Routes, Scope, number, page
from appstrate.http.waiting import read_run as await_run

routes = Routes()

LONGEST_WAIT = 55.0
STATUSES = ("pending", "running", "success", "failed", "timeout", "cancelled")
KINDS = {"all": None, "package": False, "inline": True}
MOST_OFFSET = 2**31
OFFSET = Query("offset", "How many to skip.", number(MOST_OFFSET, 0, least=0))


@routes.add(
    "GET",
    "/api/runs",
    Scope.APPLICATION,
    query=(
        Query("limit", "Runs on a page.", number(100, 20)),
        OFFSET,
        Query("user", "`me` for one's own runs.", {"enum": ["me"]}),
        Query("kind", "Runs of packages, inline runs, or all.", {"enum": list(KINDS)}),
        Query("status", "Only runs in this state.", {"enum": list(STATUSES)}),
        Query("start_date", "Runs created at this date or moment, or later (ISO 8601, UTC)."),
        Query("end_date", "Runs created at this date or moment, or before."),
        Query("chat_session_id", "Only runs of this conversation."),
    ),
)
async def list_runs(call: Call) -> Page[Run]:
    """The runs of the application, newest first; with `user=me` no other filter counts."""
    mine = call.choice("user", ("me",)) is not None
    query = RunQuery(
        limit=call.number("limit", 20, most=100),
        offset=call.number("offset", 0, most=MOST_OFFSET, least=0),
        status=call.choice("status", STATUSES),
        ephemeral=KINDS[call.choice("kind", tuple(KINDS)) or "all"],
        since=moment(call, "start_date"),
        until=moment(call, "end_date", after=True),
    )
    if mine:
        query = RunQuery(limit=query.limit, offset=query.offset, user=call.caller.user)
    elif call.query("chat_session_id") is not None:
        # There are no conversations here.
        return Page(data=[], total=0, limit=query.limit)
    return await list_page(call, query)


async def list_page(call: Call, query: RunQuery) -> Page[Run]:
    """One page of runs, with their total and a link to the next page."""
    found = await call.at.run_log.ask(ListRuns(caller=call.caller, query=query))
    following = query.offset + len(found.runs)
    if more := following < found.total:
        call.next_page(offset=str(following))
    return Page(data=found.runs, has_more=more, total=found.total, limit=query.limit)


@routes.add(
    "GET",
    "/api/runs/{run}",
    Scope.APPLICATION,
    query=(Query("wait", "Seconds to wait for the end of the run, or `true` for 55."),),
)
async def read_run(call: Call) -> Run:
    """One run; with `wait`, once it has ended or the wait is over.

    Ten requests of a key or a user may wait at once: the eleventh is answered immediately.
    """
    return await await_run(call, _wait(call.query("wait")))


@routes.add(
    "GET",
    "/api/runs/{run}/logs",
    Scope.APPLICATION,
    query=(
        Query("since", "The id of the last line one has.", number(2**62, 0, least=0)),
        Query("level", "The lowest level to show.", {"enum": list(LEVELS), "default": "debug"}),
        Query("limit", "Lines on a page.", number(1000, 1000)),
    ),
    limit=120,
)
async def read_logs(call: Call) -> Page[LogLine]:
    """The log of a run after the line `since`, oldest first."""
    wanted = call.query("level")
    limit = call.number("limit", 1000, most=1000)
    message = ReadLog(
        caller=call.caller,
        run=call.run,
        since=call.number("since", 0, most=2**62, least=0),
        level=next((level for level in LEVELS if level == wanted), "debug"),
        limit=limit + 1,
    )
    lines = await call.at.run_log.ask(message)
    shown, more = lines[:limit], len(lines) > limit
    if more:
        call.next_page(since=str(shown[-1].id))
    return page(shown, has_more=more)


@routes.add(
    "DELETE",
    "/api/runs/{run}",
    Scope.APPLICATION,
    "runs:delete",
    status=204,
    refuses={409: "run_in_progress document_in_use"},
)
async def delete_run(call: Call) -> None:
    """Delete a run that has ended, with its log; what it has cost is still accounted for."""
    await call.at.run_manager.ask(DeleteRun(caller=call.caller, run=call.run))


@routes.add(
    "POST",
    "/api/runs/{run}/cancel",
    Scope.APPLICATION,
    "runs:cancel",
    refuses={409: "not_cancellable"},
)
async def cancel_run(call: Call) -> Run:
    """End a run; the answer is the run as it ended."""
    return await call.at.run_manager.ask(CancelRun(caller=call.caller, run=call.run))


def moment(call: Call, name: str, *, after: bool = False) -> datetime | None:
    """A date or a moment in a query; with `after`, the first moment that lies behind it.

    None when there is none, or nothing can lie behind it.
    """
    text = call.query(name)
    if text is None:
        return None
    step = timedelta(microseconds=1)
    with suppress(ValueError):
        date.fromisoformat(text)
        step = timedelta(days=1)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Rejected(
            f"{name} must be a date or a moment as ISO 8601 has it; in a URL, + is written %2B",
            param=name,
        ) from None
    try:
        # As text without an offset is meant: in UTC.
        moment = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except OverflowError:
        raise Rejected(f"{name} lies too far away", param=name) from None
    if not after:
        return moment
    return moment + step if moment < datetime.max.replace(tzinfo=UTC) - step else None


def _wait(text: str | None) -> float:
    match (text or "0").lower():
        case "true":
            return LONGEST_WAIT
        case "0" | "false":
            return 0
        case number:
            try:
                seconds = float(number)
            except ValueError:
                seconds = -1
            if not 0 <= seconds < float("inf"):
                raise Rejected("wait must be true, false or a number of seconds", param="wait")
            return min(seconds, LONGEST_WAIT)
