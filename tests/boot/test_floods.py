"""Runs that write more than there is room for."""

import resource
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from adapters.local.executor import LocalExecutor
from adapters.local.settings import LocalExecutorSettings
from support.api import new_owner
from support.fake_model import FakeModel, Say, fake_model
from support.processes import ServerProcess

PROGRAM = """
import json, os, sys
exec(json.loads(sys.stdin.buffer.readline())["CODE"])
"""
GIGABYTE = """
line = b'x' * 1023 + b'\\n'
for n in range(1024):
    left = memoryview(line * 1024)
    while left:
        left = left[os.write(1, left):]
os.write(1, b'the last line')
"""


@pytest.fixture
async def fake() -> AsyncIterator[FakeModel]:
    async with fake_model() as model:
        yield model


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB, as the place of a server's runs."""
    place = tmp_path / "data" / "runs"
    place.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    if sys.platform != "linux" or subprocess.run(mount, check=False).returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=False)


async def test_a_gigabyte_of_output_costs_the_server_nothing(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    executor = LocalExecutor(LocalExecutorSettings(root=tmp_path / "runs"), "1", program)
    slot = await executor.make()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    await slot.assign({"CODE": GIGABYTE})
    ended = await slot.wait()
    await slot.stop()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

    assert (ended.code, ended.tail[-1]) == (0, "the last line")
    assert len(ended.tail) == 200
    assert grown < 32 * 1024  # KiB


async def test_a_run_that_fills_its_disk_ends_as_it_reports(
    small_disk: Path, fake: FakeModel
) -> None:
    """It hears of the full disk, its output is kept, and the next run finds room again."""
    server = ServerProcess(small_disk.parent)
    await server.start()
    try:
        owner = await new_owner(server.url)
        fill = Say("", {"bash": {"command": "head -c 50M /dev/zero > big; echo said $?"}})
        deliver = Say("", {"output": {"data": {"kept": True}}})
        name = fake.script("filler", fill, deliver, fill, deliver)
        await owner.new_model(fake, name)
        agent = await owner.new_agent("filler", runtime_tools=["output"])
        runs = [await owner.finished(agent) for _ in range(2)]
        told = [line["data"] for line in await owner.logs(runs[1]["id"]) if line["data"]]
    finally:
        await server.stop()

    assert [run["status"] for run in runs] == ["success", "success"], runs
    assert [run["result"] for run in runs] == [{"output": {"kept": True}}] * 2
    assert "No space left" in str(told)
