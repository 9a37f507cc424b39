"""What the embedded or external PostgreSQL needs to know."""

from pathlib import Path

import msgspec


class EmbeddedSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the embedded server keeps its files."""

    root: Path


class ExternalSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A PostgreSQL that somebody else runs. `wait` is how many seconds to retry at boot."""

    url: str
    wait: float = 30.0
