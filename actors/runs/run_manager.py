"""Admits runs, has them executed, ends them at their callers' wish."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias, assert_never

import structlog

from actors.accounts import Caller
from actors.ids import RunId
from actors.pubsub import PubSub
from actors.runs.conclude import announce, announce_lines, conclude, conclude_surely
from actors.runs.events import LogEntry
from actors.runs.finalize import Report
from actors.runs.live_run import Identity
from actors.runs.plan import RunPlan
from actors.runs.records import Run, RunRecords, WaitingRun
from actors.runs.run_supervisor import RunSupervisor, StartLiveRun, StopLiveRun
from actors.runs.signing import RunSecrets
from actors.runtime import (
    Actor,
    Address,
    AskError,
    Conflict,
    Lane,
    NotFound,
    Rejected,
    Request,
    Unavailable,
)
from actors.vault import VaultError

log = structlog.get_logger("runs")

SINK_LIFE = timedelta(seconds=7200)
LEASE_SECONDS = 30.0
RECONCILE_SECONDS = 5.0


class Admit(Request["RunManager", Run], frozen=True, kw_only=True):
    """Insert a planned run, pending, and have it executed. Answers before it has started."""

    plan: RunPlan


class CancelRun(Request["RunManager", Run], frozen=True, kw_only=True):
    """End a run at its caller's wish; answers when nothing of it is left (10 s at most).

    Refuses one that has ended with `not_cancellable`. A run that reports at the same moment may
    win, and then is what it reported.
    """

    caller: Caller
    run: RunId


RunManagerMessage: TypeAlias = Admit | CancelRun


class RunManager(Actor):
    """Whatever people do to a run goes through here, and its truth is in the records.

    At its start it fails the runs whose executor is dead and starts those that still wait.
    """

    lanes = (
        Lane("launches", 32, (Admit,), limit=2000),
        Lane("cancels", 64, limit=2000),
    )

    def __init__(
        self,
        records: RunRecords,
        pubsub: Address[PubSub],
        live: Address[RunSupervisor],
        secrets: RunSecrets,
        identity: Identity,
    ) -> None:
        super().__init__()
        self._records = records
        self._pubsub = pubsub
        self._live = live
        self._secrets = secrets
        self._identity = identity

    async def started(self) -> None:
        who = self._identity
        await self._records.claim_instance(who.instance, who.boot, LEASE_SECONDS)
        self.own(self._renew_lease(), "lease")
        report = Report(
            status="failed", error="Server restarted while run was in progress. Please retry."
        )
        for run in await self._records.orphans(who.instance, who.boot):
            log.warning("run failed: its server had died", run=run)
            await conclude_surely(self._records, self._pubsub, run, report)
        await self._start_pending(0)
        self.own(self._reconcile(), "reconcile")

    async def receive(self, message: RunManagerMessage) -> Any:
        match message:
            case Admit():
                return await self._admit(message.plan)
            case CancelRun():
                return await self._cancel(message)
            case _:
                assert_never(message)

    async def _admit(self, plan: RunPlan) -> Run:
        secret, sealed = self._secrets.new()
        first = LogEntry(
            event="progress",
            level="info",
            message="run created · waiting to start",
            data={"platform": True, "phase": "waiting"},
        )
        expires = datetime.now(UTC) + SINK_LIFE
        run, line = await self._records.launch(plan, sealed, expires, first)
        announce(self._pubsub, run, "INSERT")
        announce_lines(self._pubsub, plan.application, plan.package, [line])
        try:
            await self._live.ask(StartLiveRun(plan=plan, secret=secret))
        except (Unavailable, AskError) as problem:
            log.warning("run waits to be started again", run=run.id, why=str(problem))
        return run

    async def _cancel(self, message: CancelRun) -> Run:
        org, application = message.caller.tenant
        run = await self._records.run(org, application, message.run)
        if run is None:
            raise NotFound("there is no such run")
        if run.ended:
            raise Conflict(f"the run has ended already: {run.status}", code="not_cancellable")
        report = Report(status="cancelled", error="Cancelled by user")
        await self._live.ask(StopLiveRun(run=run.id, report=report))
        await conclude(self._records, self._pubsub, run.id, report)
        return await self._records.run(org, application, run.id) or run

    async def _start_pending(self, age: float) -> None:
        for waiting in await self._records.pending(age):
            try:
                await self._live.ask(self._start_of(waiting))
            except Rejected as refusal:
                log.warning("run cannot be started", run=waiting.run, why=refusal.detail)
                error = f"The run could not be started: {refusal.detail}"
                report = Report(status="failed", error=error)
                await conclude_surely(self._records, self._pubsub, waiting.run, report)

    def _start_of(self, waiting: WaitingRun) -> StartLiveRun:
        if waiting.plan is None:
            raise Rejected("its plan cannot be read by this version")
        try:
            secret = self._secrets.open(waiting.sealed_secret)
        except VaultError as error:
            raise Rejected(str(error)) from None
        return StartLiveRun(plan=waiting.plan, secret=secret)

    async def _reconcile(self) -> None:
        """Start runs that were inserted and never started, as when their launch was cut short."""
        while True:
            await asyncio.sleep(RECONCILE_SECONDS)
            try:
                await self._start_pending(RECONCILE_SECONDS)
            except (Unavailable, AskError) as problem:
                log.warning("pending runs not looked for", why=str(problem))

    async def _renew_lease(self) -> None:
        who = self._identity
        while True:
            await asyncio.sleep(LEASE_SECONDS / 3)
            try:
                await self._records.claim_instance(who.instance, who.boot, LEASE_SECONDS)
            except Unavailable as refusal:
                log.warning("lease not renewed", why=refusal.detail)
