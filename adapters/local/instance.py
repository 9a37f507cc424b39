"""Which instance this process is: a number nobody else on this data folder has."""

import fcntl
import os
from pathlib import Path
from typing import IO

MOST = 64


class InstanceLock:
    """A claimed instance. The lock is the kernel's: it ends with the process, however it dies."""

    def __init__(self, name: str, path: Path, file: IO[str]) -> None:
        self.name = name
        self._path = path
        self._file = file

    @property
    def holds(self) -> bool:
        """Whether the file is still where it was: a folder that was deleted protects nobody."""
        try:
            return self._path.stat().st_ino == os.fstat(self._file.fileno()).st_ino
        except OSError:
            return False

    def release(self) -> None:
        """Give the name back."""
        self._file.close()


def claim_instance(folder: Path, name: str | None = None) -> InstanceLock:
    """Claim the `name` that was given, else the first free file `1`, `2`, … in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for candidate in [name] if name else map(str, range(1, MOST + 1)):
        file = (folder / candidate).open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            continue
        return InstanceLock(candidate, folder / candidate, file)
    taken = f"INSTANCE_ID {name} is in use" if name else f"all {MOST} instances are in use"
    raise RuntimeError(f"{taken} in {folder}")
