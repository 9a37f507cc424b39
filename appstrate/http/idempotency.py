"""The header Idempotency-Key: a request is carried out once, however often it is sent."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from actors.accounts import Caller
from actors.idempotency import KeepAnswer, KeptAnswer, ReleaseKey, ReserveKey, Slot
from actors.runtime import AskError, Refusal, Rejected, Unavailable
from appstrate.http.call import UPLOAD, Call, Route, Scope
from appstrate.http.files import uploaded_file
from appstrate.http.problems import problem_response

HEADER = "Idempotency-Key"
LONGEST_KEY = 255
LARGEST_ANSWER = 2**20
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
PROXIES = ("/api/llm-proxy/", "/api/credential-proxy/")
OF_THE_CONNECTION = frozenset({"set-cookie", "content-length", "date", "connection"})


def takes_keys(route: Route) -> bool:
    """Whether a route honours keys: every POST of the API by somebody who is known.

    Signing in and the runs' own routes are public, so they are none of these. A raw upload and a
    proxied call belong to somebody else's protocol.
    """
    if route.method != "POST" or route.scope is Scope.PUBLIC:
        return False
    raw = route.takes is not None and route.takes.type not in (UPLOAD.type, "application/json")
    return not raw and not route.path.startswith(PROXIES)


async def once(
    call: Call, carry_out: Callable[[], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Carry a request out, or give the answer that is kept under its key.

    An answer is kept when the same request would be answered the same again: any below 500 but
    429, of at most a MiB, to a body that was read to its end.
    """
    key = call.request.headers.get(HEADER)
    if key is None or not _is_honoured(call.route):
        return await carry_out()
    if not 0 < len(key) <= LONGEST_KEY:
        raise Rejected(
            f"{HEADER} must have 1 to {LONGEST_KEY} characters",
            code="invalid_idempotency_key",
            param=HEADER,
        )
    slot = Slot(
        scope=_scope(call.caller),
        method=call.request.method,
        path=call.request.path,
        key=key,
        holder=call.request_id,
    )
    kept = await call.at.idempotency.ask(ReserveKey(slot=slot))
    return await (_hold(call, slot, carry_out) if kept is None else _replay(call, kept))


def refuses_keys(route: Route) -> bool:
    """Whether a route does not honour keys, and says so rather than carry out anything twice."""
    unsafe = route.method not in SAFE_METHODS and route.scope is not Scope.PUBLIC
    return unsafe and not takes_keys(route)


def _is_honoured(route: Route) -> bool:
    if refuses_keys(route):
        raise Rejected(
            f"{HEADER} is honoured by POST requests only",
            code="idempotency_not_supported",
            param=HEADER,
        )
    return takes_keys(route)


def _scope(caller: Caller) -> str:
    """Who shares a key: an application, or an end user of it, else a caller, else a user."""
    if caller.application is not None:
        scope = f"{caller.org}/{caller.application}"
        return scope if caller.end_user is None else f"{scope}/{caller.end_user}"
    return f"{caller.org or ''}/{caller.user}"


async def _hold(
    call: Call, slot: Slot, carry_out: Callable[[], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    answer: KeptAnswer | None = None
    try:
        try:
            response = await carry_out()
        except Refusal as refusal:
            response = problem_response(refusal, call.request_id)
        answer = _to_keep(call, response)
        if answer is not None:
            await call.at.idempotency.ask(KeepAnswer(slot=slot, answer=answer))
    except (Unavailable, AskError):
        # It was carried out, and this client is told so; only a repetition would not be.
        answer = None
    finally:
        if answer is None:
            call.at.idempotency.tell(ReleaseKey(slot=slot))
    return response


def _to_keep(call: Call, response: web.StreamResponse) -> KeptAnswer | None:
    fingerprint = call.fingerprint.digest()
    if fingerprint is None or not isinstance(response, web.Response):
        return None
    body = response.body if response.body is not None else b""
    if not isinstance(body, bytes) or len(body) > LARGEST_ANSWER:
        return None
    if response.status >= 500 or response.status == 429:
        return None
    headers = {n: v for n, v in response.headers.items() if n.lower() not in OF_THE_CONNECTION}
    return KeptAnswer(fingerprint=fingerprint, status=response.status, headers=headers, body=body)


async def _replay(call: Call, kept: KeptAnswer) -> web.Response:
    if call.route.takes is not None and call.route.takes.type == UPLOAD.type:
        async for _ in await uploaded_file(call):
            pass
    elif call.route.body is not None or call.route.takes is not None:
        await call.body()
    if call.fingerprint.digest() != kept.fingerprint:
        raise Rejected(
            f"this {HEADER} was used for another request: use another key",
            code="idempotency_conflict",
            param=HEADER,
        )
    headers = kept.headers | {"Idempotent-Replayed": "true"}
    return web.Response(body=kept.body, status=kept.status, headers=headers)
