"""Fires schedules from this process: a timer on the next due time, and rows in the database."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import structlog
from msgspec.structs import replace

from actors.accounts import Members
from actors.ids import new_run_id
from actors.pubsub import PubSub
from actors.runs import Admit, Launcher, RunManager, ScheduledFire, announce, announce_deliveries
from actors.runtime import (
    Address,
    AskError,
    LimitExceeded,
    NotFound,
    Refusal,
    Unavailable,
)
from actors.schedules import DueFire, Schedule, Scheduler, ScheduleRecords
from actors.schedules.cron import fires
from actors.schedules.rules import DueTime, judge_due_times
from actors.schedules.schedules import acting_for, plan_of

log = structlog.get_logger("scheduler")

LONGEST_SLEEP = 30.0
PAUSE_SECONDS = 1.0
LEASE = timedelta(seconds=60)
SCHEDULES_AT_ONCE = 200
FIRES_AT_ONCE = 16
DUE_TIMES_AT_ONCE = 5000
ACTOR_GONE = "the user it ran for is no member of the organization any more"


class LocalScheduler(Scheduler):
    """Sleeps until the next due time, never longer than half a minute, and then looks.

    What it does is safe to do in several processes at once, and after having been killed: due
    times are written before they are fired, claimed with a lease, and become a run at most once.
    """

    def __init__(
        self,
        records: ScheduleRecords,
        *,
        pubsub: Address[PubSub],
        members: Address[Members],
        launcher: Address[Launcher],
        runs: Address[RunManager],
        grace: timedelta = timedelta(seconds=60),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__()
        self._records = records
        self._pubsub = pubsub
        self._members = members
        self._launcher = launcher
        self._runs = runs
        self._grace = grace
        self._now = now
        self._changed = asyncio.Event()

    async def started(self) -> None:
        self.own(self._keep_firing(), "fire")

    def look_again(self) -> None:
        self._changed.set()

    async def _keep_firing(self) -> None:
        while True:
            try:
                self._changed.clear()
                await self._fire_due()
                await self._sleep(await self._records.next_due())
            except (Unavailable, AskError) as problem:
                log.warning("schedules not looked at", why=str(problem))
                await asyncio.sleep(PAUSE_SECONDS)

    async def _sleep(self, until: datetime | None) -> None:
        seconds = LONGEST_SLEEP
        if until is not None:
            seconds = min(seconds, max(0.0, (until - self._now()).total_seconds()))
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass

    async def _fire_due(self) -> None:
        while await self._records.expand(self._now(), self._expand, SCHEDULES_AT_ONCE):
            pass
        while True:
            now = self._now()
            claimed = await self._records.claim(now, now + LEASE, FIRES_AT_ONCE)
            if not claimed:
                return
            await asyncio.gather(*(self._fire(fire) for fire in claimed))

    def _expand(self, schedule: Schedule) -> tuple[Iterable[DueTime], datetime | None]:
        now, first = self._now(), schedule.next_run_at
        assert first is not None
        due = [first]
        following = None
        for each in fires(schedule.cron_expression, schedule.timezone, first):
            if each > now or len(due) >= DUE_TIMES_AT_ONCE:
                following = each
                break
            due.append(each)
        policy = schedule.misfire_policy
        return judge_due_times(due, following, now, self._grace, policy), following

    async def _fire(self, fire: DueFire) -> None:
        try:
            await self._launch(fire)
        except LimitExceeded as refusal:
            seconds = refusal.retry_after or PAUSE_SECONDS
            await self._records.postpone(fire, self._now() + timedelta(seconds=seconds))
        except Unavailable as refusal:
            log.warning("due time not fired yet", schedule=fire.schedule.id, why=refusal.detail)
        except Refusal as refusal:
            await self._refuse(fire, refusal.detail)

    async def _launch(self, fire: DueFire) -> None:
        schedule = fire.schedule
        try:
            actor = await self._members.ask(acting_for(schedule))
        except NotFound:
            await self._refuse(fire, f"The schedule was disabled: {ACTOR_GONE}.")
            await self._records.disable(schedule.id, ACTOR_GONE)
            return
        plan = await self._launcher.ask(plan_of(actor, schedule))
        due = ScheduledFire(schedule=schedule.id, due_at=fire.due_at)
        await self._runs.ask(Admit(plan=replace(plan, fire=due)))

    async def _refuse(self, fire: DueFire, why: str) -> None:
        log.warning("due time refused", schedule=fire.schedule.id, why=why)
        ended = await self._records.refuse(fire, why, new_run_id(), self._now())
        if ended is not None:
            announce(self._pubsub, ended.run, "INSERT")
            if ended.tells:
                announce_deliveries(self._pubsub)
