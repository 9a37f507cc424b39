"""Announcements of one run's totals, not more often than anybody can look."""

import asyncio
from collections.abc import Callable

from actors.events import RunMetered
from actors.ids import RunId

SECONDS = 0.25
REMEMBERED = 1000


class Throttle:
    """Sends the first announcement of a run at once, then at most one in `seconds`, the latest.

    What waits is sent late, never lost, but by `stop`.
    """

    def __init__(self, send: Callable[[RunMetered], None], seconds: float = SECONDS) -> None:
        self._send = send
        self._seconds = seconds
        self._sent: dict[RunId, float] = {}
        self._waiting: dict[RunId, tuple[asyncio.TimerHandle, RunMetered]] = {}

    def offer(self, event: RunMetered) -> None:
        """Announce this, now or a little later, or something newer instead."""
        loop = asyncio.get_running_loop()
        due = self._sent.get(event.run, -self._seconds) + self._seconds
        if event.run in self._waiting:
            timer, _ = self._waiting[event.run]
            self._waiting[event.run] = timer, event
        elif due <= loop.time():
            self._sent_now(event, loop.time())
        else:
            timer = loop.call_at(due, self._flush, event.run)
            self._waiting[event.run] = timer, event

    def stop(self) -> None:
        """Send nothing more."""
        for timer, _ in self._waiting.values():
            timer.cancel()
        self._waiting.clear()

    def _flush(self, run: RunId) -> None:
        _, event = self._waiting.pop(run)
        self._sent_now(event, asyncio.get_running_loop().time())

    def _sent_now(self, event: RunMetered, now: float) -> None:
        if len(self._sent) >= REMEMBERED:
            self._sent = {r: at for r, at in self._sent.items() if at + self._seconds > now}
        self._sent[event.run] = now
        self._send(event)
