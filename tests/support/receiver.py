"""A receiver of webhooks: a real HTTP server that keeps what it is sent."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class Delivered:
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def type(self) -> str:
        return str(self.json["type"])

    def signed_by(self, secret: str) -> bool:
        """As any implementation of Standard Webhooks verifies it."""
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        head = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}."
        digest = hmac.digest(key, head.encode() + self.body, hashlib.sha256)
        wanted = "v1," + base64.b64encode(digest).decode()
        return wanted in self.headers["webhook-signature"].split(" ")


@dataclass
class Receiver:
    """Answers 200, or the next of `answers`; None never answers."""

    url: str = ""
    answers: list[int | None] = field(default_factory=list)
    delivered: list[Delivered] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _over: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.Response:
        body, headers = await request.read(), {k.lower(): v for k, v in request.headers.items()}
        self.paths.append(request.path)
        async with self._news:
            self.delivered.append(Delivered(headers, body))
            self._news.notify_all()
        status = self.answers.pop(0) if self.answers else 200
        if status is None:
            await self._over.wait()
        moved = {"Location": f"{self.url}/moved"} if status and 300 <= status < 400 else {}
        return web.Response(status=status or 200, headers=moved, text="thanks")

    async def received(self, count: int) -> list[Delivered]:
        """The deliveries, once there are so many."""
        async with asyncio.timeout(20), self._news:
            await self._news.wait_for(lambda: len(self.delivered) >= count)
        return self.delivered

    async def close(self) -> None:
        self._over.set()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    application = web.Application()
    application.router.add_route("*", "/{tail:.*}", receiver.answer)
    runner = web.AppRunner(application, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    with contextlib.suppress(asyncio.CancelledError):
        yield receiver
    await receiver.close()
    await runner.cleanup()
