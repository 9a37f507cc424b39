"""Blobs as files in a directory."""

import asyncio
import contextlib
import errno
import itertools
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from actors.runtime import NotFound, Unavailable
from actors.storage import (
    Blob,
    Body,
    CopyBlob,
    DeleteBlob,
    FindBlob,
    ListBlobs,
    OpenBlob,
    PutBlob,
    Storage,
    StoredBlob,
)
from adapters.local.settings import LocalStorageSettings

CHUNK = 256 * 1024
UNFINISHED = ".unfinished"
MISSING = (FileNotFoundError, IsADirectoryError, NotADirectoryError)


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
        except MISSING:
            raise NotFound(f"there is no blob {message.key}") from None
        size = os.fstat(file.fileno()).st_size
        file.seek(min(message.start, size))
        return Blob(size, _Content(file, size if message.length is None else message.length))

    async def find(self, message: FindBlob) -> int | None:
        try:
            found = await asyncio.to_thread((self._root / message.key).stat)
        except MISSING:
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    async def copy(self, message: CopyBlob) -> None:
        unfinished = self._root / UNFINISHED / secrets.token_hex(16)
        await asyncio.to_thread(
            _copy, self._root / message.source, unfinished, self._root / message.key
        )

    async def list(self, message: ListBlobs) -> list[StoredBlob]:
        found = _walk(self._root / message.key, message.key, message.after)
        return await asyncio.to_thread(lambda: list(itertools.islice(found, message.limit)))

    async def delete(self, message: DeleteBlob) -> None:
        path = self._root / message.key
        with contextlib.suppress(*MISSING):
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


def _copy(source: Path, unfinished: Path, place: Path) -> None:
    try:
        with _disk_errors():
            try:
                # Blobs are never changed in place, so two of them may share their bytes.
                os.link(source, unfinished)
            except MISSING:
                raise NotFound("there is no such blob") from None
            except OSError:
                shutil.copyfile(source, unfinished)
            _move(unfinished, place)
    finally:
        unfinished.unlink(missing_ok=True)


def _walk(folder: Path, key: str, after: str) -> Iterator[StoredBlob]:
    """The blobs in a folder in the order of their keys, without a look at what lies before."""
    try:
        entries = list(os.scandir(folder))
    except MISSING:
        return
    # A key goes on behind the name of a folder: with a slash, that sorts before letters.
    entries.sort(key=lambda each: f"{each.name}/" if each.is_dir() else each.name)
    for entry in entries:
        path = f"{key}/{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            if f"{path}0" > after:  # the character behind the slash
                yield from _walk(Path(entry.path), path, after)
        elif path > after:
            with contextlib.suppress(*MISSING):
                yield StoredBlob(key=path, size=entry.stat().st_size)


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

    def __init__(self, file: IO[bytes], length: int) -> None:
        self._file = file
        self._left = length

    def __aiter__(self) -> "_Content":
        return self

    async def __anext__(self) -> bytes:
        size, chunk = min(CHUNK, self._left), b""
        if size and not self._file.closed:
            chunk = await asyncio.to_thread(self._file.read, size)
        if not chunk:
            self._file.close()
            raise StopAsyncIteration
        self._left -= len(chunk)
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
