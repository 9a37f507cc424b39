"""SIGTERM: what is refused, what is served, what is waited for."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from support.api import Api, new_owner
from support.fake_model import FakeModel, Hang, Hold, Say, fake_model
from support.postgres import Postgres, url_of
from support.processes import ServerProcess
from support.waiting import eventually

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no signals")


@pytest.fixture
async def fake() -> AsyncIterator[FakeModel]:
    async with fake_model() as model:
        yield model


async def draining(url: str) -> None:
    """Wait until a server says so."""
    async with asyncio.timeout(10):
        while (await Api(url).get("/health")).status == 200:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)


async def stream_of(owner: Api, run: str) -> bytes:
    """All a stream sends until the server ends it."""
    key = (await owner.with_key()).headers["Authorization"].removeprefix("Bearer ")
    path = f"{owner.url}/api/realtime/runs/{run}?token={key}"
    async with aiohttp.ClientSession() as session, session.get(path) as answer:
        return await answer.read()


async def test_a_server_that_stops_waits_for_its_runs(tmp_path: Path, fake: FakeModel) -> None:
    server = ServerProcess(tmp_path / "data", MAX_CONCURRENT_RUNS="1")
    await server.start()
    try:
        owner = await new_owner(server.url)
        held = Hold(Say("Done.", {"output": {"data": {"kept": True}}}))
        name = fake.script("held", held, Say("Done."))
        await owner.new_model(fake, name)
        agent = await owner.new_agent("held", runtime_tools=["output"])
        live = (await owner.launch(agent)).json["id"]
        await eventually(lambda: fake.requests_of(name))
        waits = (await owner.launch(agent, {"modelId": "demo"})).json["id"]
        stream = asyncio.ensure_future(stream_of(owner, live))
        polling = asyncio.ensure_future(owner.get(f"/api/runs/{waits}?wait=55"))
        await asyncio.sleep(0.3)
        os.kill(server.pid, signal.SIGTERM)
        await draining(server.url)

        health = await owner.get("/health")
        assert (health.status, health.json["status"]) == (503, "draining")
        refused = await owner.launch(agent)
        assert (refused.status, refused.code) == (503, "shutting_down")
        assert int(refused.headers["Retry-After"]) >= 1
        ended = await asyncio.wait_for(stream, 5)
        assert ended.rsplit(b"\n\n", 2)[-2].startswith(b"retry: ")
        again = await owner.get(f"/api/realtime/runs/{live}")
        assert (again.status, again.code) == (503, "shutting_down")
        reading = await owner.get(f"/api/runs/{waits}")
        assert (reading.status, reading.json["status"]) == (200, "pending")
        assert not polling.done()
        held.go.set()
        assert await server.wait() == 0
        polled = await polling
        assert (polled.status, polled.json["status"]) == (200, "pending")

        await server.start()
        owner.url = server.url
        finished, later = await owner.wait(live), await owner.wait(waits)
    finally:
        await server.stop()
    assert (finished["status"], finished["result"]) == ("success", {"output": {"kept": True}})
    assert later["status"] == "success"


async def test_a_second_signal_stops_at_once(tmp_path: Path, fake: FakeModel) -> None:
    server = ServerProcess(tmp_path / "data", SHUTDOWN_TIMEOUT_SECONDS="600")
    await server.start()
    try:
        owner = await new_owner(server.url)
        name = fake.script("endless", Hang())
        await owner.new_model(fake, name)
        run = (await owner.launch(await owner.new_agent("endless"))).json["id"]
        await eventually(lambda: fake.requests_of(name))
        os.kill(server.pid, signal.SIGTERM)
        await draining(server.url)
        os.kill(server.pid, signal.SIGINT)
        async with asyncio.timeout(15):
            assert await server.wait() == 0

        assert "Traceback" not in server.log()
        await server.start()
        owner.url = server.url
        ended = await owner.wait(run)
    finally:
        await server.stop()
    assert ended["status"] == "failed"
    assert "server was stopped" in ended["error"]


async def test_of_two_servers_over_a_folder_the_one_that_stays_is_found(
    tmp_path: Path, postgres: Postgres
) -> None:
    shared = {"DATABASE_URL": url_of(await postgres.fresh_database()), "SIDECAR_POOL_SIZE": "0"}
    first, second = (ServerProcess(tmp_path / "data", **shared) for _ in range(2))
    record = tmp_path / "data" / "server.json"
    await first.start()
    try:
        await second.start()
        assert await first.stop() == 0
        assert json.loads(record.read_text())["pid"] == second.pid
    finally:
        await first.stop()
        await second.stop()
    assert not record.exists()
