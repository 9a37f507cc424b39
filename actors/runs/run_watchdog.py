"""Ends runs that have fallen silent, and stops those that are not this instance's any more."""

import asyncio
import contextlib
import random
import time
from typing import assert_never

import structlog

from actors.runs.conclude import RunEndings
from actors.runs.executions import ExecutionRecords
from actors.runs.liveness import Identity, Liveness, SilentRun, verdict_on
from actors.runs.run_supervisor import ReadLiveRuns, ReleaseLiveRun, RunSupervisor, StopLiveRun
from actors.runtime import Actor, Address, AskError, Request, Unavailable

log = structlog.get_logger("runs")

PATROL_SECONDS = 2.0
AT_ONCE = 6


class SweepRuns(Request["RunWatchdog", int], frozen=True, kw_only=True):
    """Look for silent runs now, as happens by itself every interval; answers how many it ended.

    `now` is the time of the clock in seconds.
    """

    now: float


class PatrolRuns(Request["RunWatchdog", None], frozen=True, kw_only=True):
    """Look now what has become of the runs executed here, as happens every 2 s."""


class RunWatchdog(Actor):
    """The outermost ring around every run, for when its own timers and its executor are no more.

    Sweeps look at the runs of all instances, one instance at a time: a run past its deadline is
    timed out; one that is stale, unborn or orphaned fails. Whoever ends a run stops its program
    first, when it is executed here; elsewhere its executor finds out within 2 s. A watchdog that
    could not read the database, or slept, knows nothing of what came meanwhile: it lets the whole
    of the stall threshold pass again before it takes anybody's silence for a fact.

    Every 2 s the runs executed here are looked at, all in one query: cancelled by another instance,
    or taken for dead, they are stopped. Those that have not sent an event yet get a sign of life
    in their place, until their boot deadline.
    """

    def __init__(
        self,
        executions: ExecutionRecords,
        endings: RunEndings,
        live: Address[RunSupervisor],
        *,
        identity: Identity,
        liveness: Liveness,
    ) -> None:
        super().__init__()
        self._executions = executions
        self._endings = endings
        self._live = live
        self._identity = identity
        self._liveness = liveness
        self._counting_since: float | None = None
        self._last_look = 0.0

    async def started(self) -> None:
        self.own(self._keep_sweeping(), "sweep")
        self.own(self._keep_patrolling(), "patrol")
        self.own(self._keep_pumping(), "pump")

    async def receive(self, message: SweepRuns | PatrolRuns) -> int | None:
        match message:
            case SweepRuns():
                return await self._sweep(message.now)
            case PatrolRuns():
                await self._patrol()
            case _:
                assert_never(message)
        return None

    async def _keep_sweeping(self) -> None:
        while True:
            await self._sweep(time.time())
            await asyncio.sleep(self._liveness.interval * random.uniform(0.85, 1.15))  # noqa: S311 - jitter, no secret

    async def _keep_patrolling(self) -> None:
        while True:
            await asyncio.sleep(PATROL_SECONDS)
            await self._patrol()

    async def _keep_pumping(self) -> None:
        while True:
            await asyncio.sleep(self._liveness.heartbeat)
            with contextlib.suppress(Unavailable, AskError):
                if live := await self._live.ask(ReadLiveRuns()):
                    await self._executions.pump(live)

    async def _sweep(self, now: float) -> int:
        gap, self._last_look = now - self._last_look, now
        if self._counting_since is None or gap > self._liveness.stall:
            self._counting_since = now
        counting = now - self._counting_since >= self._liveness.stall
        try:
            found = await self._executions.silent(self._liveness, counting=counting)
        except Unavailable as refusal:
            log.warning("silent runs not looked for", why=refusal.detail)
            self._counting_since = None
            return 0
        turns = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(self._end(silent, turns) for silent in found or []))
        return len(found or [])

    async def _end(self, silent: SilentRun, turns: asyncio.Semaphore) -> None:
        report = verdict_on(silent, self._liveness)
        async with turns:
            log.warning("run ended by the watchdog", run=silent.run, why=silent.why)
            with contextlib.suppress(Unavailable, AskError):  # then at the next sweep
                await self._live.ask(StopLiveRun(run=silent.run, report=report))
                await self._endings.end(silent.run, report)

    async def _patrol(self) -> None:
        with contextlib.suppress(Unavailable, AskError):  # then at the next patrol
            live = await self._live.ask(ReadLiveRuns())
            if not live:
                return
            holds = await self._executions.holds(self._identity, live)
            for run, hold in holds.items():
                if hold != "mine":
                    await self._live.ask(ReleaseLiveRun(run=run))
