"""kill -9, twins, dead services: what an operator meets sooner or later."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import aiohttp
import asyncpg
import pytest

from support.api import Api, new_owner
from support.fake_model import FakeModel, Hang, Say, fake_model
from support.postgres import Postgres, url_of
from support.processes import ServerProcess
from support.waiting import alive, eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")


@pytest.fixture
async def fake() -> AsyncIterator[FakeModel]:
    async with fake_model() as model:
        yield model


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ServerProcess]:
    # No warm slots: a process with a run's mark is then a run's.
    server = ServerProcess(tmp_path / "data", SIDECAR_POOL_SIZE="0", SHUTDOWN_TIMEOUT_SECONDS="1")
    yield server
    await server.stop()


COPY_AS_PENDING = """
WITH r AS (
    INSERT INTO runs (id, org_id, application_id, package_id, agent_scope, agent_name, run_number,
                      version_label, version_ref, plan, started_at)
    SELECT $2, org_id, application_id, package_id, agent_scope, agent_name, run_number + $3,
           version_label, version_ref, replace(plan::text, $1, $2)::json,
           now() - interval '1 minute'
    FROM runs WHERE id = $1
)
INSERT INTO run_sinks (run_id, org_id, secret_encrypted, expires_at)
SELECT $2, org_id, secret_encrypted, expires_at FROM run_sinks WHERE run_id = $1
"""


def carrying(mark: str) -> list[int]:
    """Living processes with a text in their environment."""
    found: list[int] = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                environment = (folder / "environ").read_bytes()
            except OSError:
                continue
            if mark.encode() in environment and alive(int(folder.name)):
                found.append(int(folder.name))
    return found


def commanded(command: str) -> list[int]:
    """Living processes that call themselves so."""
    found: list[int] = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                if (folder / "cmdline").read_bytes().startswith(command.encode()):
                    found.append(int(folder.name))
    return found


async def test_kill_9_in_the_middle_of_a_run(server: ServerProcess, fake: FakeModel) -> None:
    """After the restart the run is failed with a reason, and nothing of it is left running."""
    await server.start()
    owner = await new_owner(server.url)
    hidden = f"appstrate-hidden-{owner.org['slug']}"
    work = f"setsid sleep 600 & env -i setsid -f bash -c 'exec -a {hidden} sleep 600'; sleep 0.2"
    working = Say("Working.", {"bash": {"command": work}})
    name = fake.script("hanging", working, working, working, Hang())
    await owner.new_model(fake, name)
    agent = await owner.new_agent("hanging")
    finished = await owner.finished(await owner.new_agent("quick"), {"modelId": "demo"})
    runs = [(await owner.launch(agent)).json["id"] for _ in range(3)]
    await eventually(lambda: len(fake.requests_of(name)) >= 6)
    mark = f"APPSTRATE_RUNS={server.data}/runs/1"
    assert carrying(mark)
    assert commanded(hidden)
    acknowledged = {run: await owner.logs(run) for run in runs}
    await server.kill()
    await eventually(lambda: not carrying(mark) and not commanded(hidden), 10)
    await server.start()
    owner.url = server.url
    ended = [await owner.wait(run) for run in runs]

    assert {run["status"] for run in ended} == {"failed"}
    assert all("Server restarted" in run["error"] for run in ended)
    for run in runs:
        lines = await owner.logs(run)
        assert lines[: len(acknowledged[run])] == acknowledged[run]
        assert lines[-1]["event"] == "run_completed"
    assert (await owner.get(f"/api/runs/{finished['id']}")).json == finished
    assert not carrying(mark)
    assert list((server.data / "runs" / "1").iterdir()) == []
    again = await owner.finished(agent, {"modelId": "demo"})
    assert (again["status"], again["runNumber"]) == ("success", 4)


async def test_no_acknowledged_row_is_lost_when_the_server_dies(server: ServerProcess) -> None:
    await server.start()
    owner = await new_owner(server.url)
    made: list[str] = []

    async def make_keys() -> None:
        while True:
            answer = await owner.post("/api/api-keys", {"name": f"key {len(made)}"})
            made.append(answer.json["id"])

    making = asyncio.ensure_future(make_keys())
    await eventually(lambda: len(made) > 30)
    await server.kill()
    with pytest.raises(aiohttp.ClientError):
        await making
    await server.start()
    owner.url = server.url
    kept = {key["id"] for key in (await owner.get("/api/api-keys")).json["data"]}

    assert set(made) <= kept


async def test_a_run_that_waited_is_executed_after_the_restart(
    tmp_path: Path, postgres: Postgres, fake: FakeModel
) -> None:
    """A pending run belongs to nobody yet, so a restart does not fail it, unless it must."""
    connect = await postgres.fresh_database()
    server = ServerProcess(tmp_path / "data", DATABASE_URL=url_of(connect))
    await server.start()
    owner = await new_owner(server.url)
    name = fake.script("slow", Hang(), Say("done"))
    await owner.new_model(fake, name)
    cut = (await owner.launch(await owner.new_agent("slow"))).json["id"]
    await eventually(lambda: fake.requests_of(name))
    await server.kill()
    whole, odd, sealed = (f"run_{uuid4()}" for _ in range(3))
    database = await asyncpg.connect(**connect)
    for number, run in enumerate((whole, odd, sealed), 1):
        await database.execute(COPY_AS_PENDING, cut, run, number)
    await database.execute("UPDATE runs SET plan = '{}' WHERE id = $1", odd)
    other = "UPDATE run_sinks SET secret_encrypted = 'v1:other:x' WHERE run_id = $1"
    await database.execute(other, sealed)
    await database.close()
    try:
        await server.start()
        owner.url = server.url
        runs = [await owner.wait(run) for run in (cut, whole, odd, sealed)]
    finally:
        await server.stop()

    assert [run["status"] for run in runs] == ["failed", "success", "failed", "failed"]
    assert "Server restarted" in runs[0]["error"]
    assert "plan cannot be read" in runs[2]["error"]
    assert "CONNECTION_ENCRYPTION_KEY" in runs[3]["error"]


async def test_stopping_ends_runs_with_a_reason_and_leaves_nothing(
    server: ServerProcess, fake: FakeModel
) -> None:
    await server.start()
    owner = await new_owner(server.url)
    name = fake.script("busy", Say("", {"bash": {"command": "sleep 600"}}))
    await owner.new_model(fake, name)
    run = (await owner.launch(await owner.new_agent("busy"))).json["id"]
    await eventually(lambda: fake.requests_of(name))
    assert await server.stop() == 0
    assert not (server.data / "server.json").exists()
    assert not carrying(f"APPSTRATE_RUNS={server.data}/runs")
    await server.start()
    owner.url = server.url
    ended = await owner.wait(run)

    assert ended["status"] == "failed"
    assert "server was stopped" in ended["error"]


async def test_a_second_server_on_the_same_folder_is_refused(server: ServerProcess) -> None:
    await server.start()
    twin = ServerProcess(server.data)
    twin.spawn()

    assert await twin.wait() == 1
    assert f"is in use by another running server (process {server.pid})" in server.log()
    assert "choose another DATA_DIR" in server.log()
    async with asyncio.timeout(5):
        assert (await Api(server.url).get("/health")).status == 200


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = ServerProcess(tmp_path / "data", PORT=str(port))
        server.spawn()
        assert await server.wait() == 1

    assert f"127.0.0.1:{port}" in server.log()
    assert "choose another PORT" in server.log()
    assert "Traceback" not in server.log()


async def test_a_database_that_dies_comes_back_and_the_server_with_it(
    server: ServerProcess,
) -> None:
    await server.start()
    owner = await new_owner(server.url)
    agent = await owner.new_agent("survivor")
    postmaster = int((server.data / "postgres/pgdata/postmaster.pid").read_text().split()[0])
    os.kill(postmaster, signal.SIGKILL)
    seen: set[int] = set()
    async with asyncio.timeout(30):
        while True:
            answer = await owner.get("/api/agents")
            seen.add(answer.status)
            if answer.status == 200 and seen != {200}:
                break
            await asyncio.sleep(0.01)
    run = await owner.finished(agent, {"modelId": "demo"})

    assert seen <= {200, 503}
    assert run["status"] == "success"
    assert (await owner.get("/health")).json["status"] == "healthy"


async def test_an_external_database_is_waited_for_and_then_named(tmp_path: Path) -> None:
    server = ServerProcess(
        tmp_path / "data",
        DATABASE_URL="postgresql://me:topsecret@127.0.0.1:9/agents",
        BOOT_WAIT_SECONDS="2",
    )
    server.spawn()
    assert await server.wait() == 1
    said = server.log()

    assert said.count("waiting for DATABASE_URL") >= 2
    assert "127.0.0.1:9/agents" in said
    assert "topsecret" not in said
    assert "Traceback" not in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_boot_can_be_broken_off(tmp_path: Path, number: signal.Signals) -> None:
    server = ServerProcess(
        tmp_path / "data",
        DATABASE_URL="postgresql://me:secret@127.0.0.1:9/agents",
        BOOT_WAIT_SECONDS="60",
    )
    server.spawn()
    await eventually(lambda: "waiting for DATABASE_URL" in server.log(), 20)
    os.kill(server.pid, number)
    async with asyncio.timeout(5):
        assert await server.wait() == 0

    assert "Traceback" not in server.log()
    assert "could not start" not in server.log()


async def test_the_embedded_database_survives_a_boot_that_is_broken_off(tmp_path: Path) -> None:
    for milliseconds in (150, 400, 650, 900):
        server = ServerProcess(tmp_path / "data")
        server.spawn()
        await asyncio.sleep(milliseconds / 1000)
        await server.stop()
        assert "Traceback" not in server.log(), server.log()
    await server.start()
    await server.stop()


async def test_a_folder_or_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "secrets.json").write_text('{"AUTH_SECRET": ')
    for folder, words in (("file/data", "DATA_DIR: "), ("damaged", "secrets.json is damaged")):
        served = subprocess.run(
            [sys.executable, "-m", "appstrate", "serve"],
            env=os.environ | {"DATA_DIR": str(tmp_path / folder), "PORT": "0"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert served.returncode == 1
        assert words in served.stderr
        assert "Traceback" not in served.stderr


async def test_a_server_whose_folder_is_deleted_ends(server: ServerProcess, tmp_path: Path) -> None:
    """It must not begin anew in a folder that is somebody else's by now."""
    await server.start()
    process, log = server.pid, tmp_path / "kept.log"
    os.link(server.data / "test.log", log)
    shutil.rmtree(server.data)
    server.data.mkdir()
    assert await server.wait() == 1
    assert "was deleted or replaced" in log.read_text()
    assert not alive(process)
    assert list(server.data.iterdir()) == []
    await server.start()
    owner = await new_owner(server.url)
    run = await owner.finished(await owner.new_agent("fresh"), {"modelId": "demo"})
    assert run["status"] == "success"


