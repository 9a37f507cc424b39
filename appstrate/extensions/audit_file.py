"""What happens to runs, as lines of JSON in a file: an example of an extension, and useful.

It is off until `EXTENSION_AUDIT_FILE_PATH` is set. The file is only ever appended to, and opened
anew for each line, so that it may be moved away at any time. It tells what was heard, not what
may be lost with the bus: the database is the truth.
"""

import asyncio
import os
from pathlib import Path
from typing import Self

import msgspec

from actors.addresses import Addresses
from actors.events import RunChanged
from actors.extension import Extension, on
from actors.pubsub import PubSub
from actors.runtime import Address


class AuditFileSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the lines go."""

    path: str


class AuditFile(Extension):
    """Appends a line whenever a run is made, is started or has ended."""

    Settings = AuditFileSettings

    def __init__(self, pubsub: Address[PubSub], path: Path) -> None:
        super().__init__(pubsub)
        self._path = path

    @classmethod
    def build(cls, settings: AuditFileSettings, at: Addresses) -> Self:
        return cls(at.pubsub, Path(settings.path).expanduser())

    async def open(self) -> None:
        try:
            await asyncio.to_thread(_append, self._path, b"")
        except OSError as error:  # told at once, and by its name
            raise OSError(f"EXTENSION_AUDIT_FILE_PATH: {error}") from error

    @on(RunChanged)
    async def write(self, event: RunChanged) -> None:
        """One line: the event's id and time, and the run as streams show it."""
        line = {"id": event.id, "at": event.at, "event": "run", "run": event.update}
        await asyncio.to_thread(_append, self._path, msgspec.json.encode(line) + b"\n")


def _append(path: Path, line: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        file.write(line)
