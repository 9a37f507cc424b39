"""What the in-process and on-disk implementations need to know."""

from pathlib import Path

import msgspec


class LocalStorageSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The directory that holds the blobs."""

    root: Path


class LocalExecutorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The directory under which runs have their workspaces."""

    root: Path
