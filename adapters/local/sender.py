"""Posts over HTTP, from this process, to addresses that were checked."""

import asyncio
import socket
import time
from functools import partial

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler

from actors.egress import Egress
from actors.runtime import Rejected
from actors.webhooks import Sent
from adapters.local.lookups import Lookups, Resolver, resolved

SECONDS = 15.0
MOST_BYTES = 512 * 1024
"""More than any head of an answer has; what follows it is not read."""

USER_AGENT = "Appstrate-Webhooks"


class _BlockedError(OSError):
    """A name that resolves to this machine or a private network."""


class HttpSender:
    """`Sender` with one connection per request: receivers are many, and each is called rarely."""

    def __init__(
        self, egress: Egress, *, resolver: Resolver | None = None, seconds: float = SECONDS
    ) -> None:
        self._egress = egress
        self._resolver = resolver or Lookups()
        self._timeout = aiohttp.ClientTimeout(total=seconds)

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> Sent:
        began = time.monotonic()
        status, error, blocked = None, None, False
        try:
            # What was allowed when the webhook was made may not be any more.
            self._egress.check_url(url, "url")
            status = await self._post(url, body, headers)
        except Rejected as refusal:
            error, blocked = refusal.detail, True
        except TimeoutError:
            error = f"the receiver did not answer within {self._timeout.total:g} seconds"
        except aiohttp.ClientConnectorError as problem:
            blocked = isinstance(problem.os_error, _BlockedError)
            told = str(problem.os_error)
            error = told if blocked else f"the receiver cannot be reached: {told}"
        except (aiohttp.ClientResponseError, aiohttp.ClientPayloadError):
            error = "the receiver's answer is not HTTP, or its head is too long"
        except aiohttp.ServerDisconnectedError:
            error = "the receiver closed the connection before it had answered"
        except (aiohttp.ClientError, OSError, ValueError) as problem:
            error = f"the receiver cannot be reached: {str(problem) or type(problem).__name__}"
        latency = round(1000 * (time.monotonic() - began))
        return Sent(status=status, latency=latency, error=error, blocked=blocked)

    async def _post(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        connector = _Connector(_Pinning(self._egress, self._resolver))
        async with (
            aiohttp.ClientSession(
                connector=connector,
                timeout=self._timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": USER_AGENT},
                auto_decompress=False,
            ) as session,
            session.post(url, data=body, headers=headers, allow_redirects=False) as answered,
        ):
            return answered.status


class _Connector(aiohttp.TCPConnector):
    """Connections that end once they have brought more than an answer to a delivery may have."""

    def __init__(self, resolver: AbstractResolver) -> None:
        super().__init__(resolver=resolver, use_dns_cache=False, force_close=True)
        self._factory = partial(_listening, asyncio.get_running_loop())


class _Listening(ResponseHandler):
    """Without this, interim answers (1xx) without an end would keep the event loop busy."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._heard = 0

    def data_received(self, data: bytes) -> None:
        self._heard += len(data)
        if self._heard <= MOST_BYTES:
            super().data_received(data)
        elif self.transport is not None:
            self.set_exception(aiohttp.ClientPayloadError("an answer without an end"))
            self.transport.abort()


def _listening(loop: asyncio.AbstractEventLoop) -> ResponseHandler:
    return _Listening(loop)


class _Pinning(AbstractResolver):
    """Hands the connector the addresses that were checked, and nothing else."""

    def __init__(self, egress: Egress, resolver: Resolver) -> None:
        self._egress = egress
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        try:
            addresses = self._egress.pinned(host, await self._resolver(host, port))
        except Rejected as refusal:
            raise _BlockedError(refusal.detail) from None
        if not addresses:
            raise OSError(f"{host} has no address")
        return resolved(host, port, addresses)

    async def close(self) -> None:
        """There is nothing to close."""
