"""Where the server listens: for its clients, and for its runs on this machine alone."""

import contextlib
import errno
import socket
from urllib.parse import urlsplit

from aiohttp import web
from msgspec.structs import replace

from actors.addresses import Addresses
from actors.runs import Places
from appstrate.http.connection import Runner
from appstrate.settings import Settings
from appstrate.sidecar.destinations import Destinations, UpstreamProxy
from appstrate.sidecar.forward_proxy import ForwardProxy, LocalDoorkeeper
from appstrate.sidecar.proxy import ModelProxy
from appstrate.sidecar.upstream import LocalUpstreams

BACKLOG = 1024
WAYS_OUT = {
    errno.EADDRINUSE: "stop what listens there, or choose another PORT",
    errno.EADDRNOTAVAIL: "set HOST to an address of this machine",
}


class PortInUseError(Exception):
    """The port cannot be bound; the message says what to do."""


class Listener:
    """An application served on a socket."""

    def __init__(self, runner: web.AppRunner, url: str) -> None:
        self.url = url
        self._runner: web.AppRunner | None = runner

    async def close(self) -> None:
        """Take no more requests; those being served have 2 s. Idempotent."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()


def bind(settings: Settings) -> socket.socket:
    """Take `HOST` and `PORT`; from now on clients wait. Raises `PortInUseError`."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
        # At once: two may bind a port at the same moment, and only one may listen.
        listening.listen(BACKLOG)
    except socket.gaierror as error:
        listening.close()
        raise PortInUseError(
            f"HOST: {settings.host} is no address of this machine ({error.strerror})"
        ) from None
    except OSError as error:
        listening.close()
        where = f"{settings.host}:{settings.port}"
        way = WAYS_OUT.get(error.errno or 0, "choose another PORT")
        raise PortInUseError(f"cannot listen on {where} ({error.strerror}): {way}") from None
    return listening


def _loopback() -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.bind(("127.0.0.1", 0))
    return listening


async def listen(
    stack: contextlib.AsyncExitStack,
    application: web.Application,
    listening: socket.socket,
    *,
    deserted: bool = False,
) -> Listener:
    """Serve an application on a socket until the stack unwinds.

    `deserted` cancels the handling of a request whose client has gone away.
    """
    runner = Runner(application, shutdown_timeout=2, handler_cancellation=deserted)
    await runner.setup()
    listener = Listener(runner, url_of(listening.getsockname()[0], listening))
    stack.push_async_callback(listener.close)
    await web.SockSite(runner, listening, backlog=BACKLOG).start()
    return listener


def url_of(host: str, listening: socket.socket) -> str:
    """How a socket bound to `host` is reached from this machine."""
    port = listening.getsockname()[1]
    reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 - not bound
    if ":" in reachable and not reachable.startswith("["):
        reachable = f"[{reachable}]"
    return f"http://{reachable}:{port}"


async def listen_to_runs(
    stack: contextlib.AsyncExitStack, settings: Settings, at: Addresses, urls: tuple[str, str]
) -> tuple[Listener, Places]:
    """Open what only runs use: the model proxy and the forward proxy, on this machine alone."""
    model_proxy = ModelProxy(
        LocalUpstreams(at.run_tokens, at.credentials, at.run_evidence), settings.egress
    )
    # A run that goes away takes its calls with it: nobody else waits for their answers.
    listener = await listen(stack, model_proxy.application(), _loopback(), deserted=True)
    upstream = settings.upstream_proxy
    platform_url = settings.platform_url or urls[0]
    destinations = Destinations(
        # What models may be reached on this machine is no business of the runs themselves.
        replace(settings.egress, loopback=False),
        platform=frozenset(_place(url) for url in (platform_url, *urls)),
        upstream=UpstreamProxy.of(upstream) if upstream else None,
    )
    forward_proxy, listening = (
        ForwardProxy(LocalDoorkeeper(at.run_tokens), destinations),
        _loopback(),
    )
    egress_url = url_of("127.0.0.1", listening)
    await forward_proxy.start(listening)
    stack.push_async_callback(forward_proxy.stop)
    places = Places(
        platform_url=platform_url,
        proxy_url=listener.url,
        egress_url=egress_url,
        public_url=urls[1],
    )
    return listener, places


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
