"""Following a run from a terminal: over a restart of the server, and until ^C."""

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator

import pytest

from support.api import Api, new_owner
from support.fake_model import FakeModel, Hang, Say, fake_model
from support.processes import ServerProcess


@pytest.fixture(scope="module")
async def fake() -> AsyncIterator[FakeModel]:
    async with fake_model() as model:
        yield model


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServerProcess]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    server = ServerProcess(
        tmp_path_factory.mktemp("server") / "data",
        PORT=port,
        SIDECAR_POOL_SIZE="0",
        SHUTDOWN_TIMEOUT_SECONDS="1",
    )
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def owner(server: ServerProcess, fake: FakeModel) -> Api:
    owner = await new_owner(server.url)
    log = Say(calls={"log": {"level": "info", "message": "long " * 600}})
    await owner.new_model(fake, fake.script("slow", log, Hang()))
    return owner


async def typed(owner: Api, *arguments: str) -> Process:
    key = (await owner.with_key()).headers["Authorization"].removeprefix("Bearer ")
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "appstrate", *arguments),
        stdout=PIPE,
        stderr=PIPE,
        env=os.environ | {"APPSTRATE_URL": owner.url, "APPSTRATE_API_KEY": key},
    )


async def lines_until(process: Process, words: str) -> list[str]:
    """What a process prints, up to the line with these words."""
    assert process.stdout is not None
    lines: list[str] = []
    async with asyncio.timeout(30):
        while not lines or words not in lines[-1]:
            line = await process.stdout.readline()
            assert line, lines
            lines.append(line.decode())
    return lines


def says(line: str) -> bool:
    """Whether it is what the agent logs, and not its asking for that."""
    return str(json.loads(line)["message"]).startswith("long long")


async def test_a_log_is_followed_over_a_restart(server: ServerProcess, owner: Api) -> None:
    agent = await owner.new_agent("slow", runtime_tools=["log"])
    run = (await owner.launch(agent)).json["id"]
    following = await typed(owner, "logs", "-f", run, "--json")
    lines = await lines_until(following, "long long")
    while not says(lines[-1]):
        lines += await lines_until(following, "long long")
    await server.kill()
    await server.start()
    rest, said = await following.communicate()
    lines += rest.decode().splitlines()
    ids = [json.loads(line)["id"] for line in lines]
    messages = [json.loads(line)["message"] for line in lines]

    assert following.returncode == 0, said
    assert json.loads(lines[-1])["event"] == "run_completed"
    assert ids == [line["id"] for line in await owner.logs(run)]
    assert "long " * 600 in {f"{message} " for message in messages} | set(messages)


async def test_a_run_that_is_no_longer_watched_goes_on(owner: Api) -> None:
    agent = await owner.new_agent("slow", runtime_tools=["log"])
    watching = await typed(owner, "run", agent)
    lines = await lines_until(watching, "long long")
    watching.send_signal(signal.SIGINT)
    _, said = await watching.communicate()
    run = lines[0].split()[-1]

    assert watching.returncode == 130, said
    assert f"logs -f {run}" in said.decode()
    assert "Traceback" not in said.decode()
    assert (await owner.get(f"/api/runs/{run}")).json["status"] == "running"

    following = await typed(owner, "logs", "-f", run)
    await lines_until(following, "long long")
    following.send_signal(signal.SIGINT)
    _, said = await following.communicate()
    assert (following.returncode, said) == (130, b"")
    await owner.post(f"/api/runs/{run}/cancel")
