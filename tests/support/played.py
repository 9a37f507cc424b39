"""Runs that a test plays itself, as their agents would."""

import asyncio
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from actors.runs.signing import sign
from appstrate.boot import Server
from support.api import Answer, Api
from support.sinks import database_of

OK_USAGE = {"input_tokens": 10, "output_tokens": 5}


@dataclass
class PlayedRun:
    """A run whose program hangs, so that the test can speak for it: number 1 is the test's first
    event, after the `before` that the program sent by itself.
    """

    api: Api
    id: str
    secret: str
    before: int

    async def send(
        self, path: str, body: bytes, *, message_id: str | None = None, **headers: str
    ) -> Answer:
        message_id = message_id or str(uuid4())
        timestamp = headers.pop("timestamp", str(int(time.time())))
        signature = headers.pop("signature", sign(self.secret, message_id, timestamp, body))
        signed = {
            "webhook-id": message_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": signature,
        }
        kept = {name: value for name, value in signed.items() if value}
        return await Api(self.api.url).request(
            "POST", f"/api/runs/{self.id}/events{path}", data=body, headers=kept
        )

    async def event(self, sequence: int, kind: str, data: Any, **options: Any) -> Answer:
        return await self.send("", self.encode(sequence, kind, data), **options)

    def encode(
        self, sequence: int, kind: str, data: Any, changes: dict[str, Any] | None = None
    ) -> bytes:
        event = {
            "specversion": "1.0",
            "type": kind,
            "source": f"/afps/runs/{self.id}",
            "id": str(uuid4()),
            "time": datetime.now(UTC).isoformat(),
            "datacontenttype": "application/json",
            "data": data,
            "sequence": self.before + sequence,
        }
        return json.dumps(event | (changes or {})).encode()

    async def log(self, sequence: int, message: str, **options: Any) -> Answer:
        return await self.event(
            sequence, "log.written", {"level": "info", "message": message}, **options
        )

    async def finalize(self, **report: Any) -> Answer:
        return await self.send("/finalize", json.dumps(report).encode())

    async def messages(self) -> list[str]:
        lines = await self.api.logs(self.id)
        return [line["message"] for line in lines if line["event"] == "log"]

    async def now(self) -> dict[str, Any]:
        return dict((await self.api.get(f"/api/runs/{self.id}")).json)


async def settled(server: Server, run: str) -> int:
    """The number of a hanging program's last event, once it has arrived."""
    ready = "SELECT 1 FROM run_logs WHERE run_id = $1 AND message LIKE 'runtime ready in %'"
    async with asyncio.timeout(10):
        while await database_of(server).fetchval(ready, run) is None:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
    last = "SELECT last_sequence FROM run_sinks WHERE run_id = $1"
    return int(await database_of(server).fetchval(last, run))
