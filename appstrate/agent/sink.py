"""Where an agent's events go: signed, numbered from 1, in order, tried again until they arrive."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import os
import random
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from appstrate.agent.http import Connection, ConnectionLost, Response
from appstrate.agent.settings import Settings
from appstrate.agent.spool import Spool

FIRST_BACKOFF = 0.12
LONGEST_BACKOFF = 5.0
GIVE_UP_SECONDS = 120.0
FINAL_CODES = (b"bundle_integrity_mismatch",)  # asking again does not mend these


class SinkError(Exception):
    """The platform refused what it must take, or could not be reached for too long."""


class Sink:
    """The event sink of one run.

    Events are sent by a task of their own, so that the loop never waits for the platform; they
    arrive in the order they were emitted, each at least once and always under the same id. They
    are tried again until the run's time is over, and for two minutes at least. `closed` is set
    when nothing can be sent any more: the platform has ended the run or, then `lost` says so, it
    has been out of reach for too long.
    """

    def __init__(self, settings: Settings) -> None:
        self._source = f"/afps/runs/{settings.run}"
        self._secret = settings.sink_secret.encode()
        self._heartbeat = settings.heartbeat
        self._events_path = urlsplit(settings.sink_url).path
        self.base = self._events_path.removesuffix("/events")
        self._finalize_path = urlsplit(settings.sink_finalize_url).path
        self._connection = Connection(settings.sink_url)
        self._beats = Connection(settings.sink_url)
        self._spool = Spool(Path(settings.workspace))
        self._dropped = 0
        self._budget = settings.timeout or 0.0
        self._until = 0.0
        self._wakeup = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._sequence = 0
        self._tasks: list[asyncio.Task[None]] = []
        self.closed = asyncio.Event()
        self.lost: str | None = None

    def start(self) -> None:
        """Begin to send, and to give signs of life; once."""
        if self._tasks:
            return
        self._until = time.monotonic() + self._budget
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._send_all()), loop.create_task(self._beat())]

    def emit(self, kind: str, data: dict[str, Any]) -> None:
        """Queue an event. When there is no room left it is counted, and told of later."""
        if self._dropped:
            told = f"{self._dropped} events were dropped: the platform was out of reach"
            if self._put("appstrate.progress", {"message": told, "level": "warn"}):
                self._dropped = 0
        if not self._put(kind, data):
            self._dropped += 1

    def _put(self, kind: str, data: dict[str, Any]) -> bool:
        event = {
            "specversion": "1.0",
            "type": kind,
            "source": self._source,
            "id": new_id(),
            "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "datacontenttype": "application/json",
            "data": data,
            "sequence": self._sequence + 1,
        }
        if self.closed.is_set() or not self._spool.put(json.dumps(event).encode()):
            return False
        self._sequence += 1
        self._idle.clear()
        self._wakeup.set()
        return True

    def progress(self, message: str, data: dict[str, Any] | None = None, level: str = "") -> None:
        """Queue a line about what is happening."""
        told: dict[str, Any] = {"message": message}
        if data is not None:
            told["data"] = data
        if level:
            told["level"] = level
        self.emit("appstrate.progress", told)

    async def get(self, path: str) -> tuple[Response, bytes]:
        """A signed GET below the run's own routes, tried again while the platform is busy."""
        return await self._signed("GET", f"{self.base}{path}", b"")

    async def finalize(self, report: dict[str, Any]) -> None:
        """Wait until every event has arrived, then report the end of the run."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), self._patience())
        for task in self._tasks:
            task.cancel()
        response, answer = await self._signed(
            "POST", self._finalize_path, json.dumps(report, ensure_ascii=True).encode()
        )
        if response.status != 200:
            raise SinkError(f"finalize was refused: {response.status} {_text(answer)}")

    async def _send_all(self) -> None:
        while True:
            while self._spool:
                try:
                    await self._deliver(self._spool.first())
                except SinkError as error:
                    self.lost = str(error)
                    self.closed.set()
                if self.closed.is_set():
                    self._spool.clear()
                else:
                    self._spool.drop()
            self._idle.set()
            self._wakeup.clear()
            await self._wakeup.wait()

    async def _deliver(self, body: bytes) -> None:
        response, answer = await self._signed("POST", self._events_path, body)
        if 400 <= response.status < 500 and response.status != 410:
            event = json.loads(body)
            # Its place in the sequence must be taken, or everything after it would wait.
            told = f"an event of type {event['type']} was refused: {_text(answer)}"
            note = {"message": told, "level": "warn"}
            event |= {"id": new_id(), "type": "appstrate.progress", "data": note}
            response, answer = await self._signed(
                "POST", self._events_path, json.dumps(event).encode()
            )
        if response.status == 410:
            self._close(answer)

    def _close(self, answer: bytes) -> None:
        if b"run_sink_closed" not in answer:
            self.lost = f"the platform takes no more events: {_text(answer)}"
        self.closed.set()

    async def _beat(self) -> None:
        path = f"{self._events_path}/heartbeat"
        while True:
            await asyncio.sleep(self._heartbeat * random.uniform(0.85, 1.15))
            with contextlib.suppress(ConnectionLost):
                headers = self.headers(b"{}", new_id())
                response, answer = await self._beats.request("POST", path, headers, b"{}")
                if response.status == 410:
                    self._close(answer)
                    return

    async def _signed(self, method: str, path: str, body: bytes) -> tuple[Response, bytes]:
        """Send one signed request until it is answered; a repetition keeps its id."""
        message_id = new_id()
        wait, deadline = FIRST_BACKOFF, time.monotonic() + self._patience()
        while True:
            try:
                headers = self.headers(body, message_id)
                response, answer = await self._connection.request(method, path, headers, body)
            except ConnectionLost as error:
                problem = str(error)
            else:
                passing = response.status == 429 or response.status >= 500
                if not passing or any(code in answer for code in FINAL_CODES):
                    return response, answer
                problem = f"HTTP {response.status}"
            if time.monotonic() + wait > deadline:
                raise SinkError(f"the platform cannot be reached: {problem}")
            await asyncio.sleep(wait * random.uniform(1, 1.25))
            wait = min(wait * 2, LONGEST_BACKOFF)

    def _patience(self) -> float:
        """How long to go on trying from now."""
        return max(GIVE_UP_SECONDS, self._until - time.monotonic())

    def headers(self, body: bytes, message_id: str) -> dict[str, str]:
        """The headers that sign a request with this body."""
        timestamp = str(int(time.time()))
        signed = b".".join((message_id.encode(), timestamp.encode(), body))
        digest = hmac.digest(self._secret, signed, hashlib.sha256)
        return {
            "Content-Type": "application/cloudevents+json",
            "webhook-id": message_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
        }


def new_id() -> str:
    """A random UUID. The module of that name takes 2 ms to import."""
    number = int.from_bytes(os.urandom(16), "big") & ~(0xF << 76) & ~(0x3 << 62)
    digits = f"{number | (0x4 << 76) | (0x2 << 62):032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _text(answer: bytes) -> str:
    return answer[:512].decode(errors="replace")
