"""Slots that are processes of this machine, some of them warm."""

import asyncio
import contextlib
from collections import deque

import structlog

from actors.runtime import Unavailable
from actors.sidecar_pool import Executor, PoolState, SidecarPool, Slot

log = structlog.get_logger("executor")

QUIET_SECONDS = 5.0
FIRST_BACKOFF = 0.5
LONGEST_BACKOFF = 30.0


class LocalSidecarPool(SidecarPool):
    """Keeps `size` slots warm.

    It is serial: with runs admitted a few at a time, a queue of cold starts is what one wants.
    """

    def __init__(self, executor: Executor, size: int, quiet: float = QUIET_SECONDS) -> None:
        super().__init__()
        self._executor = executor
        self._size = size
        self._quiet = quiet
        self._warm: deque[Slot] = deque()
        self._used = 0
        self._died = 0
        self._taken_at = 0.0
        self._changed = asyncio.Event()

    async def started(self) -> None:
        left = await self._executor.sweep()
        if left:
            log.warning("ended processes of an earlier life", count=left)
        with contextlib.suppress(OSError):  # then what keeps it filled tells and tries again
            await self._fill()
        if self._size:
            self.own(self._keep_filled(), "fill")

    async def stopped(self) -> None:
        warm, self._warm = self._warm, deque()
        await asyncio.gather(*(slot.stop() for slot in warm))

    async def acquire(self) -> Slot:
        if self._warm:
            slot = self._warm.popleft()
            self._died = 0
        else:
            try:
                slot = await self._make()
            except OSError as error:
                why = f"the agent process could not start: {error}"
                raise Unavailable(why, retry_after=1) from error
        self._used += 1
        self._taken_at = asyncio.get_running_loop().time()
        return slot

    def state(self) -> PoolState:
        return PoolState(size=self._size, warm=len(self._warm), used=self._used)

    async def _make(self) -> Slot:
        slot = await self._executor.make()
        self.own(self._await_end(slot), f"slot.{slot.name}")
        return slot

    async def _await_end(self, slot: Slot) -> None:
        ended = await slot.wait()
        if slot in self._warm:
            self._warm.remove(slot)
            self._died += 1
            log.warning("a waiting agent process died", slot=slot.name, how=ended.describe())
            await slot.stop()
        else:
            self._used -= 1
        self._changed.set()

    async def _fill(self) -> None:
        while len(self._warm) < self._size:
            self._warm.append(await self._make())

    async def _keep_filled(self) -> None:
        while True:
            await self._until_time_to_fill()
            self._changed.clear()
            await asyncio.sleep(self._backoff())
            try:
                await self._fill()
            except OSError as error:
                self._died += 1
                log.warning("no slot can be warmed", why=str(error))
                self._changed.set()

    async def _until_time_to_fill(self) -> None:
        """Wait until a program has exited, or nobody has taken a slot for a while."""
        loop = asyncio.get_running_loop()
        while not self._changed.is_set():
            taken_at = self._taken_at
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(max(loop.time(), taken_at) + self._quiet):
                    await self._changed.wait()
            if taken_at == self._taken_at:
                return

    def _backoff(self) -> float:
        """Seconds to wait, the more warm slots have died since one was of use."""
        if self._died == 0:
            return 0.0
        return min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(self._died - 1, 16))
