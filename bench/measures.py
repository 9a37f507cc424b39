"""The measures: each fills some figures."""

import asyncio
import hashlib
import hmac
import json
import tempfile
import time
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import aiohttp
import asyncpg

from actors.runtime import Actor, Address, Child, Request, Supervisor
from actors.vault import Vault
from bench.figures import Figure, percentile
from bench.system import KEY, Model, System, Tenant
from bench.wire import Connection, request, throughput

AT_ONCE = 20
SLOTS = 4
PAUSE = 0.4


@dataclass(frozen=True, slots=True)
class PlayedRun:
    """A run for which the bench speaks: its secret, and the number of its program's last event."""

    id: str
    secret: str
    last: int


async def boots(figures: dict[str, Figure], folder: Path) -> None:
    """First and warm boots, and memory when nothing happens."""
    for n in range(3):
        system = System(folder / f"boot-{n}", slots=0)
        figures["first boot"].samples.append(await system.start())
        system.stop()
    for _ in range(5):
        figures["warm boot"].samples.append(await system.start())
        await asyncio.sleep(1)
        figures["idle"].samples.append(system.memory())
        system.stop()
    system = System(folder / "boot-2", slots=SLOTS)
    await system.start()
    await asyncio.sleep(1)
    more = system.memory() - figures["idle"].median()
    figures["slot"].samples.append(more / SLOTS)
    system.stop()


async def single_runs(
    figures: dict[str, Figure], system: System, tenant: Tenant, model: Model, count: int = 30
) -> None:
    """Runs one after the other, each from nothing."""
    before = 0.0
    for n in range(count + 3):
        if n == 3:  # the first ones warm the caches
            before = system.cpu()
        mark = f"single-{n}"
        began = time.perf_counter()
        run = await tenant.launch(mark)
        answered = time.perf_counter()
        ended = await tenant.wait(run)
        terminal = time.perf_counter()
        assert ended["status"] == "success", ended["error"]
        if n >= 3:
            figures["answered"].samples.append((answered - began) * 1000)
            figures["first request"].samples.append((model.came[mark] - began) * 1000)
            figures["terminal"].samples.append((terminal - began) * 1000)
    await asyncio.sleep(0.3)
    figures["cpu"].samples.append((system.cpu() - before) / count)


async def warm_runs(
    figures: dict[str, Figure], tenant: Tenant, model: Model, count: int = 30
) -> None:
    """Runs one after the other, each after a pause in which its slot gets warm."""
    for n in range(count + 3):
        await asyncio.sleep(PAUSE)
        mark = f"warm-{n}"
        began = time.perf_counter()
        ended = await tenant.wait(await tenant.launch(mark))
        terminal = time.perf_counter()
        assert ended["status"] == "success", ended["error"]
        if n >= 3:
            figures["first request warm"].samples.append((model.came[mark] - began) * 1000)
            figures["terminal warm"].samples.append((terminal - began) * 1000)


async def runs_at_once(
    figures: dict[str, Figure], tenant: Tenant, system: System, rounds: int = 3
) -> None:
    """Twenty runs at the same time, while somebody else uses the API."""
    key = {"Authorization": f"Bearer {tenant.key}"}
    listing = request("GET", "/api/agents", key)
    for n in range(rounds):
        meanwhile: list[float] = []
        busy = asyncio.create_task(keep_asking(system.url, listing, meanwhile))

        async def answered(mark: str) -> tuple[str, float]:
            began = time.perf_counter()
            return await tenant.launch(mark), (time.perf_counter() - began) * 1000

        began = time.perf_counter()
        launched = await asyncio.gather(*(answered(f"many-{n}-{i}") for i in range(AT_ONCE)))
        ended = await asyncio.gather(*(tenant.wait(run) for run, _ in launched))
        wall = time.perf_counter() - began
        busy.cancel()
        assert all(run["status"] == "success" for run in ended)
        figures["answered at once"].samples.append(percentile([ms for _, ms in launched], 0.5))
        figures["at once"].samples.append(wall)
        figures["meanwhile p50"].samples.append(percentile(meanwhile, 0.5))
        figures["meanwhile p95"].samples.append(percentile(meanwhile, 0.95))


async def waiting_runs(
    figures: dict[str, Figure], tenant: Tenant, system: System, model: Model
) -> None:
    """Memory of runs that wait for their model, and events of runs that the bench plays."""
    before = system.memory()
    model.go.clear()
    marks = [f"waiting-{uuid4().hex[:8]}" for _ in range(AT_ONCE)]
    runs = await asyncio.gather(*(tenant.launch(mark) for mark in marks))
    while not all(mark in model.came for mark in marks):
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    figures["waiting"].samples.append((system.memory() - before) / AT_ONCE)
    *many, one = await played(system, runs)
    await ingestion(figures, system, many)
    await streaming(figures, system, tenant, one)
    model.go.set()
    await asyncio.gather(*(tenant.wait(run) for run in runs))


async def ingestion(
    figures: dict[str, Figure], system: System, runs: list[PlayedRun], seconds: float = 4
) -> None:
    """Events per second, each run on a connection of its own, one after the other."""
    deadline = time.perf_counter() + seconds
    began = time.perf_counter()

    async def play(run: PlayedRun) -> int:
        connection = await Connection(system.url).open()
        sent = 0
        while time.perf_counter() < deadline:
            sent += 1
            status, answer = await connection.send(event(run, sent))
            assert status == 200, answer
        connection.close()
        return sent

    sent = await asyncio.gather(*(play(run) for run in runs))
    figures["events"].samples.append(sum(sent) / (time.perf_counter() - began))


