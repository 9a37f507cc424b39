"""`appstrate doctor`: what this machine and this folder have, and what is wrong with them."""

import os
import platform
import shutil
import stat
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from actors.runtime import Refusal
from adapters.local.trial import SandboxError
from adapters.postgres.embedded import EmbeddedPostgresError, binaries
from adapters.postgres.settings import ExternalSettings
from appstrate.capabilities import describe
from appstrate.cli.access import data_dir
from appstrate.cli.background import running_server
from appstrate.environment import SettingsError, read_environment
from appstrate.settings import Settings, read_settings
from appstrate.tiers import walls

GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `ok` None means: worth knowing, nothing wrong."""

    subject: str
    ok: bool | None
    told: str


async def examine() -> list[Finding]:
    """Look at everything; never raises."""
    findings = [_python()]
    try:
        settings = read_settings(read_environment())
    except SettingsError as error:
        return findings + [Finding("Settings", ok=False, told=text) for text in error.problems]
    tier, reasons = describe(settings)
    findings.append(Finding("Settings", ok=True, told=tier))
    findings += [Finding(name, ok=None, told=why) for name, why in reasons]
    looks: list[Callable[[Settings], Finding]] = [_data, _disk, _database, _secrets, _tools]
    findings += [look(settings) for look in looks]
    findings += _walls(settings)
    findings.append(await _server())
    return findings


def _python() -> Finding:
    return Finding("Python", ok=True, told=f"{platform.python_version()} on {platform.platform()}")


def _data(settings: Settings) -> Finding:
    folder = settings.data_dir
    while not folder.exists():
        folder = folder.parent
    writable = folder.is_dir() and os.access(folder, os.W_OK)
    told = str(settings.data_dir) if writable else f"{folder} cannot be written: choose a DATA_DIR"
    return Finding("Data folder", ok=writable, told=told)


def _disk(settings: Settings) -> Finding:
    folder = settings.data_dir
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / GIB
    return Finding("Free disk", ok=free > 1, told=f"{free:.1f} GiB")


def _database(settings: Settings) -> Finding:
    if isinstance(settings.database, ExternalSettings):
        return Finding("PostgreSQL", ok=None, told="is looked for at boot, at DATABASE_URL")
    try:
        program = binaries() / "postgres"
        found = subprocess.run(
            [str(program), "--version"], capture_output=True, text=True, check=True, timeout=10
        )
    except (EmbeddedPostgresError, OSError, subprocess.SubprocessError) as error:
        return Finding("PostgreSQL", ok=False, told=f"{error}: set DATABASE_URL")
    return Finding("PostgreSQL", ok=True, told=f"embedded, {found.stdout.strip()}")


def _secrets(settings: Settings) -> Finding:
    path = settings.data_dir / "secrets.json"
    if not path.exists():
        return Finding("Secrets", ok=True, told="given by the environment")
    private = not stat.S_IMODE(path.stat().st_mode) & 0o077
    told = f"made for development, kept in {path}" + ("" if private else ": readable by others!")
    return Finding("Secrets", ok=private, told=told)


def _tools(_: Settings) -> Finding:
    missing = [name for name in ("bash", "git") if shutil.which(name) is None]
    told = f"agents will not find {', '.join(missing)}" if missing else "bash and git are there"
    return Finding("Tools for agents", ok=not missing or None, told=told)


def _walls(settings: Settings) -> list[Finding]:
    """What stands between runs and this machine, one by one."""
    try:
        found = walls(settings).walls
    except SandboxError as error:
        return [Finding("Walls around runs", ok=False, told=str(error))]
    return [
        Finding(
            f"Wall: {wall.name}",
            ok=True if wall.up else None,
            told=wall.how + (f". To raise it: {wall.remedy}" if wall.remedy else ""),
        )
        for wall in found
    ]


async def _server() -> Finding:
    folder: Path = data_dir()
    try:
        url = await running_server(folder)
    except Refusal as refusal:
        return Finding("Server", ok=False, told=refusal.detail)
    told = f"runs at {url}" if url else "does not run: start it with `appstrate serve`"
    return Finding("Server", ok=True if url else None, told=told)
