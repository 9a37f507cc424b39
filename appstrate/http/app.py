"""The aiohttp application: one dispatcher around every route."""

import re
import time
from collections.abc import Iterable
from typing import Any
from uuid import uuid4

import msgspec
import structlog
from aiohttp import HttpVersion11, hdrs, web

from actors.addresses import Addresses
from actors.runtime import Context, Refusal, current_context
from appstrate.http.audit import route_that_shows
from appstrate.http.auth import Cookies, CookieSettings
from appstrate.http.call import Handler, Route, Scope
from appstrate.http.client import TRUSTED_HOPS
from appstrate.http.codec import check_text
from appstrate.http.cors import Cors
from appstrate.http.endpoint import (
    ADDRESSES,
    COOKIES,
    REQUEST_ID,
    SCOPE,
    URL,
    VERSION,
    endpoint,
    refused,
)
from appstrate.http.frames import STREAMS, Streams
from appstrate.http.gate import GATE, Gate
from appstrate.http.limits import FACTOR, sign_allowance
from appstrate.http.metrics import REQUESTS, RequestCounts
from appstrate.http.problems import http_error, internal_error, problem_response
from appstrate.http.versions import API_VERSION
from appstrate.http.waiting import WAITERS, Waiters

log = structlog.get_logger("http")

TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
UNGATED = ("/health",)

CORS: web.AppKey[Cors] = web.AppKey("cors", Cors)
PREPARED: web.RequestKey[web.StreamResponse] = web.RequestKey("prepared", web.StreamResponse)


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the HTTP layer needs to know. `trusted_hops` is how many proxies every request has come
    through, `rate_factor` what every limit of a route is multiplied with.
    """

    cookies: CookieSettings
    body_limit: int
    url: str
    trusted_hops: int = 0
    rate_factor: int = 1


def build_application(
    settings: HttpSettings, at: Addresses, gate: Gate, routes: Iterable[Route]
) -> web.Application:
    """The application; `gate` decides when it answers."""
    application = web.Application(middlewares=[_outermost(gate)], client_max_size=0)
    application[ADDRESSES] = at
    application[COOKIES] = Cookies(settings.cookies)
    application[GATE] = gate
    application[TRUSTED_HOPS] = settings.trusted_hops
    application[FACTOR] = settings.rate_factor
    application[URL] = settings.url
    application.on_response_prepare.append(_sign)
    application[REQUESTS] = RequestCounts()
    streams = application[STREAMS] = Streams()
    gate.on_drain(streams.end)
    application[WAITERS] = Waiters()
    application[CORS] = Cors(settings.cookies.trusted_origins)
    known = list(routes)
    showing = {r.path: r for r in known if r.method == "GET" and r.answer is None}
    for route in known:
        shown_by = route_that_shows(route, showing)
        serve = endpoint(route, settings.body_limit, settings.rate_factor, shown_by)
        methods = ["GET", "HEAD"] if route.method == "GET" and not route.is_stream else []
        for method in methods or [route.method]:
            application.router.add_route(method, route.path, serve, expect_handler=_expect)
    return application


def _outermost(gate: Gate) -> Any:
    """Identity, gate, errors and the access log, around everything."""

    @web.middleware
    async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = time.perf_counter()
        request[REQUEST_ID] = f"req_{uuid4()}"
        traceparent = _traceparent(request)
        about = Context(
            request_id=request[REQUEST_ID],
            traceparent=traceparent,
            run=request.match_info.get("run"),
        )
        current_context.set(about)
        try:
            if request.path not in UNGATED:
                gate.check()
            check_text(request)
            asked = request.app[CORS].preflight(request)
            response: web.StreamResponse = asked or await handler(request)
        except Refusal as refusal:
            response = refused(request, refusal)
        except web.HTTPException as error:
            response = problem_response(http_error(error), request[REQUEST_ID])
            if (allowed := error.headers.get(hdrs.ALLOW)) is not None:
                response.headers[hdrs.ALLOW] = allowed
        except Exception as error:
            # A client that went away was not failed.
            if not (isinstance(error, ConnectionError) and request.transport is None):
                log.exception("request failed", path=request.path)
            response = problem_response(internal_error(), request[REQUEST_ID])
        if request.get(PREPARED, response) is not response:
            # Its head is sent, so there is no other way left to say that it failed.
            response = request[PREPARED]
            if request.transport is not None:
                request.transport.abort()
        seconds = time.perf_counter() - began
        request.app[REQUESTS].add(request, response.status, seconds)
        _log_access(request, response, seconds)
        return response

    return around


async def _expect(request: web.Request) -> None:
    """Let a client that waits for it send its body; what else it expects is nothing known here."""
    length, version = request.headers.get(hdrs.EXPECT, ""), request.version
    if length.lower() == "100-continue" and version >= HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # What was written counts as the beginning of the answer, and is none.
        request.writer.output_size = 0


async def _sign(request: web.Request, response: web.StreamResponse) -> None:
    """Name the request and the API's version on every response, streams included."""
    request[PREPARED] = response
    response.headers["Request-Id"] = request.get(REQUEST_ID) or f"req_{uuid4()}"
    response.headers["Server"] = "Appstrate"  # and not which Python of which library
    response.headers["Appstrate-Version"] = request.get(VERSION, API_VERSION)
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    if request.get(SCOPE, Scope.PUBLIC) is not Scope.PUBLIC:
        response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
    request.app[CORS].sign(request, response)
    sign_allowance(request, response)
    traceparent = current_context.get().traceparent
    if traceparent is not None:
        response.headers["traceparent"] = traceparent


def _traceparent(request: web.Request) -> str | None:
    given = request.headers.get("traceparent", "")
    return given if TRACEPARENT.fullmatch(given) else None


def _log_access(request: web.Request, response: web.StreamResponse, seconds: float) -> None:
    # The query is left out: it may hold a token.
    log.debug(
        "request",
        method=request.method,
        path=request.path,
        status=response.status,
        ms=round(seconds * 1000, 1),
    )
