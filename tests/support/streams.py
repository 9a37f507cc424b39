"""Clients of event streams."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import aiohttp

from support.api import Api

Frame = tuple[str, str | None, Any]


@asynccontextmanager
async def opened(
    api: Api, path: str, headers: dict[str, str] | None = None
) -> AsyncGenerator[AsyncGenerator[Frame, None], None]:
    async with (
        aiohttp.ClientSession(cookie_jar=api.jar) as session,
        session.get(api.url + path, headers=headers or {}) as response,
    ):
        assert response.status == 200, await response.text()
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.headers["Request-Id"].startswith("req_")
        frames = _frames(response)
        async with aclosing(frames):
            yield frames


async def _frames(response: aiohttp.ClientResponse) -> AsyncGenerator[Frame, None]:
    name, frame_id, data = "", None, ""
    async for raw in response.content:
        line = raw.decode().rstrip("\n")
        key, _, value = line.partition(": ")
        if key == "event":
            name, frame_id, data = value, None, ""
        elif key == "id":
            frame_id = value
        elif key.startswith("data"):
            data = value
        elif not line:
            yield name, frame_id, json.loads(data) if data else None


async def until_end(frames: AsyncGenerator[Frame, None]) -> list[Frame]:
    seen: list[Frame] = []
    async with asyncio.timeout(20):
        async for frame in frames:
            seen.append(frame)
            if frame[0] == "run_update" and frame[2]["status"] not in ("pending", "running"):
                return seen
    raise AssertionError("the stream ended")


def stream_of(api: Api, run: str) -> str:
    """The stream of a run, for a browser with a cookie."""
    return f"/api/realtime/runs/{run}?orgId={api.org['id']}&applicationId={api.application['id']}"


def log_ids(frames: list[Frame]) -> list[int]:
    return [int(frame_id or 0) for name, frame_id, _ in frames if name == "run_log"]


async def messages(frames: AsyncGenerator[Frame, None], count: int) -> list[str]:
    found: list[str] = []
    async with asyncio.timeout(10):
        async for name, _, data in frames:
            if name == "run_log":
                found.append(data["message"])
                if len(found) == count:
                    break
    return found
