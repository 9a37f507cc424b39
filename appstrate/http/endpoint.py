"""One route as aiohttp calls it: the checks in their order, the handler, its answer."""

from urllib.parse import quote

from aiohttp import web

from actors.addresses import Addresses
from actors.runtime import Refusal
from appstrate.http.audit import as_it_was, note
from appstrate.http.auth import Cookies, authenticate, is_dead_session
from appstrate.http.call import Call, Handler, Page, Route, Scope
from appstrate.http.codec import check_length, decode_body, json_response
from appstrate.http.gate import GATE
from appstrate.http.idempotency import once
from appstrate.http.limits import take_turn
from appstrate.http.problems import problem_response
from appstrate.http.versions import choose_version

ADDRESSES: web.AppKey[Addresses] = web.AppKey("addresses", Addresses)
URL: web.AppKey[str] = web.AppKey("url", str)
COOKIES: web.AppKey[Cookies] = web.AppKey("cookies", Cookies)
REQUEST_ID: web.RequestKey[str] = web.RequestKey("request_id", str)
VERSION: web.RequestKey[str] = web.RequestKey("version", str)
SCOPE: web.RequestKey[Scope] = web.RequestKey("scope", Scope)
IGNORED_LIMIT = 1000
OF_STRANGERS = 2**16
"""How long a body may be whose sender nobody knows: enough to sign in with, and read at once."""


def endpoint(
    route: Route, body_limit: int, rate_factor: int = 1, shown_by: Route | None = None
) -> Handler:
    """The handler of a route within aiohttp. `shown_by` reads what it changes, for the audit.

    While the server drains, new work is refused before anything else, and then a body that says it
    is too long; then come who asks, the version they speak, how often they have asked, what they
    may, the answer that is kept under their key, and the body.
    """
    name = f"{route.method} {route.path}"
    rule = None if route.limit is None else route.limit.rule(name, rate_factor)
    if route.scope is Scope.PUBLIC and not route.of_runs:
        body_limit = min(body_limit, OF_STRANGERS)

    async def serve(request: web.Request) -> web.StreamResponse:
        request[SCOPE] = route.scope
        request.app[GATE].admit(route)
        if route.body is not None:
            check_length(request, body_limit)
        at, cookies = request.app[ADDRESSES], request.app[COOKIES]
        call = Call(
            at=at,
            request=request,
            request_id=request[REQUEST_ID],
            body_limit=body_limit,
            route=route,
            url=request.app[URL],
        )
        found = call.authentication = await authenticate(request, at, cookies, route.scope)
        chosen = found.caller.api_version if found is not None else None
        request[VERSION] = choose_version(request, chosen)
        if rule is not None:
            await take_turn(at, request, rule, found.caller if found is not None else None)
        if route.permission is not None:
            call.caller.require(route.permission)
        response = await once(call, lambda: _carry_out(call, shown_by))
        if found is not None and found.renewed and found.session is not None:
            cookies.set(response, cookies.read(request) or "", found.session.expires_at)
        return response

    return serve


async def _carry_out(call: Call, shown_by: Route | None) -> web.StreamResponse:
    route, arguments = call.route, [call]
    if route.body is not None:
        body, ignored = decode_body(await call.body(), route.body)
        arguments.append(body)
        if ignored:
            told = ", ".join(quote(name[:IGNORED_LIMIT]) for name in ignored)
            call.headers["X-Ignored-Fields"] = told[:IGNORED_LIMIT]
    was = None if shown_by is None else await as_it_was(call, shown_by)
    answer = await route.handler(*arguments)
    failed = isinstance(answer, web.StreamResponse) and answer.status >= 400
    if route.is_audited and not failed:
        await note(call, arguments[1] if route.body is not None else None, answer, was)
    if isinstance(answer, web.StreamResponse):
        return answer
    if answer is None and route.status == 204:
        return web.Response(status=204, headers=call.headers)
    if isinstance(answer, Page) and "Link" not in call.headers:
        call.headers["Link"] = f'<{call.request.rel_url}>; rel="self"'
    return json_response(answer, route.status, call.headers)


def refused(request: web.Request, refusal: Refusal) -> web.Response:
    """The answer to a refused request; a cookie that is of no use any more is taken back."""
    response = problem_response(refusal, request[REQUEST_ID])
    cookies = request.app[COOKIES]
    # What else a public route looks at, a link's token say, has nothing to do with the session.
    is_public = request.get(SCOPE) is Scope.PUBLIC
    if not is_public and is_dead_session(refusal, request, cookies):
        cookies.clear(response)
    return response
