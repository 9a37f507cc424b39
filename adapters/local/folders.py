"""Removing what runs leave on the disk, however they left it."""

import contextlib
import os
import shutil
from collections.abc import Container
from pathlib import Path


def remove_folder(folder: Path) -> None:
    """Remove a folder and all in it, also where its owner has forbidden that."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        _open(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _open(folder: Path) -> None:
    """Let ourselves into every folder; links are not followed."""
    with contextlib.suppress(OSError):
        folder.chmod(0o700)
    for path, names, _ in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                if not Path(path, name).is_symlink():
                    Path(path, name).chmod(0o700)


def remove_folders(root: Path, live: Container[str]) -> None:
    """Remove the folders in `root` that are not among the `live`."""
    if root.is_dir():
        for folder in root.iterdir():
            if folder.name not in live:
                remove_folder(folder)
