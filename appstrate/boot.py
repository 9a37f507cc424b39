"""From settings to a server that answers, and back: bind, boot, open, wait, close."""

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from uuid import uuid4

import structlog
from aiohttp import web

from actors.accounts import IsClaimOpen
from actors.addresses import Addresses, new_addresses
from actors.ids import InstanceId
from actors.runs import Identity, Places
from actors.runtime import Supervisor
from adapters.local.instance import InstanceLock, claim_instance
from appstrate.http.app import build_application
from appstrate.http.gate import Gate
from appstrate.http.routes import every_route
from appstrate.http.routes.document import document_routes
from appstrate.http.routes.status import ServerInfo, status_routes
from appstrate.settings import Settings
from appstrate.sidecar.proxy import ModelProxy
from appstrate.sidecar.upstream import LocalUpstreams
from appstrate.tiers import describe, plan

log = structlog.get_logger("boot")

BOOT_SECONDS = 120.0
BACKLOG = 1024
FOLDER_SECONDS = 2.0


class PortInUseError(Exception):
    """The port cannot be bound; the message says what to do."""


class Server:
    """A running server: its addresses, where it is reached, and where from this machine.

    `unclaimed` is whether it had no owner when it started, and waits for one.
    """

    def __init__(self, at: Addresses, url: str, local_url: str, lock: InstanceLock) -> None:
        self.at = at
        self.unclaimed = False
        self.url = url
        self.local_url = local_url
        self._lock = lock

    async def lost_its_folder(self) -> None:
        """Wait until the data folder is gone, or another has taken its place."""
        while self._lock.holds:  # noqa: ASYNC110 - no file system tells
            await asyncio.sleep(FOLDER_SECONDS)


@asynccontextmanager
async def serving(settings: Settings) -> AsyncGenerator[Server, None]:
    """A server for the length of a block; everything is stopped in order afterwards.

    The port is bound first and answers 503 until all actors are ready.
    """
    _make_folder(settings.data_dir)
    lock = claim_instance(settings.data_dir / "instances", settings.instance)
    identity = Identity(instance=InstanceId(lock.name), boot=str(uuid4()))
    listening = _bind(settings)
    at, gate = new_addresses(), Gate()
    local_url = _url(settings.host, listening)
    url = settings.app_url or local_url
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(lock.release)
        tier, reasons = describe(settings)
        info = ServerInfo(
            version=settings.version or version("appstrate"),
            commit=settings.commit,
            tier=tier,
            reasons=reasons,
        )
        routes = [*every_route(), *status_routes(info, gate, lambda: url)]
        routes += document_routes(routes, info.version)
        application = build_application(settings.http(url), at, gate, routes)
        await _listen(stack, application, listening)
        proxy = ModelProxy(
            LocalUpstreams(at.run_sink, at.credentials, at.run_evidence), settings.egress
        )
        # A run that goes away takes its calls with it: nobody else waits for their answers.
        proxy_url = await _listen(stack, proxy.application(), _loopback(), deserted=True)
        places = Places(
            platform_url=settings.platform_url or local_url,
            proxy_url=proxy_url,
        )
        chosen = plan(settings, at, identity, lambda: places)
        supervisor = Supervisor(
            chosen.children(at),
            boot_within=BOOT_SECONDS,
            stop_within=settings.shutdown_seconds,
        )
        supervisor.launch("supervisor")
        stack.push_async_callback(supervisor.retire, settings.shutdown_seconds + 5)
        await supervisor.ready
        gate.open()
        log.info("ready", url=url, tier=tier, instance=identity.instance)
        stack.callback(gate.close)
        server = Server(at, url, local_url, lock)
        server.unclaimed = await at.accounts.ask(IsClaimOpen())
        yield server


async def serve(settings: Settings, started: Callable[[Server], None]) -> None:
    """Serve until SIGTERM or SIGINT, at boot too; `started` is called once the server answers."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    stop = asyncio.ensure_future(stopped.wait())
    async with contextlib.AsyncExitStack() as stack:
        booting = asyncio.ensure_future(stack.enter_async_context(serving(settings)))
        await asyncio.wait((booting, stop), return_when=asyncio.FIRST_COMPLETED)
        if not booting.done():
            log.info("stopping before the boot is over")
            booting.cancel()
            await asyncio.wait((booting,))
            return
        server = booting.result()
        record = settings.data_dir / "server.json"
        _write_record(record, server.local_url)
        started(server)
        gone = asyncio.ensure_future(server.lost_its_folder())
        await asyncio.wait((stop, gone), return_when=asyncio.FIRST_COMPLETED)
        if not stop.done():
            raise RuntimeError(
                f"{settings.data_dir} was deleted or replaced under the running server: it ends, "
                "so that it does not write into another's place"
            )
        gone.cancel()
        log.info("stopping")
        record.unlink(missing_ok=True)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"DATA_DIR: {folder} cannot be made: {error.strerror}") from None


def _bind(settings: Settings) -> socket.socket:
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
        raise PortInUseError(
            f"cannot listen on {settings.host}:{settings.port} ({error.strerror}): "
            "stop what listens there, or choose another PORT"
        ) from None
    return listening


def _loopback() -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.bind(("127.0.0.1", 0))
    return listening


async def _listen(
    stack: contextlib.AsyncExitStack,
    application: web.Application,
    listening: socket.socket,
    *,
    deserted: bool = False,
) -> str:
    """Serve an application on a socket until the stack unwinds; returns its URL.

    `deserted` cancels the handling of a request whose client has gone away.
    """
    runner = web.AppRunner(
        application,
        access_log=None,
        handle_signals=False,
        shutdown_timeout=2,
        handler_cancellation=deserted,
    )
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.SockSite(runner, listening, backlog=BACKLOG).start()
    return _url(listening.getsockname()[0], listening)


def _url(host: str, listening: socket.socket) -> str:
    port = listening.getsockname()[1]
    reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 - not bound
    if ":" in reachable and not reachable.startswith("["):
        reachable = f"[{reachable}]"
    return f"http://{reachable}:{port}"


def _write_record(path: Path, url: str) -> None:
    """Tell command lines on this machine where the server is."""
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps({"url": url, "pid": os.getpid()}))
    unfinished.replace(path)
