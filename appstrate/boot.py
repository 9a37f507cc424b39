"""From settings to a server that answers, and back: bind, boot, open, wait, close."""

import asyncio
import contextlib
import gc
import json
import os
import signal
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from uuid import uuid4

import structlog

from actors.accounts import IsClaimOpen
from actors.addresses import Addresses, new_addresses
from actors.ids import InstanceId
from actors.runs import DrainRuns, Identity
from actors.runtime import AskError, Refusal, Supervisor
from actors.sidecar_pool import Wall
from adapters.local.instance import InstanceLock, claim_instance
from adapters.local.sandbox import Sandbox
from appstrate.capabilities import describe
from appstrate.http.app import build_application
from appstrate.http.call import Route
from appstrate.http.gate import Gate
from appstrate.http.metrics import LoopLag
from appstrate.http.routes import every_route
from appstrate.http.routes.document import document_routes
from appstrate.http.routes.metrics import metrics_routes
from appstrate.http.routes.status import ServerInfo, status_routes
from appstrate.listeners import bind, listen, listen_to_runs, url_of
from appstrate.settings import Settings
from appstrate.strays import end_strays
from appstrate.tiers import plan, walls

log = structlog.get_logger("boot")

BOOT_SECONDS = 120.0
STOP_RUNS_SECONDS = 15.0
GARBAGE = 20_000
STOP_SECONDS = 15.0
FOLDER_SECONDS = 2.0


class Server:
    """A running server: its addresses, where it is reached, and where from this machine.

    `unclaimed` is whether it had no owner when it started, and waits for one.
    """

    def __init__(
        self, at: Addresses, url: str, local_url: str, *, gate: Gate, lock: InstanceLock
    ) -> None:
        self.at = at
        self.unclaimed = False
        self.url = url
        self.local_url = local_url
        self._gate = gate
        self._lock = lock

    async def drain(self, within: float) -> None:
        """Take on no new work, and wait for live runs: those that have not ended `within` seconds
        are stopped, each with a reason. Runs that have not started wait for the next server.
        """
        self._gate.drain()
        try:
            draining = DrainRuns(within=within)
            await self.at.run_dispatcher.ask(draining, within=within + STOP_RUNS_SECONDS)
        except (Refusal, AskError) as problem:
            log.warning("not drained: live runs are stopped", why=str(problem))

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
    listening = bind(settings)
    at, gate = new_addresses(), Gate()
    local_url = url_of(settings.host, listening)
    url = settings.app_url or local_url
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(lock.release)
        # Beside the start of the database: each takes a while, and neither needs the other.
        trial = asyncio.create_task(asyncio.to_thread(walls, settings))
        stack.push_async_callback(asyncio.wait, (trial,))

        async def sandbox() -> Sandbox:
            return (await asyncio.shield(trial)).sandbox

        tier, reasons = describe(settings)
        info = ServerInfo(
            version=settings.version or version("appstrate"),
            commit=settings.commit,
            tier=tier,
            reasons=reasons,
            walls=lambda: trial.result().walls,
            folders=(settings.data_dir, settings.storage.root),
        )
        _tell_proxies(settings)
        lag = LoopLag()
        lag.start()
        stack.callback(lag.stop)
        routes = _routes(settings, info, gate, url, lag)
        application = build_application(settings.http(url), at, gate, routes)
        listeners = [await listen(stack, application, listening)]
        of_runs, places = await listen_to_runs(stack, settings, at, (local_url, url))
        listeners.append(of_runs)
        chosen = plan(settings, at, identity, places, sandbox)
        supervisor = Supervisor(
            chosen.children(at),
            boot_within=BOOT_SECONDS,
            stop_within=STOP_SECONDS,
        )
        supervisor.launch("supervisor")
        stack.push_async_callback(supervisor.retire, STOP_SECONDS + 5)
        await asyncio.gather(supervisor.ready, trial)
        _tell_walls(trial.result().walls)
        gate.open()
        log.info("ready", url=url, tier=tier, instance=identity.instance)
        server = Server(at, url, local_url, gate=gate, lock=lock)
        # The way back, last in, first out: runs, then the ports, then the actors.
        for listener in listeners:
            stack.push_async_callback(listener.close)
        stack.callback(gate.close)
        stack.push_async_callback(server.drain, 0)
        server.unclaimed = await at.accounts.ask(IsClaimOpen())
        yield server


