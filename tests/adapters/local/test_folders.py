"""What runs leave on the disk is removed, whatever it is."""

import os
from pathlib import Path

import pytest

from adapters.local.folders import remove_folder, remove_folders

DEEP = 1100
"""Deeper than functions may call each other, and with a longer path than the system takes."""


def dig(folder: Path, levels: int = DEEP) -> None:
    here = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("deep", dir_fd=here)
        below = os.open("deep", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("leaf", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)


def test_a_folder_of_any_depth_is_removed(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("kept")
    folder = tmp_path / "runs" / "slot"
    (folder / "workspace").mkdir(parents=True)
    dig(folder / "workspace")
    (folder / "workspace" / "deep" / "link").symlink_to(kept)
    (folder / "link").symlink_to(kept)
    remove_folders(tmp_path / "runs", ())

    assert list((tmp_path / "runs").iterdir()) == []
    assert (kept / "file").read_text() == "kept"


@pytest.mark.parametrize("levels", [3, DEEP])
def test_a_folder_that_is_closed_is_removed(tmp_path: Path, levels: int) -> None:
    folder = tmp_path / "slot"
    (folder / "closed" / "inner").mkdir(parents=True)
    dig(folder / "closed" / "inner", levels)
    (folder / "closed" / "inner" / "deep").chmod(0)
    (folder / "closed").chmod(0)
    remove_folder(folder)

    assert not folder.exists()
