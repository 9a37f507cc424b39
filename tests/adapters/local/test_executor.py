"""Processes as slots: how they start, what they say, and that nothing of them is left."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.local.executor import LocalExecutor
from adapters.local.settings import LocalExecutorSettings
from support.waiting import alive, eventually

PROGRAM = """
import json, os, subprocess, sys, time
told = json.loads(sys.stdin.buffer.readline() or b"{}")
exec(told.get("CODE", ""))
"""


@pytest.fixture
async def executor(tmp_path: Path) -> LocalExecutor:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    return LocalExecutor(LocalExecutorSettings(root=tmp_path / "runs"), "1", program)


async def test_a_slot_waits_is_assigned_and_ends(executor: LocalExecutor, tmp_path: Path) -> None:
    slot = await executor.make()
    workspace = tmp_path / "runs" / "1" / slot.name / "workspace"
    assert workspace.stat().st_mode & 0o777 == 0o700
    await slot.assign({"CODE": "print('hello'); print(os.environ['WORKSPACE_DIR']); sys.exit(3)"})
    ended = await slot.wait()

    assert (ended.code, ended.signal) == (3, None)
    assert ended.tail == ["hello", str(workspace)]
    await slot.stop()
    assert not workspace.exists()


async def test_a_slot_has_nothing_of_the_servers_environment(
    executor: LocalExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTH_SECRET", "very secret")
    slot = await executor.make()
    await slot.assign({"CODE": "print(sorted(os.environ))"})
    [names] = (await slot.wait()).tail
    await slot.stop()

    assert "AUTH_SECRET" not in names
    assert "APPSTRATE_SERVER" not in names
    assert "PATH" in names


async def test_only_the_end_of_what_a_slot_says_is_kept(executor: LocalExecutor) -> None:
    slot = await executor.make()
    flood = "for n in range(200_000): print('x' * 100, n)\nprint('y' * 10_000)"
    await slot.assign({"CODE": flood})
    tail = (await slot.wait()).tail
    await slot.stop()

    assert len(tail) == 200
    assert tail[-2].endswith(" 199999")
    assert len(tail[-1]) == 2000


async def test_a_slot_that_is_killed_says_by_what(executor: LocalExecutor) -> None:
    slot = await executor.make()
    await slot.assign({"CODE": "print('last words', flush=True); os.kill(os.getpid(), 9)"})
    ended = await slot.wait()
    await slot.stop()

    assert ended.signal == signal.SIGKILL
    assert ended.tail == ["last words"]


async def test_stopping_ends_a_program_that_will_not_listen(
    executor: LocalExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.local.executor.POLITE_SECONDS", 0.2)
    slot = await executor.make()
    deaf = "import signal; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"
    await slot.assign({"CODE": deaf})
    await asyncio.sleep(0.2)
    await asyncio.gather(slot.stop(), slot.stop())

    assert (await slot.wait()).signal == signal.SIGKILL
    assert not alive(slot.pid)


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are found through /proc")
async def test_nothing_a_slot_started_is_left(executor: LocalExecutor, tmp_path: Path) -> None:
    """Also not what left the session, dropped the mark, and lost its parents."""
    pids = tmp_path / "pids"
    daemon = (
        "for _ in range(3):\n"
        "  if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        f"      os.execve('/bin/sh', ['sh', '-c', 'echo $$ >> {pids}; exec sleep 600'], {{}})\n"
        "    os._exit(0)\n"
        "time.sleep(600)"
    )
    slot = await executor.make()
    await slot.assign({"CODE": daemon})
    await eventually(lambda: pids.exists() and len(pids.read_text().split()) == 3)
    started = [int(pid) for pid in pids.read_text().split()]
    assert all(alive(pid) for pid in started)
    await slot.stop()

    assert not any(alive(pid) for pid in started)


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are found through /proc")
async def test_other_children_of_the_server_are_left_alone(executor: LocalExecutor) -> None:
    own = subprocess.Popen(["sleep", "600"], start_new_session=True)
    slots = [await executor.make() for _ in range(2)]
    await slots[0].stop()

    assert own.poll() is None
    assert alive(slots[1].pid)
    own.kill()
    own.wait()
    await slots[1].stop()


@pytest.mark.skipif(sys.platform != "linux", reason="marks are found through /proc")
async def test_a_sweep_ends_what_an_earlier_life_left(
    executor: LocalExecutor, tmp_path: Path
) -> None:
    root = tmp_path / "runs" / "1"
    (root / "old" / "workspace").mkdir(parents=True)
    environment = {"APPSTRATE_RUNS": str(root), "PATH": os.environ["PATH"]}
    left = subprocess.Popen(["sleep", "600"], env=environment)
    hidden = subprocess.Popen(["sleep", "600"], env={}, cwd=root / "old" / "workspace")
    others = subprocess.Popen(["sleep", "600"], env=environment | {"APPSTRATE_RUNS": f"{root}0"})
    slot = await executor.make()
    await asyncio.sleep(0.05)

    assert await executor.sweep() == 2
    assert left.wait(5) == hidden.wait(5) == -signal.SIGKILL
    assert others.poll() is None
    assert alive(slot.pid)
    assert [folder.name for folder in root.iterdir()] == [slot.name]
    others.kill()
    others.wait()
    await slot.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="folders are found through /proc")
async def test_a_sweep_from_within_a_run_leaves_the_sweeper_alone(tmp_path: Path) -> None:
    """And finds what is left also where the data folder is a link."""
    real, linked = tmp_path / "real", tmp_path / "linked"
    workspace = real / "runs" / "1" / "old"
    workspace.mkdir(parents=True)
    linked.symlink_to(real)
    left = subprocess.Popen(["sleep", "600"], cwd=workspace, env={})
    beside = subprocess.Popen(["sleep", "600"])
    settings = LocalExecutorSettings(root=linked / "runs")
    before = Path.cwd()
    os.chdir(workspace)
    try:
        executor = LocalExecutor(settings, "1", tmp_path / "program")
        assert await executor.sweep() >= 1
    finally:
        os.chdir(before)

    assert left.wait(5) == -signal.SIGKILL
    assert beside.poll() is None
    beside.kill()
    beside.wait()


async def test_a_program_that_is_not_there_is_an_exit(tmp_path: Path) -> None:
    executor = LocalExecutor(
        LocalExecutorSettings(root=tmp_path / "runs"), "1", tmp_path / "missing.py"
    )
    slot = await executor.make()
    await slot.assign({"A": "b"})
    ended = await slot.wait()
    await slot.stop()

    assert ended.code == 2
    assert "No such file" in ended.tail[-1]
