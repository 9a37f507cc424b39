"""A server of this build, measured from outside; and a model that answers at once."""

import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

TICK = os.sysconf("SC_CLK_TCK")
UNLIMITED = '{"per_org_global_rate_per_min": 1000000}'
KEY = base64.b64encode(b"bench key of thirty-two bytes..!").decode()


class Model:
    """Answers every request at once, or when it is let go; remembers when requests came."""

    def __init__(self) -> None:
        self.url = ""
        self.came: dict[str, float] = {}
        self.go = asyncio.Event()
        self.go.set()

    async def serve(self, incoming: web.Request) -> web.StreamResponse:
        body = await incoming.json()
        mark = body["messages"][0]["content"].rpartition("mark:")[2].strip().split()[0]
        self.came.setdefault(mark, time.perf_counter())
        await self.go.wait()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(incoming)
        delta = {"content": "done"}
        for event in (
            {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
            {"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 1}},
        ):
            await response.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        return response


@asynccontextmanager
async def model() -> AsyncIterator[Model]:
    serving = Model()
    application = web.Application(client_max_size=2**26)
    application.router.add_post("/v1/chat/completions", serving.serve)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    serving.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield serving
    await runner.cleanup()


class System:
    """`appstrate serve` over a data folder."""

    def __init__(self, data: Path, slots: int = 2) -> None:
        self.data = data
        self._slots = slots
        self.url = ""
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> float:
        """Start; returns the seconds until /health is healthy."""
        began = time.perf_counter()
        self.data.mkdir(parents=True, exist_ok=True)
        with (self.data / "bench.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "appstrate", "serve"],
                stdout=log,
                stderr=log,
                env=os.environ
                | {
                    "DATA_DIR": str(self.data),
                    "PORT": "0",
                    "CONNECTION_ENCRYPTION_KEY": KEY,
                    "LOG_LEVEL": "warn",
                    "RATE_LIMIT_FACTOR": "10000",
                    "PLATFORM_RUN_LIMITS": UNLIMITED,
                    "REMOTE_RUN_EVENT_LIMITS": '{"burst": 100000}',
                    "SIDECAR_POOL_SIZE": str(self._slots),
                },
            )
        record = self.data / "server.json"
        while True:
            try:
                found = json.loads(record.read_text())
                if found["pid"] == self._process.pid:
                    break
            except (OSError, ValueError):
                pass
            if self._process.poll() is not None:
                raise RuntimeError((self.data / "bench.log").read_text())
            await asyncio.sleep(0.002)
        self.url = found["url"]
        async with aiohttp.ClientSession() as session, session.get(self.url + "/health") as answer:
            assert answer.status == 200
        return time.perf_counter() - began

    def stop(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def family(self) -> list[int]:
        """The server and everything below it."""
        parents: dict[int, int] = {}
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                try:
                    fields = (folder / "stat").read_text().rpartition(")")[2].split()
                except OSError:
                    continue
                parents[int(folder.name)] = int(fields[1])
        found, grew = {self.pid}, True
        while grew:
            more = {pid for pid, parent in parents.items() if parent in found} - found
            found |= more
            grew = bool(more)
        return sorted(found)

    def memory(self) -> float:
        """Proportional set size of the whole family, in MB."""
        total = 0
        for pid in self.family():
            try:
                text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except FileNotFoundError:
                continue
            total += next(int(line.split()[1]) for line in text.splitlines() if "Pss:" in line)
        return total / 1000

    def cpu(self) -> float:
        """Processor seconds of the family so far, of the children that have ended too."""
        total = 0
        for pid in self.family():
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            total += sum(int(field) for field in fields[11:15])
        return total / TICK


class Tenant:
    """An organization with an API key, a model and an agent."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.key = ""
        self.agent = ""
        self.session: aiohttp.ClientSession | None = None
        # More than ten requests of a key are not kept waiting.
        self.waiting = asyncio.Semaphore(10)

    async def prepare(self, model_url: str) -> None:
        """Make everything a run needs."""
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(self.url, cookie_jar=jar) as browser:

            async def post(path: str, body: dict[str, Any], **headers: str) -> dict[str, Any]:
                async with browser.post(path, json=body, headers=headers) as answer:
                    found: dict[str, Any] = await answer.json()
                    assert answer.status < 300, found
                    return found

            mark = str(time.time_ns())
            user = {"email": f"{mark}@example.com", "password": mark, "name": "Bench"}
            await post("/api/auth/sign-up/email", user)
            org = await post("/api/orgs", {"name": f"Bench {mark}"})
            async with browser.get("/api/applications", headers={"X-Org-Id": org["id"]}) as answer:
                application = (await answer.json())["data"][0]["id"]
            headers = {"X-Org-Id": org["id"], "X-Application-Id": application}
            credential = await post(
                "/api/model-provider-credentials",
                {"providerId": "openai-compatible", "baseUrlOverride": model_url},
                **headers,
            )
            wanted = {"modelId": "bench", "credentialId": credential["id"]}
            await post("/api/models", wanted, **headers)
            for n in range(20):
                manifest = {
                    "name": f"@{org['slug']}/agent-{n}",
                    "version": "1.0.0",
                    "type": "agent",
                    "schema_version": "0.1",
                    "display_name": f"Agent {n}",
                    "input": {
                        "schema": {"type": "object", "properties": {"mark": {"type": "string"}}}
                    },
                }
                body = {"manifest": manifest, "content": "Say that you are done."}
                await post("/api/packages/agents", body, **headers)
            self.agent = f"@{org['slug']}/agent-0"
            self.key = (await post("/api/api-keys", {"name": "bench"}, **headers))["key"]
        self.session = aiohttp.ClientSession(
            self.url,
            headers={"Authorization": f"Bearer {self.key}"},
            connector=aiohttp.TCPConnector(limit=0),
        )

    async def close(self) -> None:
        assert self.session is not None
        await self.session.close()

    async def launch(self, mark: str) -> str:
        """Launch a run whose prompt carries a mark."""
        assert self.session is not None
        body = {"input": {"mark": f"mark:{mark} "}}
        async with self.session.post(f"/api/agents/{self.agent}/run", json=body) as answer:
            found = await answer.json()
            assert answer.status == 201, found
            return str(found["id"])

    async def wait(self, run: str) -> dict[str, Any]:
        """Wait for a run to end."""
        assert self.session is not None
        while True:
            async with self.waiting, self.session.get(f"/api/runs/{run}?wait=true") as answer:
                found: dict[str, Any] = await answer.json()
            if found["status"] not in ("pending", "running"):
                return found
