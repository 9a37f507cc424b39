"""The agent's side of the event sink, against a platform that a test plays."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from aiohttp import web

from appstrate.agent.settings import read_settings
from appstrate.agent.sink import Sink, new_id
from appstrate.agent.spool import Spool
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

    def sink(self, **variables: str) -> Sink:
        url = f"{self.url}/events"
        told = assignment(APPSTRATE_SINK_URL=url, APPSTRATE_SINK_FINALIZE_URL=f"{url}/finalize")
        sink = Sink(read_settings(told | variables))
        sink.start()
        return sink


@pytest.fixture
async def platform() -> AsyncIterator[Platform]:
    platform = Platform()
    application = web.Application()
    application.router.add_post("/events", platform.take)
    application.router.add_post("/events/finalize", platform.take)
    application.router.add_post("/events/heartbeat", platform.take)
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


async def test_a_sign_of_life_learns_that_the_run_has_ended(
    platform: Platform,
) -> None:
    platform.answer = lambda _: (200, "{}")
    sink = platform.sink(RUN_HEARTBEAT_INTERVAL_SECONDS="0.01")
    await eventually(lambda: len(platform.events) > 2)
    assert platform.events[0] == {}
    assert not sink.closed.is_set()
    platform.answer = lambda _: (410, '{"code": "run_sink_closed"}')
    await asyncio.wait_for(sink.closed.wait(), 5)
    beats = len(platform.events)
    await asyncio.wait(sink._tasks, timeout=5, return_when=asyncio.FIRST_COMPLETED)

    assert len(platform.events) == beats


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


async def test_events_survive_a_platform_that_is_away_and_keep_their_order_and_ids(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("appstrate.agent.spool.IN_MEMORY", 2_000)
    away = True
    platform.answer = lambda _: (503, "") if away else (200, "{}")
    monkeypatch.chdir(tmp_path)
    sink = platform.sink(WORKSPACE_DIR=str(tmp_path))
    for number in range(200):
        sink.emit("even", {"number": number})
    await eventually(lambda: len(platform.events) > 1)
    refused = platform.events.copy()
    away = False
    await eventually(lambda: platform.events[-1]["sequence"] == 200)

    arrived = platform.events[len(refused) :]
    assert {e["id"] for e in refused} == {platform.events[0]["id"]}
    first = arrived[0]["sequence"]
    assert first <= 2
    assert [e["sequence"] for e in arrived] == list(range(first, 201))
    assert list(tmp_path.iterdir()) == []


async def test_what_finds_no_room_is_counted_and_leaves_no_hole(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("appstrate.agent.spool.IN_MEMORY", 2_000)
    monkeypatch.setattr("appstrate.agent.spool.ON_DISK", 10_000)
    sink = platform.sink(WORKSPACE_DIR=str(tmp_path))
    for number in range(100):
        sink.emit("even", {"number": number})
    await eventually(sink._idle.is_set)
    sink.emit("even", {"number": 100})
    await eventually(sink._idle.is_set)

    sequences = [e["sequence"] for e in platform.events]
    assert sequences == list(range(1, len(sequences) + 1))
    assert len(sequences) < 90
    assert "events were dropped" in platform.events[-2]["data"]["message"]
    assert platform.events[-1]["data"] == {"number": 100}


async def test_a_report_waits_for_the_events_before_it(platform: Platform) -> None:
    sink = platform.sink()
    for _ in range(20):
        sink.emit("even", {})
    await sink.finalize({"status": "success"})

    assert [e.get("sequence") for e in platform.events] == [*range(1, 21), None]


def test_a_spool_is_a_queue_whatever_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appstrate.agent.spool.IN_MEMORY", 10)
    spool = Spool(tmp_path)
    put: list[bytes] = []
    taken: list[bytes] = []
    for number in range(50):
        for size in (1, 7, 30):
            put.append(b"%d:" % number + b"x" * size)
            assert spool.put(put[-1])
        for _ in range(4 if number % 2 else 1):
            if spool:
                taken.append(spool.first())
                spool.drop()
    while spool:
        taken.append(spool.first())
        spool.drop()

    assert taken == put
    spool.clear()
    assert not spool


def test_an_id_is_a_random_uuid() -> None:
    ids = {UUID(new_id()) for _ in range(100)}

    assert len(ids) == 100
    assert {i.version for i in ids} == {4}
