"""Blobs as files in a directory."""

import asyncio
import contextlib
import errno
import itertools
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import structlog

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

log = structlog.get_logger("storage")

CHUNK = 256 * 1024
UNFINISHED = ".unfinished"
LEFT_SECONDS = 3600.0
MISSING = (FileNotFoundError, IsADirectoryError, NotADirectoryError)
FULL = (errno.ENOSPC, errno.EDQUOT)
# What an operator has to see to, and may while the server runs.
BROKEN = (
    *(errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENODEV, errno.ENXIO),
    *(errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.EMFILE, errno.ENFILE),
)


class LocalStorage(Storage):
    """A blob is a file; it is written beside its place, synced, and renamed into it."""

    def __init__(self, settings: LocalStorageSettings) -> None:
        super().__init__()
        self._root = settings.root.absolute()

    async def started(self) -> None:
        await asyncio.to_thread(self._prepare)

    def _prepare(self) -> None:
        unfinished = self._root / UNFINISHED
        # Nobody else on this machine reads the files, a run that is another user included.
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        unfinished.mkdir(exist_ok=True, mode=0o700)
        for left in unfinished.iterdir():
            _remove_if_left(left)

    async def put(self, message: PutBlob) -> int:
        unfinished = self._root / UNFINISHED / secrets.token_hex(16)
        try:
            with _disk_errors():
                file = await asyncio.to_thread(_create, unfinished)
                with file:
                    size = await _write(file, message.body)
                await asyncio.to_thread(_move, unfinished, self._root / message.key)
        except BaseException:
            with contextlib.suppress(OSError):  # it is removed at the next start
                unfinished.unlink(missing_ok=True)
            raise
        return size

    async def open(self, message: OpenBlob) -> Blob:
        try:
            with _disk_errors():
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
        with _disk_errors(), contextlib.suppress(*MISSING):
            await asyncio.to_thread(_remove, path)


def _create(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _remove(path: Path) -> None:
    path.unlink()


def _remove_if_left(path: Path) -> None:
    """Remove what a dead server left; another one that shares the folder may be writing."""
    with contextlib.suppress(*MISSING):
        if path.stat().st_ctime < time.time() - LEFT_SECONDS:
            path.unlink()


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
                _copy_bytes(source, unfinished)
            _move(unfinished, place)
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)


def _copy_bytes(source: Path, unfinished: Path) -> None:
    with source.open("rb") as old, _create(unfinished) as new:
        shutil.copyfileobj(old, new, CHUNK)
        _sync(new)


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
        if error.errno in FULL:
            told = "the disk that holds the storage is full"
            raise Unavailable(told, code="disk_full") from error
        if error.errno in BROKEN:
            log.warning("the storage cannot be used", why=str(error))
            told = f"the storage cannot be used: {error.strerror}"
            raise Unavailable(told) from error
        raise
