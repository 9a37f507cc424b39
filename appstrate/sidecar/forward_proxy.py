"""The forward proxy: the way of a run to the internet, for all programs that know proxies.

HTTP requests and CONNECT. A run shows its password at every request; one that has ended is refused.
Redirects are the client's business, and come here as requests of their own. Bodies are passed on
as they come, so a proxy that serves many slow clients stays small.
"""

import asyncio
import base64
import binascii
import contextlib
import socket
from typing import Protocol
from urllib.parse import urlsplit

import h11
import structlog

from actors.ids import RunId
from actors.runs import AuthorizeEgress, RunTokens
from actors.runtime import Address, AskError, Refusal, Unavailable
from appstrate.sidecar.destinations import READ_LIMIT, Destinations, UnreachableError
from appstrate.sidecar.relay import Client, exchange, tunnel

log = structlog.get_logger("proxy")

BLOCKED = "Blocked: internal network"


class Doorkeeper(Protocol):
    """Tells runs from others."""

    async def admit(self, run: RunId, token: str) -> None:
        """Refuse whoever is no run, or no longer."""
        ...


class LocalDoorkeeper:
    """The doorkeeper of a proxy that lives inside the server: it asks the actors."""

    def __init__(self, run_tokens: Address[RunTokens]) -> None:
        self._run_tokens = run_tokens

    async def admit(self, run: RunId, token: str) -> None:
        await self._run_tokens.ask(AuthorizeEgress(run=run, token=token))


class ForwardProxy:
    """Serves runs on a socket."""

    def __init__(self, doorkeeper: Doorkeeper, destinations: Destinations) -> None:
        self._doorkeeper = doorkeeper
        self._destinations = destinations
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def start(self, listening: socket.socket) -> None:
        """Begin to serve on a bound socket, which is the proxy's from now on."""
        self._server = await asyncio.start_server(self._accept, sock=listening, limit=READ_LIMIT)

    async def stop(self) -> None:
        """Serve no more, and end what is being served."""
        if self._server is not None:
            self._server.close()
        for task in list(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(Client(reader, writer)))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, client: Client) -> None:
        try:
            while (request := await client.next_request()) is not None:
                if not await self._answer(client, request):
                    break
        except (OSError, TimeoutError, h11.ProtocolError):
            client.abort()  # it is gone, or does not speak HTTP; there is nobody to tell
        finally:
            await client.close()

    async def _answer(self, client: Client, request: h11.Request) -> bool:
        """Answer a request; whether the client may send another."""
        refusal = await self._refusal(request)
        if refusal is not None:
            await client.refuse(*refusal)
            return False
        target = _target(request)
        if target is None:
            await client.refuse(400, "This is a proxy: ask for an absolute http URL, or CONNECT.")
            return False
        host, port, connecting = *target, request.method == b"CONNECT"
        try:
            opened = await self._destinations.open(host, port, tunnel=connecting)
        except UnreachableError as error:
            log.info("egress refused", host=host, port=port, why=str(error))
            text = f"{BLOCKED}\n{error}" if error.status == 403 else str(error)
            await client.refuse(error.status, "" if connecting else text)
            return False
        try:
            if connecting:
                await tunnel(client, opened)
                return False
            return await exchange(client, request, opened)
        finally:
            opened.writer.close()

    async def _refusal(self, request: h11.Request) -> tuple[int, str] | None:
        run, token = _credentials(request)
        try:
            await self._doorkeeper.admit(RunId(run), token)
        except Unavailable as refusal:
            return 503, refusal.detail
        except Refusal as refusal:
            return 407, refusal.detail
        except AskError:
            return 500, "the platform failed to look the run up"
        return None


def _credentials(request: h11.Request) -> tuple[str, str]:
    """Run and password of a request; empty when it has none."""
    given = next((v for k, v in request.headers if k == b"proxy-authorization"), b"")
    scheme, _, encoded = given.partition(b" ")
    if scheme.lower() == b"basic":
        with contextlib.suppress(binascii.Error, UnicodeDecodeError):
            run, _, token = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
            return run, token
    return "", ""


def _target(request: h11.Request) -> tuple[str, int] | None:
    """Host and port of an absolute http URL, or of a CONNECT."""
    text = request.target.decode("latin-1")
    connecting = request.method == b"CONNECT"
    try:
        parts = urlsplit(f"//{text}" if connecting else text)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or parts.username is not None:
        return None
    if connecting:
        whole = not (parts.path or parts.query or parts.fragment)
        return (host, port) if port and whole else None
    return (host, 80 if port is None else port) if parts.scheme == "http" else None
