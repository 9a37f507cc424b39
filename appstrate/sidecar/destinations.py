"""Where the forward proxy connects to, and where it does not.

A name is resolved once; one blocked address blocks it, and the connection goes to an address that
was checked, never to the name again.
"""

import asyncio
import base64
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from actors.egress import Egress, parse_address
from actors.runtime import Rejected
from adapters.local.lookups import Lookups, Resolver

CONNECT_SECONDS = 30.0
READ_LIMIT = 65_536
LARGEST_REPLY = 16 * 1024


class UnreachableError(Exception):
    """A connection that was not made: the status to answer with, and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True, slots=True)
class UpstreamProxy:
    """Another proxy, between this one and the internet, over plain TCP."""

    host: str
    port: int
    authorization: str | None

    @classmethod
    def of(cls, url: str) -> "UpstreamProxy":
        """From a URL, with a user and password or without."""
        parts = urlsplit(url)
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        encoded = base64.b64encode(f"{user}:{password}".encode()).decode()
        authorization = f"Basic {encoded}" if user else None
        return cls(parts.hostname or "", parts.port or 80, authorization)


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection; with `through`, its far end is a proxy that is yet to be told the target."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    through: UpstreamProxy | None = None


class Destinations:
    """Opens connections on behalf of runs.

    `platform` holds the hosts and ports of the platform itself: always allowed, always direct.
    With an `upstream`, everything else goes through it, and it resolves the names.
    """

    def __init__(
        self,
        egress: Egress,
        *,
        platform: frozenset[tuple[str, int]] = frozenset(),
        upstream: UpstreamProxy | None = None,
        resolver: Resolver | None = None,
    ) -> None:
        self._egress = egress
        self._platform = platform
        self._upstream = upstream
        self._resolver = resolver or Lookups()

    async def open(self, host: str, port: int, *, tunnel: bool) -> Opened:
        """Connect to a host, or to the proxy that leads there. Raises `UnreachableError`.

        A `tunnel` reaches the host itself, through whatever lies between.
        """
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                return await self._open(host, port, tunnel=tunnel)
        except Rejected as refusal:
            raise UnreachableError(403, refusal.detail) from None
        except TimeoutError:
            raise UnreachableError(504, f"{host} did not answer in time") from None
        except OSError as error:
            why = f"cannot connect to {host}:{port}: {error}"
            raise UnreachableError(502, why) from None

    async def _open(self, host: str, port: int, *, tunnel: bool) -> Opened:
        if (host.lower(), port) in self._platform:
            return await _connect([host], port)
        if not host.isascii() or "%" in host or not self._egress.allows_name(host):
            raise Rejected(f"{host} is this machine or a private network")
        if self._upstream is None:
            return await _connect(await self._addresses(host, port), port)
        proxy = self._upstream
        opened = await _connect([proxy.host], proxy.port)
        if not tunnel:
            return Opened(opened.reader, opened.writer, proxy)
        try:
            await _ask_for_tunnel(opened, proxy, host, port)
        except BaseException:
            opened.writer.close()
            raise
        return opened

    async def _addresses(self, host: str, port: int) -> list[str]:
        literal = parse_address(host)
        if literal is not None:
            return [str(literal)]
        found = await self._resolver(host, port)
        if not found:
            raise OSError("it has no address")
        return self._egress.pinned(host, found)


async def _connect(addresses: list[str], port: int) -> Opened:
    """Connect to the first address that answers."""
    problem: OSError = OSError("there is no address")
    for address in addresses:
        try:
            return Opened(*await asyncio.open_connection(address, port, limit=READ_LIMIT))
        except OSError as error:
            problem = error
    raise problem


async def _ask_for_tunnel(opened: Opened, proxy: UpstreamProxy, host: str, port: int) -> None:
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    head = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.authorization:
        head.append(f"Proxy-Authorization: {proxy.authorization}")
    opened.writer.write("\r\n".join([*head, "", ""]).encode())
    try:
        reply = await opened.reader.readuntil(b"\r\n\r\n")
    except (asyncio.LimitOverrunError, asyncio.IncompleteReadError):
        raise OSError("the proxy at PROXY_URL answered nothing that is HTTP") from None
    if len(reply) > LARGEST_REPLY:
        raise OSError("the proxy at PROXY_URL answered too much")
    status = reply.split(b"\r\n", 1)[0].split(b" ")[1:2]
    if not status or not status[0].startswith(b"2"):
        raise OSError(f"the proxy at PROXY_URL refused: {reply[:80].decode('latin-1')!r}")
