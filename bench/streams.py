"""A trial of streams: a thousand open ones, a hundred events a second, and the API meanwhile."""

import asyncio
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle
from pathlib import Path
from uuid import uuid4

from bench.figures import Figure, percentile, table
from bench.measures import AT_ONCE, event, keep_asking, played, served
from bench.system import Model, System, Tenant, model
from bench.wire import Connection, request

STREAMS = 1000
EVENTS_PER_SECOND = 100
SECONDS = 20.0
FIGURES = {
    "reached": Figure(f"{STREAMS} streams: events that reached a stream, of those due", "%", "100"),
    "ended": Figure("  streams that ended early", "", "0"),
    "p50": Figure("  event sent, to an open stream, p50", "ms", ""),
    "p99": Figure("  p99", "ms", ""),
    "api p50": Figure("  other requests meanwhile, p50", "ms", "≤ 50"),
    "api p95": Figure("  p95", "ms", ""),
}


class Reader(asyncio.Protocol):
    """One open stream: counts the lines of a log it is sent, and when each came."""

    def __init__(self, sent: bytes) -> None:
        self.sent = sent
        self.came: list[float] = []
        self.ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self.sent)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        self.came += [now] * data.count(b"event: run_log\n")

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True


async def trial() -> None:
    """Run it and print."""
    with ExitStack() as stack:
        stack.enter_context(_many_files())
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="appstrate-bench-"))
        async with model() as serving:
            system = System(Path(folder) / "data")
            async with served(system, serving) as (_, tenant):
                await _measure(system, tenant, serving)
    print(table(list(FIGURES.values())))


async def _measure(system: System, tenant: Tenant, serving: Model) -> None:
    serving.go.clear()
    marks = [f"streams-{uuid4().hex[:8]}" for _ in range(AT_ONCE)]
    runs = await asyncio.gather(*(tenant.launch(mark) for mark in marks))
    while not all(mark in serving.came for mark in marks):
        await asyncio.sleep(0.05)
    await asyncio.sleep(1)
    speaking = await played(system, runs)
    host, _, port = system.url.removeprefix("http://").partition(":")
    readers: list[Reader] = []
    for n in range(STREAMS):
        path = f"/api/realtime/runs/{runs[n % len(runs)]}?token={tenant.key}&channels=run_log"
        reader = Reader(request("GET", path, {}))
        await _open(reader, host, int(port))
        readers.append(reader)
    await asyncio.sleep(2)
    for reader in readers:
        reader.came.clear()
    meanwhile: list[float] = []
    listing = request("GET", "/api/agents", {"Authorization": f"Bearer {tenant.key}"})
    busy = asyncio.create_task(keep_asking(system.url, listing, meanwhile))
    sent: dict[str, list[float]] = {run.id: [] for run in speaking}
    connections = [await Connection(system.url).open() for _ in speaking]
    began = time.perf_counter()
    for number, (run, connection) in enumerate(cycle(zip(speaking, connections, strict=True))):
        due = began + number / EVENTS_PER_SECOND
        if due > began + SECONDS:
            break
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        sent[run.id].append(time.perf_counter())
        status, answer = await connection.send(event(run, len(sent[run.id])))
        assert status == 200, answer
    await asyncio.sleep(1)
    busy.cancel()
    delays, due_frames = [], 0
    for n, reader in enumerate(readers):
        times = sent[runs[n % len(runs)]]
        due_frames += len(times)
        delays += [(b - a) * 1000 for a, b in zip(times, reader.came, strict=False)]
    FIGURES["reached"].samples.append(100 * len(delays) / due_frames)
    FIGURES["ended"].samples.append(sum(reader.ended for reader in readers))
    FIGURES["p50"].samples.append(percentile(delays, 0.5))
    FIGURES["p99"].samples.append(percentile(delays, 0.99))
    FIGURES["api p50"].samples.append(percentile(meanwhile, 0.5))
    FIGURES["api p95"].samples.append(percentile(meanwhile, 0.95))
    for reader in readers:
        reader.transport.close()
    for connection in connections:
        connection.close()
    serving.go.set()
    await asyncio.gather(*(tenant.wait(run) for run in runs))


async def _open(reader: Reader, host: str, port: int) -> None:
    await asyncio.get_running_loop().create_connection(lambda: reader, host, port)


@contextmanager
def _many_files() -> Iterator[None]:
    """Enough descriptors for all streams, for this process and what it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 8192), hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
