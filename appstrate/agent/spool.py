"""What waits to be sent: a little in memory, the rest in a file without a name. Keeps the order."""

import os
from collections import deque
from pathlib import Path

IN_MEMORY = 2**20
ON_DISK = 64 * 2**20
LENGTH = 8


class Spool:
    """A queue of messages that stays small however long nobody takes from it.

    The file lies in `folder`, has no name there, and is gone with the process. When it is full,
    or there is no room on the disk, `put` refuses.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._memory: deque[bytes] = deque()
        self._size = 0
        self._file = -1
        self._read = self._written = 0

    def __bool__(self) -> bool:
        return bool(self._memory) or self._read < self._written

    def put(self, message: bytes) -> bool:
        """Add a message behind all others; False when there is no room for it."""
        if self._read == self._written and self._size + len(message) <= IN_MEMORY:
            self._memory.append(message)
            self._size += len(message)
            return True
        record = len(message).to_bytes(LENGTH, "big") + message
        if self._written + len(record) > ON_DISK:
            return False
        try:
            self._append(record)
        except OSError:
            return False
        return True

    def first(self) -> bytes:
        """The message that waits longest; it stays until `drop`."""
        if not self._memory:
            self._load()
        return self._memory[0]

    def drop(self) -> None:
        """Forget the message that waits longest."""
        self._size -= len(self._memory.popleft())

    def clear(self) -> None:
        """Forget everything."""
        self._memory.clear()
        self._size = self._read = self._written = 0
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _append(self, record: bytes) -> None:
        if self._file < 0:
            self._file = _nameless(self._folder)
        done = 0
        while done < len(record):
            done += os.pwrite(self._file, record[done:], self._written + done)
        self._written += len(record)

    def _load(self) -> None:
        """Move one message from the file to memory; a file that was read through starts anew."""
        size = int.from_bytes(self._bytes(LENGTH), "big")
        message = self._bytes(size)
        self._memory.append(message)
        self._size += size
        if self._read == self._written:
            os.ftruncate(self._file, 0)
            self._read = self._written = 0

    def _bytes(self, size: int) -> bytes:
        found = bytearray()
        while len(found) < size:
            found += os.pread(self._file, size - len(found), self._read + len(found))
        self._read += size
        return bytes(found)


def _nameless(folder: Path) -> int:
    name = folder / f".events-{os.getpid()}"
    descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    name.unlink()
    return descriptor
