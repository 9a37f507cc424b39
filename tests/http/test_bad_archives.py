"""Archives that are no packages: refused by name, nothing kept of them, memory flat."""

import io
import json
import re
import sys
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from support.api import Api, new_owner
from support.packages import agent_archive, agent_manifest, archive
from support.postgres import Postgres, url_of
from support.processes import ServerProcess

MIB = 2**20
MAY_GROW = 64 * MIB
COUNTS = """
    SELECT (SELECT count(*) FROM packages), (SELECT count(*) FROM package_versions),
           (SELECT count(*) FROM application_packages)
"""


class Place:
    """A server with a database and a storage that can be looked into."""

    def __init__(self, server: ServerProcess, connect: dict[str, Any]) -> None:
        self.server = server
        self._connect = connect

    async def contents(self) -> tuple[Any, ...]:
        """What is in the database, and the paths in the storage."""
        database = await asyncpg.connect(**self._connect)
        try:
            counts = await database.fetchrow(COUNTS)
        finally:
            await database.close()
        storage = self.server.data / "storage"
        files = sorted(str(path) for path in storage.rglob("*") if path.is_file())
        return (*counts, files)

    def peak(self) -> int:
        """The most memory the server has ever had in use, in bytes."""
        status = Path(f"/proc/{self.server.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) * 1024


@pytest.fixture(scope="module")
async def place(
    tmp_path_factory: pytest.TempPathFactory, postgres: Postgres
) -> AsyncIterator[Place]:
    connect = await postgres.fresh_database()
    data = tmp_path_factory.mktemp("bad") / "data"
    server = ServerProcess(data, DATABASE_URL=url_of(connect), SIDECAR_POOL_SIZE="0")
    await server.start()
    yield Place(server, connect)
    await server.stop()


@pytest.fixture(scope="module")
async def sender(place: Place) -> Api:
    return await new_owner(place.server.url)


def _stored(count: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zip_file:
        zip_file.writestr("manifest.json", json.dumps(agent_manifest()))
        for n in range(count - 1):
            zip_file.writestr(f"f/{n}", b"")
    return buffer.getvalue()


def _with(path: str) -> bytes:
    manifest = json.dumps(agent_manifest())
    return archive({"manifest.json": manifest, "prompt.md": "Do it.", path: "x"})


def _lying() -> bytes:
    """A bomb whose headers say that it is small."""
    content = bytearray(archive({"manifest.json": b"\0" * (200 * MIB)}))
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = content.index(signature) + offset
        content[place : place + 4] = (10).to_bytes(4, "little")
    return bytes(content)


BAD: dict[str, tuple[Callable[[], bytes], tuple[str, ...]]] = {
    "bomb": (lambda: archive({"manifest.json": b"\0" * (200 * MIB)}), ("zip_bomb",)),
    "many files that are one bomb": (
        lambda: archive({f"f{n}": b"\0" * MIB for n in range(60)}),
        ("zip_bomb",),
    ),
    "bomb that lies": (_lying, ("zip_bomb", "zip_invalid")),
    "10,001 entries": (lambda: _stored(10_001), ("zip_bomb",)),
    "absolute path": (lambda: _with("/etc/cron.d/x"), ("zip_invalid",)),
    "path that leads out": (lambda: _with("../../x"), ("zip_invalid",)),
    "path that leads out later": (lambda: _with("a/../../x"), ("zip_invalid",)),
    "truncated": (lambda: agent_archive()[:-30], ("zip_invalid",)),
    "cut in half": (lambda: agent_archive()[: len(agent_archive()) // 2], ("zip_invalid",)),
    "no archive": (lambda: b"\x1f\x8b" + b"x" * 1000, ("zip_invalid",)),
    "empty": (lambda: b"", ("zip_invalid",)),
    "no manifest": (lambda: archive({"prompt.md": "Do it."}), ("missing_manifest",)),
    "manifest that is no JSON": (lambda: archive({"manifest.json": "{"}), ("invalid_manifest",)),
    "schema 2.0": (
        lambda: agent_archive(agent_manifest(schema_version="2.0")),
        ("invalid_manifest",),
    ),
    "schema 1.0": (
        lambda: agent_archive(agent_manifest(schema_version="1.0")),
        ("invalid_manifest",),
    ),
    "unknown type": (lambda: agent_archive(agent_manifest(type="tool")), ("invalid_manifest",)),
    "no type": (
        lambda: archive({"manifest.json": '{"name":"@a/b","version":"1.0.0"}'}),
        ("invalid_manifest",),
    ),
    "too large": (lambda: b"PK" + b"\0" * (11 * MIB), ("file_too_large",)),
}


@pytest.mark.parametrize("name", BAD)
async def test_it_is_refused_and_nothing_is_kept(place: Place, sender: Api, name: str) -> None:
    make, codes = BAD[name]
    before = await place.contents()
    for query in ("", "?force=true"):
        answer = await sender.upload(make(), query=query)
        assert 400 <= answer.status < 500, answer.body
        assert answer.code in codes
        assert answer.headers["Content-Type"] == "application/problem+json"
    assert await place.contents() == before


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read in /proc")
async def test_memory_stays_flat(place: Place, sender: Api) -> None:
    good = agent_archive(agent_manifest(f"{sender.scope}/good"), "x" * MIB)
    assert (await sender.upload(good)).status == 201
    made = [make() for make, _ in BAD.values()]
    before = place.peak()
    for content in made * 2:
        await sender.upload(content)

    assert place.peak() - before < MAY_GROW
    assert (await sender.upload(good)).status == 201