def _settle_memory() -> None:
    """Let the collector look at what requests leave behind, not at all that was imported.

    Little of it is cyclic, so it need not look after every 700 objects.
    """
    gc.freeze()
    gc.set_threshold(GARBAGE, 20, 20)


def _routes(
    settings: Settings, info: ServerInfo, gate: Gate, url: str, lag: LoopLag
) -> list[Route]:
    rates = {"inline": settings.inline_limits.rate_per_min}
    limited = (replace(r, limit=r.limit and r.limit.as_set(rates)) for r in every_route())
    routes = [*limited, *status_routes(info, gate, url)]
    routes += metrics_routes(settings.metrics_token, lag)
    return [*routes, *document_routes(routes, info.version)]


def _tell_proxies(settings: Settings) -> None:
    """Say loudly whose word is taken for who a client is."""
    if settings.trusted_hops:
        tell = log.error if settings.production else log.warning
        tell(
            "X-Forwarded-For is trusted: whoever reaches this port without passing the proxies "
            "can pretend to be any client",
            TRUST_PROXY=settings.trusted_hops,
        )


def _tell_walls(walls: Iterable[Wall]) -> None:
    """One line for each wall around runs, and what would raise those that are missing."""
    for wall in walls:
        if wall.up:
            log.info("wall around runs", wall=wall.name, how=wall.how)
        else:
            log.warning("no wall around runs", wall=wall.name, why=wall.how, remedy=wall.remedy)


async def serve(settings: Settings, started: Callable[[Server], None]) -> None:
    """Serve until SIGTERM or SIGINT, at boot too; `started` is called once the server answers.

    Live runs are waited for then, unless a second signal says not to.
    """
    stop, stop_now = _signals()
    async with contextlib.AsyncExitStack() as stack:
        booting = asyncio.ensure_future(stack.enter_async_context(serving(settings)))
        await asyncio.wait((booting, stop), return_when=asyncio.FIRST_COMPLETED)
        if not booting.done():
            log.info("stopping before the boot is over")
            booting.cancel()
            await asyncio.wait((booting,))
            return
        server = booting.result()
        _settle_memory()
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
        log.info("draining", most_seconds=settings.shutdown_seconds)
        _forget_record(record)
        draining = asyncio.ensure_future(server.drain(settings.shutdown_seconds))
        await asyncio.wait((draining, stop_now), return_when=asyncio.FIRST_COMPLETED)
        draining.cancel()
        log.info("stopping", at_once=stop_now.done())
    await end_strays()


def _signals() -> tuple[asyncio.Future[None], asyncio.Future[None]]:
    """What the first and the second SIGTERM or SIGINT settle."""
    loop = asyncio.get_running_loop()
    first, second = loop.create_future(), loop.create_future()

    def heard() -> None:
        waiting = next((future for future in (first, second) if not future.done()), None)
        if waiting is not None:
            waiting.set_result(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, heard)
    return first, second


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"DATA_DIR: {folder} cannot be made: {error.strerror}") from None


def _write_record(path: Path, url: str) -> None:
    """Tell command lines on this machine where the server is."""
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps({"url": url, "pid": os.getpid()}))
    unfinished.replace(path)


def _forget_record(path: Path) -> None:
    """Remove the record, unless another server over the same folder has put its own there."""
    with contextlib.suppress(OSError, ValueError):
        if json.loads(path.read_text())["pid"] == os.getpid():
            path.unlink()