async def test_tier_1_runs_on_a_database_of_its_own(
    tmp_path: Path, postgres: Postgres, fake: FakeModel
) -> None:
    """And looks in it for runs nobody started, as those of a launch that was cut short."""
    connect = await postgres.fresh_database()
    server = ServerProcess(
        tmp_path / "data", DATABASE_URL=url_of(connect), SHUTDOWN_TIMEOUT_SECONDS="1"
    )
    await server.start()
    try:
        owner = await new_owner(server.url)
        run = await owner.finished(await owner.new_agent("tiered"), {"modelId": "demo"})
        assert run["status"] == "success"
        assert not (tmp_path / "data" / "postgres").exists()
        assert b"tier 1" in (await owner.get("/")).body

        name = fake.script("slow", Hang(), Say("done"), Say("done"))
        await owner.new_model(fake, name)
        slow = (await owner.launch(await owner.new_agent("slow"))).json["id"]
        await eventually(lambda: fake.requests_of(name))
        waiting = f"run_{uuid4()}"
        database = await asyncpg.connect(**connect)
        await database.execute(COPY_AS_PENDING, slow, waiting, 1)
        await database.close()
        assert (await owner.wait(waiting))["status"] == "success"
    finally:
        await server.stop()


async def test_settings_that_cannot_be_used_are_told_together(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data", PORT="x", REDIS_URL="redis://r", LOG_LEVEL="loud")
    server.spawn()
    assert await server.wait() == 1

    for name in ("PORT", "REDIS_URL", "LOG_LEVEL"):
        assert f"  {name}: " in server.log()
    assert "Traceback" not in server.log()
