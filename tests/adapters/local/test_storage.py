"""What is true of blobs as files alone."""

import errno
from pathlib import Path

import pytest

from actors.runtime import Unavailable
from actors.storage import CopyBlob, OpenBlob, PutBlob, chunks
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


async def test_what_a_dead_server_left_unfinished_is_removed(tmp_path: Path) -> None:
    unfinished = tmp_path / ".unfinished"
    unfinished.mkdir()
    (unfinished / "half").write_bytes(b"half")
    async with running(lambda: LocalStorage(LocalStorageSettings(root=tmp_path))):
        assert list(unfinished.iterdir()) == []
