"""The model proxy: a run's token goes in, the provider's key goes out.

The token stands where the key would stand, in whatever header the provider's protocol has for it,
so the proxy needs to know nothing about providers. Bodies are passed on as they come.
"""

import asyncio
from collections.abc import AsyncGenerator
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
import structlog
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from actors.egress import Egress
from actors.runtime import AskError, Refusal, Rejected, Unavailable
from adapters.local.lookups import Lookups, resolved
from appstrate.sidecar.alias import (
    MOST_REQUEST_BYTES,
    Alias,
    PublicAnswer,
    real_request,
    told_error,
)
from appstrate.sidecar.demo_model import answer
from appstrate.sidecar.upstream import Upstream, Upstreams
from appstrate.sidecar.watch import CallWatch, watching

log = structlog.get_logger("proxy")

HOP_BY_HOP = frozenset(
    {
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te"),
        *("trailers", "transfer-encoding", "upgrade", "host", "content-length", "accept-encoding"),
    }
)
ANSWER_HEADERS = frozenset({"content-type", "content-encoding", "retry-after", "x-request-id"})
ANSWER_SECONDS = 30 * 60
DEMO_PAUSE = 0.002


class BlockedAddressError(OSError):
    """A name that resolves to this machine or a private network."""


class GuardedResolver(AbstractResolver):
    """Resolves a name once, and lets it through only if every address it has is allowed.

    What is connected to is what was checked: the addresses go straight to the connector.
    """

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        self._lookups = Lookups()

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: int = 0,
    ) -> list[ResolveResult]:
        found = await self._lookups(host, port)
        try:
            return resolved(host, port, self._egress.pinned(host, found))
        except Rejected as refusal:
            raise BlockedAddressError(refusal.detail) from None

    async def close(self) -> None:
        """There is nothing to close."""


class ModelProxy:
    """Serves `/llm/*` to runs."""

    def __init__(self, upstreams: Upstreams, egress: Egress) -> None:
        self._upstreams = upstreams
        self._egress = egress
        self._session: aiohttp.ClientSession | None = None

    def application(self) -> web.Application:
        """The proxy as an application of its own, to be bound to loopback."""
        application = web.Application(client_max_size=0)
        application.router.add_route("*", "/llm{tail:/.*}", self._serve)
        application.cleanup_ctx.append(self._with_session)
        return application

    async def _with_session(self, _: web.Application) -> AsyncGenerator[None, None]:
        resolver = GuardedResolver(self._egress)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, resolver=resolver, use_dns_cache=False),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=15, sock_read=ANSWER_SECONDS),
            auto_decompress=False,
        )
        yield
        await self._session.close()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        token = _token(request)
        try:
            upstream = await self._upstreams.find(token)
        except Unavailable as refusal:
            return _error(503, refusal.detail, {"Retry-After": "1"})
        except Refusal as refusal:
            return _error(401, refusal.detail)
        except AskError:
            return _error(500, "the platform failed to look the run's model up")
        note = partial(self._upstreams.note, upstream.run)
        with watching(note, (upstream.api_key, token)) as watch:
            if upstream.demo:
                return await self._perform(request, upstream, watch)
            return await self._forward(request, upstream, token, watch)

    async def _perform(
        self, request: web.Request, upstream: Upstream, watch: CallWatch
    ) -> web.StreamResponse:
        content = b"".join([chunk async for chunk in request.content.iter_any()])
        try:
            body = msgspec.json.decode(content, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return watch.refused(_error(400, f"the body is no JSON object: {error}"))
        watch.answered(200)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for event in answer(upstream.script, upstream.input, body):
            watch.read(event)
            await response.write(event)
            await asyncio.sleep(DEMO_PAUSE)
        return response

    async def _forward(
        self, request: web.Request, upstream: Upstream, token: str, watch: CallWatch
    ) -> web.StreamResponse:
        assert self._session is not None
        url = upstream.base_url + request.rel_url.raw_path.removeprefix("/llm")
        if request.rel_url.raw_query_string:
            url += f"?{request.rel_url.raw_query_string}"
        headers = _headers(request, token, upstream.api_key)
        body: Any = request.content if request.can_read_body else None
        try:
            self._egress.check_url(url, "the model's base URL")
            if upstream.alias is not None:
                body = real_request(await _whole(request), upstream.alias)
                headers.pop("Content-Length", None)
            async with self._session.request(
                request.method, url, headers=headers, data=body, allow_redirects=False
            ) as answered:
                return await _relay(request, answered, watch, upstream.alias)
        except Refusal as refusal:
            return watch.refused(_error(403, refusal.detail))
        except (ValueError, RecursionError) as error:
            return watch.refused(_error(400, str(error)))
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            host = urlsplit(url).netloc
            log.warning("model API out of reach", host=host, why=reason)
            if upstream.alias is not None:
                return watch.refused(_error(502, "cannot reach the model's provider"))
            return watch.refused(_error(502, f"cannot reach the model API at {host}: {reason}"))


async def _relay(
    request: web.Request,
    answered: aiohttp.ClientResponse,
    watch: CallWatch,
    alias: Alias | None,
) -> web.StreamResponse:
    watch.answered(answered.status)
    kept = {k: v for k, v in answered.headers.items() if k.lower() in ANSWER_HEADERS}
    if alias is not None:
        kept.pop("x-request-id", None)
        if answered.status >= 300:
            return _aliased_error(answered, watch)
    response = web.StreamResponse(status=answered.status, headers=kept)
    await response.prepare(request)
    events = answered.content_type == "text/event-stream"
    renamed = PublicAnswer(alias, events=events) if alias is not None else None
    try:
        async for chunk in answered.content.iter_any():
            watch.read(chunk)
            await response.write(chunk if renamed is None else renamed.feed(chunk))
        if renamed is not None:
            await response.write(renamed.rest())
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        watch.broke_off(error)
        # The head is sent: breaking off is the only honest way left to say that this failed.
        log.warning("model API broke off", why=str(error) or type(error).__name__)
        if request.transport is not None:
            request.transport.abort()
    return response


def _aliased_error(answered: aiohttp.ClientResponse, watch: CallWatch) -> web.Response:
    """An error without its words; when to try again is kept."""
    after = answered.headers.get("Retry-After")
    told = web.json_response(
        told_error(answered.status),
        status=answered.status if answered.status >= 400 else 502,
        headers={"Retry-After": after} if after else None,
    )
    return watch.refused(told)


async def _whole(request: web.Request) -> bytes:
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > MOST_REQUEST_BYTES:
            raise ValueError(f"the request is larger than {MOST_REQUEST_BYTES} bytes")
    return bytes(body)


def _token(request: web.Request) -> str:
    authorization = request.headers.get("Authorization", "")
    if authorization.startswith("Bearer "):
        return authorization.removeprefix("Bearer ")
    return request.headers.get("x-api-key") or request.headers.get("api-key") or ""


def _headers(request: web.Request, token: str, key: str) -> dict[str, str]:
    headers = {"Accept-Encoding": "identity"}
    if request.content_length is not None:
        headers["Content-Length"] = str(request.content_length)
    for name, value in request.headers.items():
        if name.lower() in HOP_BY_HOP:
            continue
        if token in value:
            if not key:
                continue  # a server without keys gets no header for one
            headers[name] = value.replace(token, key)
        else:
            headers[name] = value
    return headers


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"error": {"message": message}}, status=status, headers=headers)
