"""Starts the runs that wait: as many as this instance carries, in order, fair to everybody."""

import asyncio
import contextlib
from typing import Any, TypeAlias, assert_never

import structlog

from actors.ids import RunId
from actors.runs.conclude import RunEndings
from actors.runs.executions import ClaimedRun, ExecutionRecords
from actors.runs.finalize import Report
from actors.runs.liveness import INTERRUPTED, Identity
from actors.runs.run_supervisor import (
    AwaitIdle,
    AwaitPlace,
    ReadLiveRuns,
    RunSupervisor,
    StartLiveRun,
    StopLiveRun,
)
from actors.runs.signing import RunSecrets
from actors.runtime import Actor, Address, AskError, Lane, Rejected, Request, Unavailable
from actors.vault import VaultError

log = structlog.get_logger("runs")

LEASE_SECONDS = 30.0
RECONCILE_SECONDS = 5.0
PAUSE_SECONDS = 1.0
STOP_SECONDS = 12.0
STOPPED = "The server was stopped while the run was active."


class RunWaits(Request["RunDispatcher", None], frozen=True, kw_only=True):
    """A run was inserted. Only a wake-up: runs are looked for every 5 s as well."""


class DrainRuns(Request["RunDispatcher", None], frozen=True, kw_only=True):
    """Start no more runs, give back those that have not started, and wait for the others.

    Those which have not ended `within` seconds are stopped, each with a reason. Then the lease of
    this instance is given back. Asked again with less time, the shorter one counts.
    """

    within: float


RunDispatcherMessage: TypeAlias = RunWaits | DrainRuns


class RunDispatcher(Actor):
    """Claims pending runs whenever there is a place for one, and has them executed here.

    A claimed run is still pending: what was never started is nobody's again once its claimer is
    dead. At its start it fails the runs whose executor is dead. It keeps the lease by which others
    know that this instance lives.
    """

    lanes = (Lane("wakes", 64, limit=10_000),)

    def __init__(
        self,
        executions: ExecutionRecords,
        endings: RunEndings,
        live: Address[RunSupervisor],
        *,
        secrets: RunSecrets,
        identity: Identity,
        most_of_organization: int,
    ) -> None:
        super().__init__()
        self._executions = executions
        self._endings = endings
        self._live = live
        self._secrets = secrets
        self._identity = identity
        self._most_of_organization = most_of_organization
        self._waits = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def started(self) -> None:
        await self._executions.claim_instance(self._identity, LEASE_SECONDS)
        for run in await self._executions.orphans():
            log.warning("run failed: its server had died", run=run)
            report = Report(status="failed", error=INTERRUPTED)
            await self._endings.end_surely(run, report)
        # What an earlier incarnation claimed and did not get to.
        await self._executions.release_claims(self._identity)
        self._tasks = [self.own(self._renew_lease(), "lease"), self.own(self._dispatch(), "claims")]

    async def receive(self, message: RunDispatcherMessage) -> Any:
        match message:
            case RunWaits():
                self._waits.set()
            case DrainRuns():
                await self._drain(message.within)
            case _:
                assert_never(message)

    async def _dispatch(self) -> None:
        while True:
            try:
                if not await self._start_next():
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(RECONCILE_SECONDS):
                            await self._waits.wait()
            except (Unavailable, AskError) as problem:
                log.warning("pending runs not looked for", why=str(problem))
                await asyncio.sleep(PAUSE_SECONDS)

    async def _start_next(self) -> bool:
        """Start the run whose turn it is, once there is a place. False when none waits."""
        await self._live.ask(AwaitPlace(), within=3600)
        self._waits.clear()
        claimed = await self._executions.claim(self._identity, self._most_of_organization)
        if claimed is None:
            return False
        try:
            await self._live.ask(self._start_of(claimed))
        except Rejected as refusal:
            log.warning("run cannot be started", run=claimed.run, why=refusal.detail)
            report = Report(
                status="failed", error=f"The run could not be started: {refusal.detail}"
            )
            await self._endings.end_surely(claimed.run, report)
        except (Unavailable, AskError):
            await self._executions.release_claims(self._identity)
            raise
        return True

    def _start_of(self, claimed: ClaimedRun) -> StartLiveRun:
        if claimed.plan is None:
            raise Rejected("its plan cannot be read by this version")
        try:
            secret = self._secrets.open(claimed.sealed_secret)
        except VaultError as error:
            raise Rejected(str(error)) from None
        return StartLiveRun(plan=claimed.plan, secret=secret)

    async def _drain(self, within: float) -> None:
        for task in self._tasks[1:]:  # not the lease: what still runs is ours
            task.cancel()
        if within > 0:
            with contextlib.suppress(Unavailable):  # they did not end in time
                await self._live.ask(AwaitIdle(), within=within)
        left = await self._live.ask(ReadLiveRuns())
        if left:
            log.warning("runs stopped by the end of the server", count=len(left))
        await asyncio.gather(*map(self._end, left))
        self._tasks[0].cancel()
        with contextlib.suppress(Unavailable):  # then the lease runs out by itself
            await self._executions.release_instance(self._identity)

    async def _end(self, run: RunId) -> None:
        stopping = StopLiveRun(run=run, report=Report(status="failed", error=STOPPED))
        with contextlib.suppress(Unavailable):
            await self._live.ask(stopping, within=STOP_SECONDS)

    async def _renew_lease(self) -> None:
        while True:
            await asyncio.sleep(LEASE_SECONDS / 3)
            try:
                await self._executions.claim_instance(self._identity, LEASE_SECONDS)
            except Unavailable as refusal:
                log.warning("lease not renewed", why=refusal.detail)
