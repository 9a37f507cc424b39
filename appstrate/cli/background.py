"""A server that runs on behind the terminal, and how to find and stop it."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from appstrate.cli.access import read_json
from appstrate.cli.client import ApiError, Client
from appstrate.environment import read_environment

START_SECONDS = 120.0
STOP_SECONDS = 60.0


class StartError(Exception):
    """The server did not come up; the message has what it said."""


async def ensure_server(data: Path) -> tuple[str, bool]:
    """The URL of the server over a data folder, started if need be, and whether it was."""
    url = await running_server(data)
    if url is not None:
        return url, False
    process = _spawn(data)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        url = await running_server(data)
        if url is not None:
            return url, True
        await asyncio.sleep(0.05)
    said = _log(data).read_text(errors="replace").strip().splitlines()[-8:]
    raise StartError("the server did not start:\n" + "\n".join(said))


def _spawn(data: Path) -> subprocess.Popen[bytes]:
    data.mkdir(parents=True, exist_ok=True)
    with _log(data).open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "appstrate", "serve"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env=os.environ | {"DATA_DIR": str(data), "PORT": _port()},
        )


def _log(data: Path) -> Path:
    return data / "server.log"


async def running_server(data: Path) -> str | None:
    """The URL of the server that runs over a data folder, if one does."""
    record = read_json(data / "server.json")
    if not record or not _alive(int(record.get("pid", 0))):
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
    pid = int(read_json(data / "server.json").get("pid", 0))
    if not _alive(pid):
        return False
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while _alive(pid):
        if time.monotonic() > deadline:
            raise StartError(f"the server (process {pid}) does not stop")
        time.sleep(0.05)
    return True


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
    """The port that was asked for; else 3000 if it is free, else any."""
    asked = read_environment().get("PORT")
    if asked is not None:
        return asked
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((read_environment().get("HOST", "127.0.0.1"), 3000))
        except OSError:
            return "0"
    return "3000"
