"""Large files pass through the server; it never holds one."""

import hashlib
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from support.api import Api, new_owner
from support.fake_model import FakeModel, Say
from support.files import FILE_INPUT, send, upload
from support.postgres import Postgres, url_of
from support.processes import ServerProcess

MIB = 2**20
SIZE = 30 * MIB
MOST_GROWTH = 12 * MIB


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read in /proc")
async def test_thirty_megabytes_pass_through_in_pieces(
    tmp_path: Path, postgres: Postgres, fake: FakeModel
) -> None:
    connect = await postgres.fresh_database()
    server = ServerProcess(tmp_path / "data", DATABASE_URL=url_of(connect), SIDECAR_POOL_SIZE="0")
    await server.start()
    try:
        owner = await new_owner(server.url)
        copy = {"bash": {"command": "mkdir outputs; cp documents/* outputs/"}}
        steps = (Say("", copy), Say("Done."))
        name = fake.script("large", *steps, *steps)
        await owner.new_model(fake, name)
        agent = await owner.new_agent("large", **FILE_INPUT)
        small = await owner.finished(agent, {"input": {"extras": [await upload(owner, b"a")]}})
        assert small["document_counts"] == {"input": 1, "output": 1}
        before = _peak(server.pid)
        expected = await _round_trip(owner, agent)
        grown = _peak(server.pid) - before
    finally:
        await server.stop()

    assert expected == hashlib.sha256(b"".join([chunk async for chunk in _body()])).hexdigest()
    assert grown < MOST_GROWTH, f"{grown / MIB:.1f} MiB"


async def _round_trip(owner: Api, agent: str) -> str:
    """A large file up, into a run, out of it and down; the digest of what came."""
    announced = await owner.post(
        "/api/uploads", {"name": "big.bin", "size": SIZE, "mime": "application/octet-stream"}
    )
    sent = await send(announced, _body())
    assert sent.status == 204, sent.body
    run = await owner.finished(agent, {"input": {"extras": [announced.json["uri"]]}})
    assert run["artifacts"] == {"status": "complete", "published": 1, "failed": []}
    made = (await owner.get(f"/api/documents?run_id={run['id']}&purpose=agent_output")).json
    url = f"{owner.url}/api/documents/{made['data'][0]['id']}/content"
    digest = hashlib.sha256()
    async with (
        aiohttp.ClientSession(cookie_jar=owner.jar) as session,
        session.get(url, headers=owner.headers) as answer,
    ):
        async for chunk in answer.content.iter_any():
            digest.update(chunk)
    return digest.hexdigest()


async def _body() -> AsyncIterator[bytes]:
    for n in range(SIZE // MIB):
        yield bytes([n]) * MIB


def _peak(pid: int) -> int:
    """The most memory a process has ever had in use, in bytes."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024
