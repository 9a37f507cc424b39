"""Fires schedules from this process: a timer on the next due time, and rows in the database."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import structlog

from actors.ids import InstanceId, OrgId
from actors.runs import LaunchRate
from actors.runtime import AskError, Unavailable
from actors.schedules import (
    DueFire,
    FireRecords,
    Firing,
    Line,
    Scheduler,
    expanding,
)

log = structlog.get_logger("scheduler")

LONGEST_SLEEP = 30.0
PAUSE_SECONDS = 1.0
# Somebody else holds what is due: a moment, so as not to ask all the time.
ELSEWHERE = timedelta(seconds=0.05)
# How long what another instance had claimed waits when that one was killed; a slower one loses to
# whoever fires it first.
LEASE = timedelta(seconds=10)
AT_ONCE = 1024
# Less than the second between one due time and the next, and enough to plan what is due at once.
AHEAD = timedelta(seconds=0.8)


class LocalScheduler(Scheduler):
    """Sleeps until shortly before the next due time, never longer than half a minute.

    Then it has the time to plan what is due, so that only the rows are left to be written. What it
    does is safe to do in several processes at once, and after having been killed: due times are
    written before they are fired, claimed with a lease, and become a run at most once.
    """

    def __init__(
        self,
        records: FireRecords,
        firing: Firing,
        rate: LaunchRate,
        instance: InstanceId,
        *,
        grace: timedelta = timedelta(seconds=60),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__()
        self._records = records
        self._firing = firing
        self._rate = rate
        self._instance = instance
        self._grace = grace
        self._now = now
        self._line = Line()
        self._changed = asyncio.Event()

    async def started(self) -> None:
        self.own(self._keep_firing(), "fire")

    def look_again(self) -> None:
        self._changed.set()

    async def _keep_firing(self) -> None:
        await self._surely(self._free)
        while True:
            await self._surely(self._fire_next)

    async def _surely(self, step: Callable[[], Awaitable[None]]) -> None:
        """Try a step until it is done, whoever is away meanwhile."""
        while True:
            try:
                return await step()
            except (Unavailable, AskError) as problem:
                log.warning("schedules not looked at", why=str(problem))
                await asyncio.sleep(PAUSE_SECONDS)

    async def _free(self) -> None:
        """Let go of what this instance had claimed when it was killed."""
        if freed := await self._records.free(self._instance):
            log.info("due times of an earlier life are fired now", count=freed)

    async def _fire_next(self) -> None:
        """Wait for what is due next, and fire it; or find that it is to be looked at again."""
        self._changed.clear()
        aside = [org for org, most in self._line.most(self._now()).items() if most == 0]
        due = self._line.next(await self._records.next_due(aside, AHEAD))
        if await self._reached(due) and due and not await self._fire_due():
            await self._reached(max(due + AHEAD, self._now() + ELSEWHERE))

    async def _reached(self, due: datetime | None) -> bool:
        """Wait for a moment. False when it is to be asked for once more, for it may be another."""
        seconds = LONGEST_SLEEP
        if due is not None:
            seconds = min(seconds, (due - self._now()).total_seconds())
        if seconds > 0:
            try:
                async with asyncio.timeout(seconds):
                    await self._changed.wait()
            except TimeoutError:
                pass
            else:
                return False
        return due is not None and due <= self._now()

    async def _fire_due(self) -> bool:
        """Write and fire due times, the oldest first. False when there was nothing to be had."""
        now = self._now()
        looked = await self._records.expand(now, expanding(now, self._grace), AT_ONCE, AHEAD)
        now = self._now()
        most = self._line.most(now)
        claimed = await self._records.claim(now, now + LEASE, AT_ONCE, most, self._instance)
        by_org: dict[OrgId, list[DueFire]] = {}
        for fire in claimed:
            by_org.setdefault(fire.schedule.org_id, []).append(fire)
        self._line.served({org: len(fires) for org, fires in by_org.items()}, now)
        allowed: list[DueFire] = []
        held: list[tuple[DueFire, float]] = []
        for org, fires in by_org.items():
            granted, seconds = await self._granted(org, len(fires))
            allowed += fires[:granted]
            held += [(fire, seconds) for fire in fires[granted:]]
        held += await self._firing.fire(allowed)
        await self._hold(held)
        return bool(looked or claimed)

    async def _granted(self, org: OrgId, wanted: int) -> tuple[int, float]:
        try:
            return await self._rate.take_up_to(org, wanted)
        except (Unavailable, AskError) as problem:  # the others may be counted
            log.warning("launches not counted", org=org, why=str(problem))
            return 0, PAUSE_SECONDS

    async def _hold(self, held: list[tuple[DueFire, float]]) -> None:
        """Let due times go that must wait; nothing of their organizations is fired before them."""
        if not held:
            return
        still = await self._records.release([fire for fire, _ in held])
        for fire, seconds in held:
            if (fire.schedule.id, fire.due_at) in still:
                self._line.wait(fire.schedule.org_id, self._now() + timedelta(seconds=seconds))
