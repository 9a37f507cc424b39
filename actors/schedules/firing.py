"""What a scheduler does with due times that are to be fired, however it came by them."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TypeAlias

import structlog
from msgspec.structs import replace

from actors.accounts import ActAs, Members
from actors.ids import PackageId, new_run_id
from actors.pubsub import PubSub
from actors.runs import (
    AdmitFires,
    Launcher,
    PlanRuns,
    RunManager,
    RunPlan,
    ScheduledFire,
    announce,
    announce_deliveries,
)
from actors.runtime import (
    Address,
    AskError,
    Conflict,
    HandlerError,
    LimitExceeded,
    NotFound,
    Refusal,
    Rejected,
    Unavailable,
)
from actors.schedules.fire_records import DueFire, FireRecords
from actors.schedules.schedules import acting_for, wish_of

log = structlog.get_logger("scheduler")

PAUSE_SECONDS = 1.0
# Nothing else is fired while somebody does not answer.
PLAN_SECONDS = 8.0
REFUSALS_AT_ONCE = 8
# Whoever is further away than anything is planned ahead was due by a clock that was put back.
LONGEST_AHEAD = 1.0
TICK = 0.001
ACTOR_GONE = "the user it ran for is no member of the organization any more"
GONE = NotFound(f"The schedule was disabled: {ACTOR_GONE}.")
FULL = LimitExceeded("too many runs of this organization wait to be started", retry_after=10)
BROKEN = Rejected("The platform could not launch it; the log of the server says why.")

Planned: TypeAlias = tuple[DueFire, RunPlan | Refusal]
Kind: TypeAlias = tuple[ActAs, PackageId, str | None]


class Firing:
    """Makes runs of claimed due times: planned together where they are alike, admitted at once."""

    def __init__(
        self,
        records: FireRecords,
        pubsub: Address[PubSub],
        members: Address[Members],
        launcher: Address[Launcher],
        runs: Address[RunManager],
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._records = records
        self._pubsub = pubsub
        self._members = members
        self._launcher = launcher
        self._runs = runs
        self._now = now

    async def fire(self, fires: Sequence[DueFire]) -> list[tuple[DueFire, float]]:
        """Turn due times into runs, or into failed ones that say what stood in their way.

        Those that are not due yet are planned now, and come into being at their time. Answers those
        that must wait longer, and how many seconds.
        """
        kinds: dict[Kind, list[DueFire]] = {}
        for fire in fires:
            schedule = fire.schedule
            kind = (acting_for(schedule), schedule.package_id, schedule.version_override)
            kinds.setdefault(kind, []).append(fire)
        found = await asyncio.gather(*(self._plan(*each) for each in kinds.items()))
        planned = sorted((each for some in found for each in some), key=lambda each: each[0].due_at)
        now = self._now()
        held = await self._launch([each for each in planned if each[0].due_at <= now])
        coming = [each for each in planned if each[0].due_at > now]
        if coming:
            await self._reach(coming[-1][0].due_at)
            held += await self._launch(coming)
        return held

    async def _reach(self, due: datetime) -> None:
        """Wait until the clock says so, for timers may end a little before."""
        most = LONGEST_AHEAD
        while most > 0 and (left := (due - self._now()).total_seconds()) > 0:
            seconds = max(left, TICK)
            await asyncio.sleep(min(seconds, most))
            most -= seconds

    async def _launch(self, planned: Sequence[Planned]) -> list[tuple[DueFire, float]]:
        plans = [(fire, plan) for fire, plan in planned if isinstance(plan, RunPlan)]
        left = [(fire, plan) for fire, plan in planned if isinstance(plan, Refusal)]
        return await self._settle(left + await self._admit(plans))

    async def _plan(self, kind: Kind, fires: list[DueFire]) -> Sequence[Planned]:
        acting, package, version = kind
        try:
            actor = await self._members.ask(acting, within=PLAN_SECONDS)
        except NotFound:
            return [(fire, GONE) for fire in fires]
        except (Unavailable, AskError) as problem:
            return _waiting(fires, problem)
        wishes = [wish_of(fire.schedule) for fire in fires]
        planning = PlanRuns(caller=actor, package=package, version=version, wishes=wishes)
        try:
            outcomes = await self._launcher.ask(planning, within=PLAN_SECONDS)
        except HandlerError:
            if len(fires) == 1:
                return [(fires[0], BROKEN)]
            return [each for fire in fires for each in await self._plan(kind, [fire])]
        except (Unavailable, AskError) as problem:
            return _waiting(fires, problem)
        return [(fire, _of(fire, plan)) for fire, plan in zip(fires, outcomes, strict=True)]

    async def _admit(self, plans: list[tuple[DueFire, RunPlan]]) -> list[tuple[DueFire, Refusal]]:
        """Make runs of plans; answers what did not become one, and why.

        When they cannot all be inserted, each is by itself.
        """
        if not plans:
            return []
        try:
            runs = await self._runs.ask(AdmitFires(plans=[plan for _, plan in plans]))
        except (Conflict, HandlerError) as problem:
            if len(plans) == 1:
                return [(plans[0][0], problem if isinstance(problem, Conflict) else BROKEN)]
            return [left for each in plans for left in await self._admit([each])]
        except (Unavailable, AskError) as problem:
            return _waiting([fire for fire, _ in plans], problem)
        there = {run.id for run in runs}
        return [(fire, FULL) for fire, plan in plans if plan.run not in there]

    async def _settle(self, left: list[tuple[DueFire, Refusal]]) -> list[tuple[DueFire, float]]:
        passing = (LimitExceeded, Unavailable)
        some = asyncio.Semaphore(REFUSALS_AT_ONCE)

        async def refuse(fire: DueFire, refusal: Refusal) -> None:
            async with some:
                await self._refuse(fire, refusal)

        lasting = [each for each in left if not isinstance(each[1], passing)]
        await asyncio.gather(*(refuse(*each) for each in lasting))
        return [
            (fire, refusal.retry_after or PAUSE_SECONDS)
            for fire, refusal in left
            if isinstance(refusal, passing)
        ]

    async def _refuse(self, fire: DueFire, refusal: Refusal) -> None:
        log.warning("due time refused", schedule=fire.schedule.id, why=refusal.detail)
        ended = await self._records.refuse(fire, refusal.detail, new_run_id(), self._now())
        if refusal is GONE:
            await self._records.disable(fire.schedule, ACTOR_GONE)
        if ended is not None:
            announce(self._pubsub, ended.run, "INSERT")
            if ended.tells:
                announce_deliveries(self._pubsub)


def _waiting(
    fires: list[DueFire], problem: Unavailable | AskError
) -> list[tuple[DueFire, Refusal]]:
    log.warning("due times not fired yet", count=len(fires), why=str(problem))
    passing = problem if isinstance(problem, Unavailable) else Unavailable(str(problem))
    return [(fire, passing) for fire in fires]


def _of(fire: DueFire, plan: RunPlan | Refusal) -> RunPlan | Refusal:
    if isinstance(plan, Refusal):
        return plan
    due = ScheduledFire(schedule=fire.schedule.id, due_at=fire.due_at)
    return replace(plan, fire=due)
