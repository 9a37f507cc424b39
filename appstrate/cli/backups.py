"""`appstrate backup` and `restore`: the database, the files and the secrets of a server."""

import asyncio
import contextlib
import json
import os
import shutil
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from adapters.postgres.backup import BackupError, dump, restore
from appstrate.settings import Settings

DATABASE = "database.dump"
STORAGE = "storage"
SECRETS = "secrets.json"
ABOUT = "backup.json"


async def back_up(settings: Settings, target: Path) -> None:
    """Make `target`, a folder only its owner can read, with all that a restore needs.

    The server may run meanwhile. The database comes first: files that are added later belong to
    nothing in it, which harms nobody. It is complete, or not there.
    """
    _check(target, settings.storage.root)
    unfinished = target.with_name(target.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir(mode=0o700, parents=True)
        await dump(settings.database, unfinished / DATABASE)
        await asyncio.to_thread(_copy_tree, settings.storage.root, unfinished / STORAGE)
        if (secrets := settings.data_dir / SECRETS).exists():
            shutil.copy2(secrets, unfinished / SECRETS)
        about = {"made_at": datetime.now(UTC).isoformat(), "version": version("appstrate")}
        (unfinished / ABOUT).write_text(json.dumps(about) + "\n")
        unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


async def bring_back(settings: Settings, source: Path) -> None:
    """Fill a data folder that holds nothing yet, and an empty database, from a backup."""
    if not (source / ABOUT).exists():
        raise BackupError(f"{source} is no backup: it has no {ABOUT}")
    for taken in (settings.data_dir / "postgres", settings.storage.root):
        if taken.exists() and any(taken.iterdir()):
            raise BackupError(f"{taken} holds something: restore into an empty DATA_DIR")
    kept, secrets = source / SECRETS, settings.data_dir / SECRETS
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    await restore(settings.database, source / DATABASE)
    if kept.exists():  # before what may take long and fail: without them the database is lost
        shutil.copy2(kept, secrets)
    if (source / STORAGE).exists():
        await asyncio.to_thread(_copy_tree, source / STORAGE, settings.storage.root)


def _check(target: Path, storage: Path) -> None:
    if target.exists():
        raise BackupError(f"{target} is there already")
    if not storage.exists():
        raise BackupError(f"there is no {storage}: run this in the server's folder and environment")


def _copy_tree(source: Path, target: Path) -> None:
    unfinished = shutil.ignore_patterns(".unfinished")
    shutil.copytree(
        source, target, ignore=unfinished, copy_function=_copy_if_there, dirs_exist_ok=True
    )


def _copy_if_there(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    with contextlib.suppress(FileNotFoundError):  # deleted since the folder was listed
        shutil.copy2(source, target)
