"""Where the data shipped with the program lies: in the checkout, or where the wheel put it."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(sys.prefix) / "share" / "appstrate"


def _data(name: str) -> Path:
    # An editable install copies shared data once and never again: there the checkout counts.
    return (ROOT if (ROOT / "pyproject.toml").is_file() else SHARED) / name


MIGRATIONS = _data("migrations")
SYSTEM_PACKAGES = _data("system-packages")
