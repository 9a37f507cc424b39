"""Posts over HTTP, from this process, to addresses that were checked."""

import socket
import time

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from actors.egress import Egress
from actors.runtime import Rejected
from actors.webhooks import Sent
from adapters.local.lookups import Lookups, Resolver, resolved

SECONDS = 15.0
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
        except (aiohttp.ClientError, OSError, ValueError) as problem:
            error = f"the receiver cannot be reached: {str(problem) or type(problem).__name__}"
        latency = round(1000 * (time.monotonic() - began))
        return Sent(status=status, latency=latency, error=error, blocked=blocked)

    async def _post(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        connector = aiohttp.TCPConnector(
            resolver=_Pinning(self._egress, self._resolver), use_dns_cache=False, force_close=True
        )
        async with (
            aiohttp.ClientSession(
                connector=connector,
                timeout=self._timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": USER_AGENT},
            ) as session,
            session.post(url, data=body, headers=headers, allow_redirects=False) as answered,
        ):
            return answered.status


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
