"""Server-sent frames, and what the streams of a process share while they write them."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from aiohttp import web

from actors.events import RunChanged, RunLine, RunLogged, RunMetered, RunUpdate
from actors.pubsub import Subscription
from actors.runtime import Event

MANY_STREAMS = 100
TOGETHER_SECONDS = 0.01
FRAMES_KEPT = 512
RETRY_MS = 2000


def frame(event: str, data: bytes, frame_id: int | None = None) -> bytes:
    """One frame; `frame_id` is what a client sends back as Last-Event-ID."""
    head = f"event: {event}\n" + (f"id: {frame_id}\n" if frame_id is not None else "")
    return head.encode() + b"data: " + data + b"\n\n"


PING = frame("ping", b"")
RETRY = f"retry: {RETRY_MS}\n\n".encode()


def line_frame(line: RunLine, *, verbose: bool) -> bytes:
    """A log line; its data only for those that asked for it."""
    shown = line if verbose else msgspec.structs.replace(line, data=msgspec.UNSET)
    return frame("run_log", msgspec.json.encode(shown), line.id)


def update_frame(update: RunUpdate) -> bytes:
    """What a run is by now."""
    return frame("run_update", msgspec.json.encode(update))


class Streams:
    """The open streams of this process.

    An event is encoded once for all that see the same of it. When many streams are open, what
    comes within some milliseconds is written at once: writes are what they cost.
    """

    def __init__(self) -> None:
        self.ended = False
        self._open: set[Subscription] = set()
        self._frames: dict[tuple[int, bool], tuple[Event, bytes]] = {}
        self._tick: asyncio.Future[None] | None = None

    @contextmanager
    def following(self, events: Subscription) -> Iterator[None]:
        """Count a stream among the open ones for the length of a block."""
        self._open.add(events)
        if self.ended:
            events.end()
        try:
            yield
        finally:
            self._open.discard(events)

    def end(self) -> None:
        """End every stream: each tells its client when to come back, and closes."""
        self.ended = True
        for events in self._open:
            events.end()

    def frame(self, event: RunChanged | RunLogged | RunMetered, *, verbose: bool = True) -> bytes:
        """The frame of an event, encoded once."""
        key = (id(event), verbose)
        known = self._frames.get(key)
        if known is None:
            if len(self._frames) >= FRAMES_KEPT:
                self._frames.clear()
            # The event is kept with its frame, so that no other gets its id meanwhile.
            known = self._frames[key] = (event, _encode(event, verbose=verbose))
        return known[1]

    async def join(self) -> None:
        """Wait for what comes next, if waiting saves writes."""
        if len(self._open) <= MANY_STREAMS:
            return
        if self._tick is None or self._tick.done():
            loop = asyncio.get_running_loop()
            self._tick = loop.create_future()
            loop.call_later(TOGETHER_SECONDS, self._tick.set_result, None)
        await asyncio.shield(self._tick)


STREAMS: web.AppKey[Streams] = web.AppKey("streams", Streams)


def _encode(event: RunChanged | RunLogged | RunMetered, *, verbose: bool) -> bytes:
    match event:
        case RunChanged():
            return update_frame(event.update)
        case RunLogged():
            return line_frame(event.line, verbose=verbose)
        case RunMetered():
            return frame("run_metric", msgspec.json.encode(event.totals))
