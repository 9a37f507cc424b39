"""Waiting for the end of a run within a request, for a few at a time."""

import asyncio
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager

from aiohttp import web

from actors.events import run_topic
from actors.pubsub import subscription
from actors.runs import ReadRun, Run
from appstrate.http.call import Call
from appstrate.http.gate import GATE
from appstrate.http.stream import is_gone

POLL_SECONDS = 2.0
MOST_WAITERS = 10


class Waiters:
    """Who waits: each identity, a key or a user, ten times at most."""

    def __init__(self) -> None:
        self._waiting: Counter[str] = Counter()

    @contextmanager
    def place(self, identity: str) -> Generator[bool]:
        """A place to wait for the length of a block; False when all of them are taken."""
        free = self._waiting[identity] < MOST_WAITERS
        self._waiting[identity] += free
        try:
            yield free
        finally:
            self._waiting[identity] -= free
            if not self._waiting[identity]:
                del self._waiting[identity]


WAITERS: web.AppKey[Waiters] = web.AppKey("waiters", Waiters)


async def read_run(call: Call, seconds: float) -> Run:
    """A run, once it has ended, `seconds` are over, or the server is about to end; at once when
    its reader waits too often.
    """
    caller = call.caller
    read = ReadRun(caller=caller, run=call.run)
    if seconds == 0:
        return await call.at.run_log.ask(read)
    with call.request.app[WAITERS].place(caller.api_key or caller.user) as may_wait:
        if not may_wait:
            return await call.at.run_log.ask(read)
        return await _wait(call, read, seconds)


async def _wait(call: Call, read: ReadRun, seconds: float) -> Run:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    over = call.request.app[GATE].over
    async with subscription(call.at.pubsub, run_topic(call.run)) as events:
        run = await call.at.run_log.ask(read)
        while not run.ended and (left := deadline - loop.time()) > 0:
            if is_gone(call.request) or over.is_set():
                break
            # An event may be lost: the database is asked again now and then all the same.
            waking = [asyncio.ensure_future(each) for each in (anext(events, None), over.wait())]
            first = asyncio.FIRST_COMPLETED
            await asyncio.wait(waking, timeout=min(POLL_SECONDS, left), return_when=first)
            for each in waking:
                each.cancel()
            run = await call.at.run_log.ask(read)
    return run
