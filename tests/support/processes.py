"""A server as a process of its own, started and killed as an operator would."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp

from appstrate.paths import ROOT
from support.waiting import eventually


class ServerProcess:
    """`appstrate serve` over a data folder, on a port of its own choosing."""

    def __init__(self, data: Path, **variables: str) -> None:
        self.data = data
        self.url = ""
        fixed = {"PORT": "0", "APP_ENV": "test", "RATE_LIMIT_FACTOR": "1000"}
        self._variables = fixed | {"DATA_DIR": str(data)} | variables
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start, and wait until it is healthy."""
        self.spawn()
        record = self.data / "server.json"
        await eventually(lambda: self.ended or self._reads(record), 60)
        assert not self.ended, self.log()
        async with aiohttp.ClientSession() as session, session.get(self.url + "/health") as answer:
            assert answer.status == 200, await answer.text()

    def spawn(self) -> None:
        """Start, without waiting for anything."""
        self.data.mkdir(parents=True, exist_ok=True)
        with (self.data / "test.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "appstrate", "serve"],
                cwd=ROOT,
                stdout=log,
                stderr=log,
                env={k: v for k, v in os.environ.items() if not k.startswith("APPSTRATE")}
                | self._variables,
            )

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def ended(self) -> bool:
        assert self._process is not None
        return self._process.poll() is not None

    def log(self) -> str:
        """What it has said so far."""
        return (self.data / "test.log").read_text(errors="replace")

    async def kill(self) -> None:
        """kill -9."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        return await self._end(signal.SIGTERM)

    async def wait(self) -> int:
        """Wait for it to end by itself."""
        assert self._process is not None
        return await asyncio.to_thread(self._process.wait, 60)

    async def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        if not self.ended:
            self._process.send_signal(number)
        return await self.wait()

    def _reads(self, record: Path) -> bool:
        try:
            found = json.loads(record.read_text())
        except (OSError, ValueError):
            return False
        self.url = found["url"]
        return bool(found["pid"] == self.pid)
