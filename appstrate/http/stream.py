"""One run as a stream of server-sent events, without a gap and without a duplicate.

Log frames carry the log id as their `id`. A stream subscribes first, replays what the client has
not seen, and then follows the bus. Positions count 1, 2, 3 … within a run's log: when one is
skipped, or the subscription lagged, the log is read again from the last line that was sent. The
same is done after a silence, for the bus promises nothing.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import msgspec
from aiohttp import web

from actors.accounts import Caller
from actors.addresses import Addresses
from actors.events import RunChanged, RunLine, RunLogged, RunMetered, RunUpdate, run_topic
from actors.ids import RunId
from actors.pubsub import Subscription, subscription
from actors.runs import LogLine, ReadLog, ReadRun
from actors.runtime import Event, Refusal, Unavailable

SILENCE = 30.0
AUTHORIZE_SECONDS = 10.0
GONE_CHECK = 2.0
WRITE_SECONDS = 60.0
PAGE = 500
CHANNELS = frozenset({"run_update", "run_log", "run_metric"})
SEES_DEBUG = ("owner", "admin")


@dataclass(slots=True, kw_only=True)
class RunStream:
    """A client following one run. `since` is the last log id it has; None means from now on.

    `authorize` answers who the client is by now, or refuses: then the stream ends.
    """

    at: Addresses
    request: web.Request
    caller: Caller
    authorize: Callable[[], Awaitable[Caller]]
    run: RunId
    since: int | None
    verbose: bool = False
    channels: frozenset[str] = CHANNELS
    position: int | None = field(default=None, init=False)
    update: RunUpdate | None = field(default=None, init=False)
    authorized: float = field(default_factory=time.monotonic, init=False)

    async def serve(self, response: web.StreamResponse) -> None:
        """Send frames until the client goes away or the server stops."""
        await _write(response, _frame("ping", b""))
        while True:
            async with subscription(self.at.pubsub, run_topic(self.run)) as events:
                await self._catch_up(response)
                lagged = await self._follow(response, events)
            if not lagged:
                return

    async def _follow(self, response: web.StreamResponse, events: Subscription) -> bool:
        """Send events as they come. True when the subscription ended for being too slow."""
        loop = asyncio.get_running_loop()
        waiting = asyncio.ensure_future(anext(events, None))
        heard = loop.time()
        try:
            while not is_gone(self.request):
                await asyncio.wait((waiting,), timeout=GONE_CHECK)
                if not await self._still_allowed():
                    return False
                if not waiting.done():
                    if loop.time() - heard >= SILENCE:
                        await _write(response, _frame("ping", b""))
                        with contextlib.suppress(Unavailable):  # then after the next silence
                            await self._catch_up(response)
                        heard = loop.time()
                    continue
                heard = loop.time()
                event = waiting.result()
                if event is None:
                    return False
                if not isinstance(event, Event):
                    return True
                await self._send(response, event)
                waiting = asyncio.ensure_future(anext(events, None))
            return False
        finally:
            waiting.cancel()

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
        """Send what the run is by now, if the client does not know it, and the lines it lacks."""
        run = await self.at.run_log.ask(ReadRun(caller=self.caller, run=self.run))
        if run.update("UPDATE") != self.update:
            await self._send_update(response, run.update("UPDATE"))
        await self._replay(response)

    async def _send(self, response: web.StreamResponse, event: Event) -> None:
        match event:
            case RunChanged():
                await self._send_update(response, event.update)
            case RunLogged() if self.since is None or event.line.id > self.since:
                if self.since is None or event.position - 1 == self.position:
                    await self._send_lines(response, [(event.position, event.line)])
                else:
                    await self._replay(response)
            case RunMetered() if "run_metric" in self.channels:
                await _write(response, _frame("run_metric", msgspec.json.encode(event.totals)))
            case _:
                pass

    async def _send_update(self, response: web.StreamResponse, update: RunUpdate) -> None:
        self.update = update
        if "run_update" in self.channels:
            await _write(response, _frame("run_update", msgspec.json.encode(update)))

    async def _replay(self, response: web.StreamResponse) -> None:
        if self.since is None:
            return
        while True:
            message = ReadLog(caller=self.caller, run=self.run, since=self.since, limit=PAGE)
            lines: list[LogLine] = await self.at.run_log.ask(message)
            application = self.caller.tenant[1]
            shown = [(line.position, line.for_stream(application)) for line in lines]
            await self._send_lines(response, shown)
            if len(lines) < PAGE:
                return

    async def _send_lines(
        self, response: web.StreamResponse, lines: Sequence[tuple[int, RunLine]]
    ) -> None:
        frames = bytearray()
        for position, line in lines:
            self.position, self.since = position, line.id
            hidden = line.level == "debug" and self.caller.role not in SEES_DEBUG
            if "run_log" not in self.channels or hidden:
                continue
            shown = line if self.verbose else msgspec.structs.replace(line, data=msgspec.UNSET)
            frames += _frame("run_log", msgspec.json.encode(shown), line.id)
        if frames:
            await _write(response, bytes(frames))


def is_gone(request: web.Request) -> bool:
    """Whether a client has closed its connection. The framework does not tell; one must look."""
    return request.transport is None or request.transport.is_closing()


def channels_of(text: str | None) -> frozenset[str]:
    """The channels a client asked for; none that exists means all."""
    return CHANNELS & frozenset((text or "").split(",")) or CHANNELS


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


def _frame(event: str, data: bytes, frame_id: int | None = None) -> bytes:
    head = f"event: {event}\n" + (f"id: {frame_id}\n" if frame_id is not None else "")
    return head.encode() + b"data: " + data + b"\n\n"


async def _write(response: web.StreamResponse, frames: bytes) -> None:
    """Write, or give the client up when it takes nothing for a minute."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(WRITE_SECONDS):
            await response.write(frames)
            return
    raise ConnectionResetError("the client does not read")
