"""Who is let in while the server starts, serves, drains and stops."""

import asyncio
from collections.abc import Callable

from aiohttp import web

from actors.runtime import Unavailable
from appstrate.http.call import Route

SOON = 1
LATER = 5


class Gate:
    """Nobody is let in before everything runs, nor once the actors stop.

    In between, while it drains, the server takes on no new work: what reads is answered, and what
    runs send is taken, for they are waited for. What has no end of its own is ended. Once the gate
    has closed for good it is `over`: who waits for something is told what there is.
    """

    def __init__(self) -> None:
        self.closed: str | None = "starting"
        self.draining = False
        self.over = asyncio.Event()
        self._draining: list[Callable[[], None]] = []

    def open(self) -> None:
        """Let requests in."""
        self.closed = None

    def drain(self) -> None:
        """Let no new work in, and end what has no end of its own. Idempotent."""
        if not self.draining:
            self.draining = True
            for end in self._draining:
                end()

    def close(self) -> None:
        """Let no more in."""
        self.drain()
        self.closed = "shutting_down"
        self.over.set()

    def on_drain(self, end: Callable[[], None]) -> None:
        """Call `end` when the server begins to drain."""
        self._draining.append(end)

    def check(self) -> None:
        """Refuse while the gate is closed."""
        if self.closed is not None:
            what = self.closed.replace("_", " ")
            raise Unavailable(f"the server is {what}", code=self.closed, retry_after=SOON)

    def admit(self, route: Route) -> None:
        """Refuse new work while the server drains."""
        if self.draining and route.is_work and not route.of_runs:
            raise Unavailable(
                "the server is about to stop and takes on no new work",
                code="shutting_down",
                retry_after=LATER,
            )


GATE: web.AppKey[Gate] = web.AppKey("gate", Gate)
