"""More runs than the machine carries: who waits, who is next, who is refused."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from adapters.local.processes import process_table
from appstrate.boot import serving
from appstrate.settings import read_settings
from support.api import Api, new_owner
from support.fake_model import FakeModel, Hold, Say, fake_model
from support.processes import ServerProcess
from support.waiting import eventually

Serve = Callable[..., AbstractAsyncContextManager[str]]


@pytest.fixture
async def fake() -> AsyncIterator[FakeModel]:
    async with fake_model() as model:
        yield model


TEST = {"APP_ENV": "test", "RATE_LIMIT_FACTOR": "1000"}


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    @asynccontextmanager
    async def serve(**variables: str) -> AsyncIterator[str]:
        given = {"DATA_DIR": str(tmp_path / "data"), "PORT": "0"}
        async with serving(read_settings(TEST | given | variables)) as server:
            yield server.url

    return serve


async def held_owner(url: str, fake: FakeModel) -> tuple[Api, str, Hold]:
    """Somebody with an agent whose runs all wait until they are let go."""
    owner = await new_owner(url)
    hold = Hold(Say("Done."))
    await owner.new_model(fake, fake.script(owner.org["slug"], hold))
    return owner, await owner.new_agent("held"), hold


async def running_of(owner: Api) -> list[str]:
    found = (await owner.get("/api/runs?status=running")).json["data"]
    return [run["id"] for run in found]


async def becomes(owner: Api, run: str, status: str) -> None:
    async with asyncio.timeout(20):
        while (await owner.get(f"/api/runs/{run}")).json["status"] != status:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.02)


async def test_the_rest_wait_in_turn_and_a_flood_is_refused(serve: Serve, fake: FakeModel) -> None:
    limits = '{"max_pending_per_org": 3}'
    async with serve(MAX_CONCURRENT_RUNS="1", PLATFORM_RUN_LIMITS=limits) as url:
        flood, agent, hold = await held_owner(url, fake)
        first = (await flood.launch(agent)).json["id"]
        await becomes(flood, first, "running")
        waiting = [(await flood.launch(agent)).json["id"] for _ in range(3)]
        refused = await flood.launch(agent)
        other, others_agent, others_hold = await held_owner(url, fake)
        late = (await other.launch(others_agent)).json["id"]

        assert (refused.status, refused.code) == (429, "org_run_concurrency_exceeded")
        assert int(refused.headers["Retry-After"]) >= 1
        assert await running_of(flood) == [first]
        hold.go.set()
        others_hold.go.set()
        runs = [await flood.wait(run) for run in (first, *waiting)] + [await other.wait(late)]
        assert {run["status"] for run in runs} == {"success"}
        order = [body["model"] for _, body in fake.requests]
        a, b = flood.org["slug"], other.org["slug"]
        assert order == [a, b, a, a, a]
        assert (await flood.launch(agent)).status == 201


async def test_an_organization_at_its_bound_waits_beside_others(
    serve: Serve, fake: FakeModel
) -> None:
    limits = '{"max_concurrent_per_org": 1}'
    async with serve(MAX_CONCURRENT_RUNS="4", PLATFORM_RUN_LIMITS=limits) as url:
        busy, agent, hold = await held_owner(url, fake)
        runs = [(await busy.launch(agent)).json["id"] for _ in range(2)]
        other, others_agent, others_hold = await held_owner(url, fake)
        beside = (await other.launch(others_agent)).json["id"]
        await becomes(other, beside, "running")
        await becomes(busy, runs[0], "running")
        assert await running_of(busy) == runs[:1]
        hold.go.set()
        others_hold.go.set()
        ended = [await busy.wait(run) for run in runs]
        assert {run["status"] for run in ended} == {"success"}


async def test_a_waiting_run_can_be_cancelled(serve: Serve, fake: FakeModel) -> None:
    async with serve(MAX_CONCURRENT_RUNS="1", SIDECAR_POOL_SIZE="0") as url:
        owner, agent, hold = await held_owner(url, fake)
        live, waiting = [(await owner.launch(agent)).json["id"] for _ in range(2)]
        await becomes(owner, live, "running")
        cancelled = await owner.post(f"/api/runs/{waiting}/cancel")
        assert (cancelled.status, cancelled.json["status"]) == (200, "cancelled")
        hold.go.set()
        assert (await owner.wait(live))["status"] == "success"
        assert len(fake.requests_of(owner.org["slug"])) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
async def test_kill_9_in_the_middle_of_twenty_runs(tmp_path: Path, fake: FakeModel) -> None:
    """Every run that was acknowledged ends, or waits and is executed; nothing is left running."""
    server = ServerProcess(tmp_path / "data", MAX_CONCURRENT_RUNS="8")
    await server.start()
    try:
        owner, agent, hold = await held_owner(server.url, fake)
        launched = await asyncio.gather(*(owner.launch(agent) for _ in range(20)))
        runs = [answer.json["id"] for answer in launched]
        name = owner.org["slug"]
        await eventually(lambda: len(fake.requests_of(name)) >= 5, 40)
        mark = f"APPSTRATE_RUNS={server.data}/runs".encode()
        assert programs(mark)
        await server.kill()
        hold.go.set()
        await eventually(lambda: not programs(mark), 10)
        await server.start()
        owner.url = server.url
        ended = [await owner.wait(run) for run in runs]
    finally:
        await server.stop()

    statuses = [run["status"] for run in ended]
    assert set(statuses) == {"failed", "success"}
    assert 5 <= statuses.count("failed") <= 8
    assert all("Server restarted" in run["error"] for run in ended if run["status"] == "failed")
    assert {run["runNumber"] for run in ended} == set(range(1, 21))
    assert not carrying(mark)


def programs(mark: bytes) -> list[int]:
    """Those that are more than a wall: one that was being built when the server died may wait for
    its other half, with nothing in it, until the next start ends it.
    """
    parents = {each.parent for each in process_table().values()}
    found: list[int] = []
    for pid in carrying(mark):
        with contextlib.suppress(OSError):
            name = Path(f"/proc/{pid}/comm").read_text().strip()
            if name != "bwrap" or pid in parents:
                found.append(pid)
    return found


def carrying(mark: bytes) -> list[int]:
    """Processes with a text in their environment."""
    found: list[int] = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if mark in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
            except OSError:
                continue
    return found