async def streaming(
    figures: dict[str, Figure], system: System, tenant: Tenant, run: PlayedRun
) -> None:
    """From sending an event to reading it on an open stream."""
    path = f"/api/realtime/runs/{run.id}?token={tenant.key}"
    seen: asyncio.Queue[float] = asyncio.Queue()

    async def read() -> None:
        async with aiohttp.ClientSession() as session, session.get(system.url + path) as answer:
            async for line in answer.content:
                if line.startswith(b"event: run_log"):
                    seen.put_nowait(time.perf_counter())

    reading = asyncio.create_task(read())
    await asyncio.sleep(0.3)
    connection = await Connection(system.url).open()
    delays: list[float] = []
    for number in range(1, 301):
        began = time.perf_counter()
        await connection.send(event(run, number))
        delays.append((await asyncio.wait_for(seen.get(), 5) - began) * 1000)
        await asyncio.sleep(0.002)
    reading.cancel()
    connection.close()
    figures["stream p50"].samples.append(percentile(delays, 0.5))
    figures["stream p99"].samples.append(percentile(delays, 0.99))


async def reads(figures: dict[str, Figure], system: System, tenant: Tenant) -> None:
    """Lists, with a key, over 16 connections."""
    key = {"Authorization": f"Bearer {tenant.key}"}
    for name, path in (("agents", "/api/agents"), ("runs", "/api/runs?limit=20")):
        for _ in range(3):
            rate = await throughput(system.url, request("GET", path, key), 16, 3)
            figures[name].samples.append(rate)


class _Echo(Actor):
    async def receive(self, message: object) -> object:
        return message


class _Say(Request[_Echo, object], frozen=True, kw_only=True):
    pass


async def asks(figures: dict[str, Figure], count: int = 20_000) -> None:
    """What a message to an actor and back costs."""
    address: Address[_Echo] = Address("echo")
    supervisor = Supervisor([Child(address=address, factory=_Echo)])
    supervisor.launch("supervisor")
    await supervisor.ready
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(count):
            await address.ask(_Say())
        figures["ask"].samples.append((time.perf_counter() - began) / count * 1e6)
    await supervisor.retire(1)


@asynccontextmanager
async def served(system: System, model: Model) -> AsyncIterator[tuple[System, Tenant]]:
    """A system with a tenant, for the length of a block."""
    await system.start()
    tenant = Tenant(system.url)
    try:
        await tenant.prepare(model.url)
        yield system, tenant
    finally:
        await tenant.close()
        system.stop()


async def measure(figures: dict[str, Figure], model: Model) -> None:
    """Everything, in turn."""
    with tempfile.TemporaryDirectory(prefix="appstrate-bench-") as name:
        folder = Path(name)
        await asks(figures)
        await boots(figures, folder)
        async with served(System(folder / "cold", slots=0), model) as (system, tenant):
            await single_runs(figures, system, tenant, model)
        async with served(System(folder / "warm"), model) as (system, tenant):
            await warm_runs(figures, tenant, model)
            await runs_at_once(figures, tenant, system)
            await waiting_runs(figures, tenant, system, model)
            await reads(figures, system, tenant)


async def keep_asking(url: str, sent: bytes, times: list[float]) -> None:
    connection = await Connection(url).open()
    while True:
        began = time.perf_counter()
        await connection.send(sent)
        times.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(0.005)


async def connect(system: System) -> asyncpg.Connection:
    """A connection to the database a server keeps."""
    postgres = system.data / "postgres"
    options = (postgres / "pgdata" / "postmaster.pid").read_text().splitlines()
    return await asyncpg.connect(
        host=options[4],
        user="postgres",
        password=(postgres / "password").read_text(),
        database="postgres",
    )


async def played(system: System, runs: list[str]) -> list[PlayedRun]:
    """What it takes to speak for runs, read where the server keeps it."""
    connection = await connect(system)
    rows = await connection.fetch(
        """
        SELECT run_id, secret_encrypted, last_sequence FROM run_sinks
        WHERE run_id = ANY ($1::text[])
        """,
        runs,
    )
    await connection.close()
    vault = Vault({"k1": b64decode(KEY)}, "k1")
    return [
        PlayedRun(row["run_id"], vault.open(row["secret_encrypted"]), row["last_sequence"])
        for row in rows
    ]


def event(run: PlayedRun, number: int) -> bytes:
    message_id, timestamp = str(uuid4()), str(int(time.time()))
    body = json.dumps(
        {
            "specversion": "1.0",
            "type": "appstrate.progress",
            "source": f"/afps/runs/{run.id}",
            "id": message_id,
            "time": "2026-01-01T00:00:00Z",
            "datacontenttype": "application/json",
            "data": {"message": "Tool: bash", "level": "info", "data": {"tool": "bash"}},
            "sequence": run.last + number,
        }
    ).encode()
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    digest = b64encode(hmac.digest(run.secret.encode(), signed, hashlib.sha256)).decode()
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{digest}",
    }
    return request("POST", f"/api/runs/{run.id}/events", headers, body)
