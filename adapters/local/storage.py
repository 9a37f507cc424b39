"""Blobs as files in a directory."""

import asyncio
import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from actors.runtime import NotFound, Unavailable
from actors.storage import Blob, Body, DeleteBlob, OpenBlob, PutBlob, Storage
from adapters.local.settings import LocalStorageSettings

CHUNK = 256 * 1024
UNFINISHED = ".unfinished"


class LocalStorage(Storage):
    """A blob is a file; it is written beside its place, synced, and renamed into it."""

    def __init__(self, settings: LocalStorageSettings) -> None:
        super().__init__()
        self._root = settings.root.absolute()

    async def started(self) -> None:
        await asyncio.to_thread(self._prepare)

    def _prepare(self) -> None:
        unfinished = self._root / UNFINISHED
        unfinished.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in unfinished.iterdir():
            left.unlink()

    async def put(self, message: PutBlob) -> int:
        unfinished = self._root / UNFINISHED / secrets.token_hex(16)
        try:
            with _disk_errors():
                file = await asyncio.to_thread(unfinished.open, "xb")
                with file:
                    size = await _write(file, message.body)
                await asyncio.to_thread(_move, unfinished, self._root / message.key)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
        return size

    async def open(self, message: OpenBlob) -> Blob:
        try:
            file = await asyncio.to_thread((self._root / message.key).open, "rb")
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise NotFound(f"there is no blob {message.key}") from None
        return Blob(os.fstat(file.fileno()).st_size, _Content(file))

    async def delete(self, message: DeleteBlob) -> None:
        path = self._root / message.key
        with contextlib.suppress(FileNotFoundError, IsADirectoryError, NotADirectoryError):
            await asyncio.to_thread(path.unlink)


async def _write(file: IO[bytes], body: Body) -> int:
    size = 0
    async for chunk in body:
        size += await asyncio.to_thread(file.write, chunk)
    await asyncio.to_thread(_sync, file)
    return size


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _move(unfinished: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    unfinished.replace(place)
    directory = os.open(place.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


class _Content:
    """An open file as a body. Not a generator: closing one that was never begun runs no code."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def __aiter__(self) -> "_Content":
        return self

    async def __anext__(self) -> bytes:
        chunk = b"" if self._file.closed else await asyncio.to_thread(self._file.read, CHUNK)
        if not chunk:
            self._file.close()
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        self._file.close()


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Unavailable(
                "the disk that holds the storage is full", code="disk_full"
            ) from error
        raise
