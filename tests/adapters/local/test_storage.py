"""What is true of blobs as files alone."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actors.runtime import Unavailable
from actors.storage import CopyBlob, DeleteBlob, OpenBlob, PutBlob, chunks
from adapters.local.settings import LocalStorageSettings
from adapters.local.storage import LocalStorage
from support.running import running


@pytest.mark.parametrize("step", ["_sync", "_move"])
async def test_a_full_disk_is_told_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async with running(lambda: LocalStorage(LocalStorageSettings(root=tmp_path))) as storage:
        await storage.ask(PutBlob(key="k", body=chunks(b"old")))
        with monkeypatch.context() as patch:
            patch.setattr(f"adapters.local.storage.{step}", full)
            with pytest.raises(Unavailable) as caught:
                await storage.ask(PutBlob(key="k", body=chunks(b"new" * 100_000)))
            if step == "_move":
                with pytest.raises(Unavailable):
                    await storage.ask(CopyBlob(source="k", key="copy"))

        assert caught.value.code == "disk_full"
        assert list((tmp_path / ".unfinished").iterdir()) == []
        assert await (await storage.ask(OpenBlob(key="k"))).read() == b"old"


async def test_what_a_dead_server_left_unfinished_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.local.storage.LEFT_SECONDS", -60.0)
    unfinished = tmp_path / ".unfinished"
    unfinished.mkdir()
    (unfinished / "half").write_bytes(b"half")
    async with running(lambda: LocalStorage(LocalStorageSettings(root=tmp_path))):
        assert list(unfinished.iterdir()) == []


@pytest.mark.parametrize("problem", [errno.EROFS, errno.EACCES, errno.EIO])
async def test_a_storage_that_cannot_be_written_says_so_and_is_well_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: int
) -> None:
    def broken(*_: object) -> None:
        raise OSError(problem, os.strerror(problem))

    async with running(lambda: LocalStorage(LocalStorageSettings(root=tmp_path))) as storage:
        await storage.ask(PutBlob(key="k", body=chunks(b"old")))
        with monkeypatch.context() as patch:
            for step in ("_create", "_move", "_remove"):
                patch.setattr(f"adapters.local.storage.{step}", broken)
            for message in (
                PutBlob(key="k", body=chunks(b"new")),
                CopyBlob(source="k", key="copy"),
                DeleteBlob(key="k"),
            ):
                with pytest.raises(Unavailable, match=os.strerror(problem)):
                    await storage.ask(message)
            storage.tell(DeleteBlob(key="k"))
            assert await (await storage.ask(OpenBlob(key="k"))).read() == b"old"
        await storage.ask(PutBlob(key="k", body=chunks(b"new")))
        assert await (await storage.ask(OpenBlob(key="k"))).read() == b"new"


async def test_files_are_their_servers_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EMLINK, "Too many links")

    root = tmp_path / "storage"
    async with running(lambda: LocalStorage(LocalStorageSettings(root=root))) as storage:
        await storage.ask(PutBlob(key="folder/k", body=chunks(b"secret")))
        monkeypatch.setattr("os.link", refuse)
        await storage.ask(CopyBlob(source="folder/k", key="folder/copy"))
        assert await (await storage.ask(OpenBlob(key="folder/copy"))).read() == b"secret"

    assert root.stat().st_mode & 0o077 == 0
    assert {(root / "folder" / name).stat().st_mode & 0o777 for name in ("k", "copy")} == {0o600}


async def test_a_server_that_starts_leaves_alone_what_another_is_writing(tmp_path: Path) -> None:
    begun, other_is_up = asyncio.Event(), asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"first "
        begun.set()
        await other_is_up.wait()
        yield b"second"

    settings = LocalStorageSettings(root=tmp_path)
    async with running(lambda: LocalStorage(settings)) as one:
        writing = asyncio.ensure_future(one.ask(PutBlob(key="k", body=body())))
        await begun.wait()
        async with running(lambda: LocalStorage(settings)) as another:
            other_is_up.set()
            await writing
            blob = await another.ask(OpenBlob(key="k"))
            assert await blob.read() == b"first second"
