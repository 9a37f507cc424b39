"""Removing what runs leave on the disk, however they left it."""

import contextlib
import os
import secrets
import shutil
import stat
from collections.abc import Container, Iterator
from pathlib import Path


def remove_folder(folder: Path) -> None:
    """Remove a folder and all in it, also where its owner has forbidden that, and however deep."""
    with contextlib.suppress(RecursionError):
        shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        _flatten(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _flatten(folder: Path) -> None:
    """Empty a folder, one level at a time: every folder in it is moved up to its top first.

    There it has a name nobody knows, and is what it was seen to be; links are not followed.
    """
    with contextlib.suppress(OSError):
        folder.chmod(0o700)
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        with contextlib.suppress(OSError):
            for entry in list(os.scandir(current)):
                waiting += _taken_out(folder, Path(entry.path))
        if current != folder:
            with contextlib.suppress(OSError):
                current.rmdir()


def _taken_out(top: Path, path: Path) -> Iterator[Path]:
    """Remove a file; a folder is moved to the top, opened, and told."""
    moved = top / f".{secrets.token_hex(16)}"
    with contextlib.suppress(OSError):
        if not stat.S_ISDIR(path.lstat().st_mode):
            path.unlink()
            return
        try:
            path.rename(moved)
        except PermissionError:  # it may not be changed, which its owner may change
            path.chmod(0o700)
            path.rename(moved)
        if stat.S_ISDIR(moved.lstat().st_mode):
            moved.chmod(0o700)
            yield moved


def remove_folders(root: Path, live: Container[str]) -> None:
    """Remove the folders in `root` that are not among the `live`."""
    if root.is_dir():
        for folder in root.iterdir():
            if folder.name not in live:
                remove_folder(folder)
