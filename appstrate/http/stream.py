"""Runs as a stream of server-sent events: one run, an agent's, or an application's.

A stream subscribes first, replays what the client has not seen, and then follows the bus. Log
frames carry the log id as their `id`. Positions count 1, 2, 3 … within a run's log: when one is
skipped, or the subscription lagged, the log is read again. The same is done after a silence, for
the bus promises nothing. One run is followed without a gap and without a duplicate; ids of several
runs do not commit in order, so their streams may repeat lines after a reconnection, never lose one.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from aiohttp import web

from actors.accounts import Caller
from actors.addresses import Addresses
from actors.events import RunChanged, RunLine, RunLogged, RunMetered, RunUpdate
from actors.ids import RunId
from actors.pubsub import Lagged, Subscription, subscription
from actors.runtime import Event, Refusal, Rejected, Unavailable
from appstrate.http.frames import PING, RETRY, Streams, line_frame, update_frame
from appstrate.http.sources import Source

T = TypeVar("T")

SILENCE = 30.0
AUTHORIZE_SECONDS = 10.0
GONE_CHECK = 2.0
WRITE_SECONDS = 60.0
RUNS_KNOWN = 5000
CHANNELS = frozenset({"run_update", "run_log", "run_metric"})
OTHER_CHANNELS = frozenset({"connection_update", "chat_session_update"})
SEES_DEBUG = ("owner", "admin")


@dataclass(slots=True, kw_only=True)
class Stream:
    """A client following runs. `since` is the last log id it has; None means from now on.

    `authorize` answers who the client is by now, or refuses: then the stream ends.
    """

    at: Addresses
    streams: Streams
    source: Source
    request: web.Request
    caller: Caller
    authorize: Callable[[], Awaitable[Caller]]
    since: int | None
    verbose: bool = False
    channels: frozenset[str] = CHANNELS
    positions: dict[RunId, int] = field(default_factory=dict[RunId, int], init=False)
    updates: dict[RunId, RunUpdate] = field(default_factory=dict[RunId, RunUpdate], init=False)
    authorized: float = field(default_factory=time.monotonic, init=False)
    queued: bytearray = field(default_factory=bytearray, init=False)

    async def serve(self, response: web.StreamResponse) -> None:
        """Send frames until the client goes away or the server stops."""
        self.queued += PING
        while not self.streams.ended:
            async with subscription(self.at.pubsub, self.source.topic) as events:
                with self.streams.following(events):
                    await self._catch_up(response)
                    lagged = await self._follow(response, events)
            if not lagged:
                break
        if self.streams.ended:
            self.queued += RETRY
        await self._flush(response)

    async def _follow(self, response: web.StreamResponse, events: Subscription) -> bool:
        """Send events as they come. True when the subscription ended for being too slow."""
        loop = asyncio.get_running_loop()
        heard = loop.time()
        while not is_gone(self.request):
            batch = await events.batch(GONE_CHECK)
            if batch is None or not await self._still_allowed():
                return False
            if batch:
                heard = loop.time()
                await self.streams.join()
                batch += events.take()
                for event in batch:
                    if isinstance(event, Lagged):
                        return True
                    await self._take(response, event)
                await self._flush(response)
            elif loop.time() - heard >= SILENCE:
                self.queued += PING
                await self._flush(response)
                with contextlib.suppress(Unavailable):  # then after the next silence
                    await self._catch_up(response)
                heard = loop.time()
        return False

    async def _still_allowed(self) -> bool:
        if time.monotonic() - self.authorized >= AUTHORIZE_SECONDS:
            self.authorized = time.monotonic()
            try:
                self.caller = await self.authorize()
            except Unavailable:
                pass  # nobody knows for now; what the stream shows comes from the same database
            except Refusal:
                return False
        return True

    async def _catch_up(self, response: web.StreamResponse) -> None:
        """Send what the client does not know yet: what runs are by now, and the lines it lacks."""
        self._tell(await self.source.snapshot(self.caller))
        await self._replay(response)
        await self._flush(response)

    async def _replay(self, response: web.StreamResponse) -> None:
        if self.since is None:
            self.since = await self.source.newest(self.caller)
            return
        application, touched = self.caller.tenant[1], set[RunId]()
        async for page in self.source.pages(self.caller, self.since):
            fresh = [line for line in page if line.position > self.positions.get(line.run_id, 0)]
            touched |= {line.run_id for line in fresh}
            self._replayed([(line.position, line.for_stream(application)) for line in fresh])
            await self._flush(response)
        self._tell(await self.source.updates(self.caller, touched))

    def _replayed(self, lines: Sequence[tuple[int, RunLine]]) -> None:
        for position, line in lines:
            self._advance(line, position)
            if self._shows(line):
                self.queued += line_frame(line, verbose=self.verbose)

    def _tell(self, updates: Iterable[RunUpdate]) -> None:
        for update in updates:
            if self.updates.get(update.id) != update:
                self._remember(self.updates, update.id, update)
                if "run_update" in self.channels:
                    self.queued += update_frame(update)

    async def _take(self, response: web.StreamResponse, event: Event) -> None:
        match event:
            case RunChanged():
                self._remember(self.updates, event.run, event.update)
                if "run_update" in self.channels:
                    self.queued += self.streams.frame(event)
            case RunLogged() if self._is_new(event):
                if self._is_after_a_gap(event):
                    await self._replay(response)
                else:
                    self._advance(event.line, event.position)
                    if self._shows(event.line):
                        self.queued += self.streams.frame(event, verbose=self.verbose)
            case RunMetered() if "run_metric" in self.channels:
                self.queued += self.streams.frame(event)
            case _:
                pass

    def _is_new(self, event: RunLogged) -> bool:
        if self.source.exact and self.since is not None and event.line.id <= self.since:
            return False
        return event.position > self.positions.get(event.run, 0)

    def _is_after_a_gap(self, event: RunLogged) -> bool:
        if self.since is None:
            return False
        known = self.positions.get(event.run)
        # Of a run among many that is heard of for the first time, nothing is known to be missing.
        return self.source.exact if known is None else event.position != known + 1

    def _advance(self, line: RunLine, position: int) -> None:
        self._remember(self.positions, line.run_id, position)
        self.since = max(self.since or 0, line.id)

    def _remember(self, memory: dict[RunId, T], run: RunId, value: T) -> None:
        memory.pop(run, None)
        memory[run] = value
        if len(memory) > RUNS_KNOWN:
            del memory[next(iter(memory))]

    def _shows(self, line: RunLine) -> bool:
        hidden = line.level == "debug" and self.caller.role not in SEES_DEBUG
        return "run_log" in self.channels and not hidden

    async def _flush(self, response: web.StreamResponse) -> None:
        """Write what is queued, or give the client up when it takes nothing for a minute."""
        if not self.queued:
            return
        frames, self.queued = bytes(self.queued), bytearray()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WRITE_SECONDS):
                await response.write(frames)
                return
        raise ConnectionResetError("the client does not read")


def is_gone(request: web.Request) -> bool:
    """Whether a client has closed its connection. The framework does not tell; one must look."""
    return request.transport is None or request.transport.is_closing()


def channels_of(text: str | None) -> frozenset[str]:
    """The channels a client asked for; all of them when it named none."""
    wanted = {name.strip() for name in (text or "").split(",")} - {""}
    known = CHANNELS | OTHER_CHANNELS
    if unknown := wanted - known:
        raise Rejected(
            f"there is no channel {min(unknown)[:100]}; there are {', '.join(sorted(known))}",
            param="channels",
        )
    return frozenset(wanted) or CHANNELS


async def stream_response(request: web.Request) -> web.StreamResponse:
    """A response that is ready for frames."""
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream",
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
        }
    )
    await response.prepare(request)
    return response
