"""What the in-process and on-disk implementations need to know."""

from pathlib import Path
from typing import Literal

import msgspec

SandboxMode = Literal["auto", "off", "required"]


class LocalStorageSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The directory that holds the blobs."""

    root: Path


class LocalExecutorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The directory under which runs have their workspaces.

    With the `sandbox` on `auto` every wall is raised that the host allows; `required` refuses to
    do without one, `off` raises none. `hidden` are folders no run may see.
    """

    root: Path
    sandbox: SandboxMode = "off"
    hidden: tuple[Path, ...] = ()
