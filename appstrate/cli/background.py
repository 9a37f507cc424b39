"""A server that runs on behind the terminal, and how to find and stop it."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from appstrate.cli.access import read_json
from appstrate.cli.client import ApiError, Client
from appstrate.environment import read_environment

START_SECONDS = 120.0
STOP_SECONDS = 90.0
START_ATTEMPTS = 3
ENDING_SECONDS = 2.5
TWIN_CHECKS = 20


class StartError(Exception):
    """The server did not come up; the message has what it said."""


async def ensure_server(data: Path) -> tuple[str, bool]:
    """The URL of the server over a data folder, started if need be, and whether it was."""
    url = await running_server(data)
    if url is not None:
        return url, False
    said, asked = "", read_environment().get("PORT")
    port = asked or _port()
    for _ in range(START_ATTEMPTS):
        process, before = _spawn(data, port)
        if (url := await _awaited(data, process)) is not None:
            return url, process.poll() is None
        said = _log(data).read_bytes()[before:].decode(errors="replace").strip()
        if "choose another PORT" in said and asked is None:
            port = "0"  # it was taken between looking and listening: any other will do
        elif "in use by another running server" in said:
            await asyncio.sleep(ENDING_SECONDS)  # it may be about to end
        else:
            break
    if not said:
        free = shutil.disk_usage(data).free // 2**20
        said = f"it said nothing; {data} has {free} MiB left"
    raise StartError("the server did not start:\n" + "\n".join(said.splitlines()[-8:]))


async def _awaited(data: Path, process: subprocess.Popen[bytes]) -> str | None:
    """The URL of the server over a data folder, once there is one; None when there will be none.

    When the folder belongs to a server that was started at the same moment, it is that one's.
    """
    deadline = time.monotonic() + START_SECONDS
    ended = 0
    while time.monotonic() < deadline and ended < TWIN_CHECKS:
        url = await running_server(data)
        if url is not None:
            return url
        ended += process.poll() is not None
        await asyncio.sleep(0.05)
    return None


def _spawn(data: Path, port: str) -> tuple[subprocess.Popen[bytes], int]:
    """A server behind the terminal, and where in the log its own lines begin."""
    data.mkdir(parents=True, exist_ok=True)
    with _log(data).open("ab") as output:
        before = output.tell()
        process = subprocess.Popen(
            [sys.executable, "-m", "appstrate", "serve"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env=os.environ | {"DATA_DIR": str(data), "PORT": port},
        )
    return process, before


def _log(data: Path) -> Path:
    return data / "server.log"


async def running_server(data: Path) -> str | None:
    """The URL of the server that runs over a data folder, if one does."""
    record = read_json(data / "server.json")
    if not record or not _alive(_pid(record)):
        return None
    url = str(record["url"])
    try:
        async with Client(url) as client:
            await client.get("/health")
    except ApiError:
        return None
    return url


def stop_server(data: Path) -> bool:
    """Stop the server over a data folder; False when none runs. Waits until it is gone."""
    pid = _pid(read_json(data / "server.json"))
    if not _alive(pid):
        return False
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while _alive(pid):
        if time.monotonic() > deadline:
            raise StartError(f"the server (process {pid}) does not stop")
        time.sleep(0.05)
    return True


def _pid(record: dict[str, Any]) -> int:
    pid = record.get("pid")
    return pid if isinstance(pid, int) else 0


def _alive(pid: int) -> bool:
    """Whether this process is an Appstrate server, and not somebody who got its number since."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    try:
        status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return not Path("/proc/self").exists()
    return status != "Z" and b"appstrate" in command


def _port() -> str:
    """3000 if it is free, else any."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((read_environment().get("HOST", "127.0.0.1"), 3000))
        except OSError:
            return "0"
    return "3000"
