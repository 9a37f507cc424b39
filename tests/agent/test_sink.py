"""The agent's side of the event sink, against a platform that a test plays."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from appstrate.agent.settings import read_settings
from appstrate.agent.sink import Sink
from support.assignments import assignment
from support.waiting import eventually


@dataclass
class Platform:
    """Answers each event as `answer` says, and keeps what it was sent."""

    url: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    answer: Callable[[dict[str, Any]], tuple[int, str]] = lambda _: (200, "{}")

    async def take(self, request: web.Request) -> web.Response:
        event = await request.json()
        self.events.append(event)
        status, body = self.answer(event)
        return web.Response(status=status, text=body)

    def sink(self) -> Sink:
        sink = Sink(read_settings(assignment(APPSTRATE_SINK_URL=f"{self.url}/events")))
        sink.start()
        return sink


@pytest.fixture
async def platform() -> AsyncIterator[Platform]:
    platform = Platform()
    application = web.Application()
    application.router.add_post("/events", platform.take)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    platform.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield platform
    await runner.cleanup()


async def test_a_refused_event_leaves_a_note_in_its_place(platform: Platform) -> None:
    platform.answer = lambda e: (400, "too odd") if e["type"] == "odd" else (200, "{}")
    sink = platform.sink()
    for kind in ("even", "odd", "even"):
        sink.emit(kind, {})
    await eventually(lambda: len(platform.events) == 4)

    assert [e["sequence"] for e in platform.events] == [1, 2, 2, 3]
    note = platform.events[2]
    assert note["type"] == "appstrate.progress"
    assert "type odd was refused: too odd" in note["data"]["message"]
    assert not sink.closed.is_set()


async def test_the_end_of_the_run_closes_the_sink(platform: Platform) -> None:
    platform.answer = lambda _: (410, '{"code": "run_sink_closed"}')
    sink = platform.sink()
    sink.emit("even", {})
    await asyncio.wait_for(sink.closed.wait(), 5)

    assert sink.lost is None


async def test_a_sink_that_is_gone_without_the_run_having_ended_is_lost(
    platform: Platform,
) -> None:
    platform.answer = lambda _: (410, '{"code": "run_sink_expired"}')
    sink = platform.sink()
    sink.emit("even", {})
    await asyncio.wait_for(sink.closed.wait(), 5)

    assert "run_sink_expired" in (sink.lost or "")


async def test_a_platform_that_stays_away_is_given_up(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appstrate.agent.sink.GIVE_UP_SECONDS", 0.3)
    platform.answer = lambda _: (503, "")
    sink = platform.sink()
    sink.emit("even", {})
    await asyncio.wait_for(sink.closed.wait(), 5)

    assert sink.lost == "the platform cannot be reached: HTTP 503"
