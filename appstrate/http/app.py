"""The aiohttp application: one dispatcher around every route."""

import re
import time
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import msgspec
import structlog
from aiohttp import web

from actors.addresses import Addresses
from actors.runtime import Context, Refusal, Unavailable, current_context
from appstrate.http.auth import Cookies, CookieSettings, authenticate, is_dead_session
from appstrate.http.call import Call, Handler, Page, Route
from appstrate.http.codec import check_length, check_text, json_response, read_json
from appstrate.http.problems import http_error, internal_error, problem_response
from appstrate.http.versions import API_VERSION

log = structlog.get_logger("http")

TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
UNGATED = ("/health",)
IGNORED_LIMIT = 1000

ADDRESSES: web.AppKey[Addresses] = web.AppKey("addresses", Addresses)
COOKIES: web.AppKey[Cookies] = web.AppKey("cookies", Cookies)
REQUEST_ID: web.RequestKey[str] = web.RequestKey("request_id", str)
PREPARED: web.RequestKey[web.StreamResponse] = web.RequestKey("prepared", web.StreamResponse)


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the HTTP layer needs to know."""

    cookies: CookieSettings
    body_limit: int


class Gate:
    """Whether requests are let in: not before everything runs, not while it stops."""

    def __init__(self) -> None:
        self.closed: str | None = "starting"

    def open(self) -> None:
        """Let requests in."""
        self.closed = None

    def close(self) -> None:
        """Let no more in."""
        self.closed = "shutting_down"

    def check(self) -> None:
        """Refuse while the gate is closed."""
        if self.closed is not None:
            what = self.closed.replace("_", " ")
            raise Unavailable(f"the server is {what}", code=self.closed, retry_after=1)


def build_application(
    settings: HttpSettings, at: Addresses, gate: Gate, routes: Iterable[Route]
) -> web.Application:
    """The application; `gate` decides when it answers."""
    application = web.Application(middlewares=[_outermost(gate)], client_max_size=0)
    application[ADDRESSES] = at
    application[COOKIES] = Cookies(settings.cookies)
    application.on_response_prepare.append(_sign)
    for route in routes:
        application.router.add_route(route.method, route.path, _endpoint(route, settings))
    return application


def _outermost(gate: Gate) -> Any:
    """Identity, gate, errors and the access log, around everything."""

    @web.middleware
    async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = time.perf_counter()
        request[REQUEST_ID] = f"req_{uuid4()}"
        traceparent = _traceparent(request)
        current_context.set(Context(request_id=request[REQUEST_ID], traceparent=traceparent))
        try:
            if request.path not in UNGATED:
                gate.check()
            check_text(request)
            response: web.StreamResponse = await handler(request)
        except Refusal as refusal:
            response = _refused(request, refusal)
        except web.HTTPException as error:
            response = problem_response(http_error(error), request[REQUEST_ID])
        except Exception:
            log.exception("request failed", path=request.path)
            response = problem_response(internal_error(), request[REQUEST_ID])
        if request.get(PREPARED, response) is not response:
            # Its head is sent, so there is no other way left to say that it failed.
            response = request[PREPARED]
            if request.transport is not None:
                request.transport.abort()
        _log_access(request, response, began)
        return response

    return around


async def _sign(request: web.Request, response: web.StreamResponse) -> None:
    """Name the request and the API's version on every response, streams included."""
    request[PREPARED] = response
    response.headers["Request-Id"] = request[REQUEST_ID]
    response.headers["Appstrate-Version"] = API_VERSION
    traceparent = current_context.get().traceparent
    if traceparent is not None:
        response.headers["traceparent"] = traceparent


def _traceparent(request: web.Request) -> str | None:
    given = request.headers.get("traceparent", "")
    return given if TRACEPARENT.fullmatch(given) else None


def _endpoint(route: Route, settings: HttpSettings) -> Handler:
    async def serve(request: web.Request) -> web.StreamResponse:
        at, cookies = request.app[ADDRESSES], request.app[COOKIES]
        limit = settings.body_limit
        if route.body is not None:
            check_length(request, limit)
        call = Call(
            at=at, request=request, request_id=request[REQUEST_ID], body_limit=limit, route=route
        )
        call.authentication = await authenticate(request, at, cookies, route.scope)
        if route.permission is not None:
            call.caller.require(route.permission)
        arguments: list[Any] = [call]
        if route.body is not None:
            body, ignored = await read_json(request, route.body, limit)
            arguments.append(body)
            if ignored:
                call.headers["X-Ignored-Fields"] = ", ".join(map(quote, ignored))[:IGNORED_LIMIT]
        response = _response(await route.handler(*arguments), route, call)
        found = call.authentication
        if found is not None and found.renewed and found.session is not None:
            cookies.set(response, cookies.read(request) or "", found.session.expires_at)
        return response

    return serve


def _response(answer: Any, route: Route, call: Call) -> web.StreamResponse:
    if isinstance(answer, web.StreamResponse):
        return answer
    if answer is None and route.status == 204:
        return web.Response(status=204, headers=call.headers)
    if isinstance(answer, Page) and "Link" not in call.headers:
        call.headers["Link"] = f'<{call.request.rel_url}>; rel="self"'
    return json_response(answer, route.status, call.headers)


def _refused(request: web.Request, refusal: Refusal) -> web.Response:
    response = problem_response(refusal, request[REQUEST_ID])
    cookies = request.app[COOKIES]
    if is_dead_session(refusal, request, cookies):
        cookies.clear(response)
    return response


def _log_access(request: web.Request, response: web.StreamResponse, began: float) -> None:
    # The query is left out: it may hold a token.
    log.debug(
        "request",
        method=request.method,
        path=request.path,
        status=response.status,
        ms=round((time.perf_counter() - began) * 1000, 1),
    )
