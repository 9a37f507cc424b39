"""Live streams."""

import contextlib
from functools import partial

from aiohttp import web

from actors.accounts import Authenticate, Caller, Credentials
from actors.ids import PackageId
from actors.packages import ShowPackage
from actors.runs import ReadRun
from actors.runtime import NotFound, Rejected
from appstrate.http.auth import END_USER, bearer
from appstrate.http.call import EVENTS, Call, Query, Routes, Scope
from appstrate.http.endpoint import COOKIES
from appstrate.http.frames import STREAMS
from appstrate.http.refusals import OF_STREAMS
from appstrate.http.sources import ManyRuns, OneRun, Source
from appstrate.http.stream import Stream, channels_of, stream_response

routes = Routes()


STREAM = (
    Query("token", "An API key with runs:read; browsers send their cookie instead."),
    Query("orgId", "With a cookie: the organization."),
    Query("applicationId", "With a cookie: the application."),
    Query("verbose", "`true` to include the data of log lines.", {"type": "boolean"}),
    Query("channels", "Which events, separated by commas: run_update, run_log, run_metric."),
    Query("lastEventId", "As the header Last-Event-ID, for clients that cannot send it."),
)


@routes.add(
    "GET",
    "/api/realtime/runs",
    Scope.PUBLIC,
    query=STREAM,
    answer=EVENTS,
    refuses=OF_STREAMS,
)
async def follow_application(call: Call) -> web.StreamResponse:
    """Every run of the application, from now on or from the last event the client has."""
    caller = _check_many(await _caller(call))
    return await _follow(call, caller, ManyRuns(call.at, caller))


@routes.add(
    "GET",
    "/api/realtime/agents/{package}/runs",
    Scope.PUBLIC,
    query=STREAM,
    answer=EVENTS,
    refuses=OF_STREAMS,
)
async def follow_agent(call: Call) -> web.StreamResponse:
    """Every run of one agent; its id is one part of the path, with its slash encoded."""
    caller = _check_many(await _caller(call))
    package = PackageId(f"@{call.request.match_info['package'].removeprefix('@')}")
    await call.at.packages.ask(ShowPackage(caller=caller, type="agent", package=package))
    return await _follow(call, caller, ManyRuns(call.at, caller, package))


@routes.add(
    "GET",
    "/api/realtime/runs/{run}",
    Scope.PUBLIC,
    query=STREAM,
    answer=EVENTS,
    refuses=OF_STREAMS,
)
async def follow_run(call: Call) -> web.StreamResponse:
    """One run: what it is now, then everything that happens to it."""
    caller = await _caller(call)
    await call.at.run_log.ask(ReadRun(caller=caller, run=call.run))
    return await _follow(call, caller, OneRun(call.at, call.run))


async def _follow(call: Call, caller: Caller, source: Source) -> web.StreamResponse:
    stream = Stream(
        at=call.at,
        streams=call.request.app[STREAMS],
        source=source,
        request=call.request,
        caller=caller,
        authorize=partial(_caller, call),
        since=_since(call),
        verbose=call.query("verbose") == "true",
        channels=channels_of(call.query("channels")),
    )
    response = await stream_response(call.request)
    with contextlib.suppress(
        ConnectionResetError, NotFound
    ):  # clients of streams go away, and runs
        await stream.serve(response)
    return response


def _check_many(caller: Caller) -> Caller:
    """Streams of many runs show those of everybody, so they are not for a single end user."""
    if caller.end_user is not None:
        raise Rejected(
            f"this stream shows the runs of everybody: follow one run, or leave {END_USER} out",
            code="forbidden",
            param=END_USER,
        )
    return caller


async def _caller(call: Call) -> Caller:
    """Streams take their credentials where an EventSource can put them: in the query."""
    key = call.query("token") or bearer(call.request)
    if key is not None:
        given = Credentials(api_key=key, end_user=call.request.headers.get(END_USER))
        found = await call.at.accounts.ask(Authenticate(credentials=given))
        found.caller.require("runs:read")
        return found.caller
    token = call.request.app[COOKIES].read(call.request)
    if token is None:
        raise Rejected(
            "sign in, or send an API key as ?token=ask_…", code="authentication_required"
        )
    org, application = call.query("orgId"), call.query("applicationId")
    if org is None or application is None:
        raise Rejected("the parameters orgId and applicationId are required", param="orgId")
    given = Credentials(session=token, org=org, application=application)
    caller = (await call.at.accounts.ask(Authenticate(credentials=given, renew=False))).caller
    if caller.application is None:
        raise NotFound("there is no such application in this organization")
    return caller


def _since(call: Call) -> int | None:
    text = call.request.headers.get("Last-Event-ID") or call.query("lastEventId") or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
