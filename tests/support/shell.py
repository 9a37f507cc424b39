"""The command line as somebody types it."""

import os
import subprocess
import sys
from pathlib import Path


class Shell:
    """A folder, and the commands typed in it."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.folder = folder
        self._variables = variables

    def __call__(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("APPSTRATE_")}
        return subprocess.run(
            [sys.executable, "-m", "appstrate", *arguments],
            cwd=self.folder,
            env=clean | {"COLUMNS": "200", "NO_COLOR": "1"} | self._variables | variables,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            stdin=subprocess.DEVNULL,
        )
