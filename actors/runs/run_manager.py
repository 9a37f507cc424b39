"""Admits runs, takes what they send, ends them."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias, assert_never

import msgspec
import structlog

from actors.accounts import Caller
from actors.events import RunMetered, RunTotals
from actors.ids import OrgId, RunId
from actors.models import ChosenModel
from actors.packages import AgentDefinition
from actors.pubsub import Publish, PubSub
from actors.runs.conclude import announce, announce_lines, conclude, conclude_surely
from actors.runs.events import Effects, LogEntry, effects, read_event
from actors.runs.finalize import Report, read_report
from actors.runs.live_run import Identity
from actors.runs.plan import RunPlan
from actors.runs.records import Run, RunFacts, RunRecords, WaitingRun
from actors.runs.run_supervisor import ReleaseLiveRun, RunSupervisor, StartLiveRun, StopLiveRun
from actors.runs.signing import RunSecrets, SignedRequest, verify
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
KNOWN_RUNS = 10_000


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


class IngestReply(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an event."""

    ok: bool = True
    outcome: str
    sequence: int | msgspec.UnsetType = msgspec.UNSET


class IngestEvent(Request["RunManager", IngestReply], frozen=True, kw_only=True):
    """Take one signed event: in sequence, once. Early ones wait for their predecessors.

    Refuses with `run_sink_closed` once the run has ended.
    """

    signed: SignedRequest


class FinalizeRun(Request["RunManager", None], frozen=True, kw_only=True):
    """Take a run's own signed report of its end. Idempotent: a run ends once."""

    signed: SignedRequest


class Heartbeat(Request["RunManager", None], frozen=True, kw_only=True):
    """Take a signed sign of life; `run_sink_closed` tells the run to stop."""

    signed: SignedRequest


class ReadDefinition(Request["RunManager", AgentDefinition], frozen=True, kw_only=True):
    """The agent a signed request's run executes."""

    signed: SignedRequest


class ModelRoute(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run's model calls go: to whose model, with what input for a script."""

    run: RunId
    org: OrgId
    model: ChosenModel
    script: Any
    input: dict[str, Any]


class AuthorizeModelCall(Request["RunManager", ModelRoute], frozen=True, kw_only=True):
    """Turn a run's bearer token into its model; refuses when the run has ended."""

    token: str


RunManagerMessage: TypeAlias = (
    Admit | CancelRun | IngestEvent | FinalizeRun | Heartbeat | ReadDefinition | AuthorizeModelCall
)


class RunManager(Actor):
    """Everything that changes a run goes through here, and its truth is in the records.

    What it remembers of a run, to verify its requests, can be read again at any time. At its
    start it fails the runs whose executor is dead and starts those that still wait.
    """

    lanes = (
        Lane("launches", 32, (Admit,), limit=2000),
        Lane("cancels", 64, (CancelRun,), limit=2000),
        Lane("events", 64, limit=10_000),
    )

    def __init__(
        self,
        records: RunRecords,
        pubsub: Address[PubSub],
        live: Address[RunSupervisor],
        secrets: RunSecrets,
        identity: Identity,
        *,
        signature_seconds: float,
    ) -> None:
        super().__init__()
        self._records = records
        self._pubsub = pubsub
        self._live = live
        self._secrets = secrets
        self._identity = identity
        self._signature_seconds = signature_seconds
        self._known: dict[RunId, tuple[RunFacts, str]] = {}

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
            case IngestEvent():
                return await self._ingest(message.signed)
            case Admit():
                return await self._admit(message.plan)
            case CancelRun():
                return await self._cancel(message)
            case FinalizeRun():
                return await self._finalize(message.signed)
            case Heartbeat():
                return await self._heartbeat(message.signed)
            case ReadDefinition():
                return await self._definition(message.signed)
            case AuthorizeModelCall():
                return await self._model_route(message.token)
            case _:
                assert_never(message)

    async def _admit(self, plan: RunPlan) -> Run:
        secret, sealed = self._secrets.new()
        first = LogEntry(
            event="progress",
            level="info",
            message="run created · waiting to start",
            data={"platform": True},
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
        await self._end(run.id, report)
        return await self._records.run(org, application, run.id) or run

    async def _ingest(self, signed: SignedRequest) -> IngestReply:
        facts = await self._verified(signed)
        event = read_event(signed.body)
        left = effects(event)
        ingested = await self._records.ingest(signed.run, signed.message_id, event, left)
        if ingested.closed:
            raise self._closed(signed.run)
        announce_lines(self._pubsub, facts.application, facts.package, ingested.lines)
        if ingested.outcome == "persisted" and left.usage is not None:
            self._announce_totals(facts, left)
        sequence = msgspec.UNSET if ingested.outcome == "replay" else event.sequence
        return IngestReply(outcome=ingested.outcome, sequence=sequence)

    async def _finalize(self, signed: SignedRequest) -> None:
        await self._verified(signed, closed_too=True)
        await self._end(signed.run, read_report(signed.body))
        await self._live.ask(ReleaseLiveRun(run=signed.run))

    async def _end(self, run: RunId, report: Report) -> None:
        await conclude(self._records, self._pubsub, run, report)
        self._known.pop(run, None)

    async def _heartbeat(self, signed: SignedRequest) -> None:
        await self._verified(signed)
        if not await self._records.touch(signed.run):
            raise self._closed(signed.run)

    async def _definition(self, signed: SignedRequest) -> AgentDefinition:
        await self._verified(signed)
        plan = await self._records.plan(signed.run)
        if plan is None:
            raise self._closed(signed.run)
        return plan.agent

    async def _model_route(self, token: str) -> ModelRoute:
        run = self._secrets.run_of(token)
        plan = await self._records.plan(run)
        if plan is None:
            raise Rejected("the run has ended", code="unauthorized")
        meta = plan.agent.manifest.get("_meta", {})
        return ModelRoute(
            run=run,
            org=plan.org,
            model=plan.model,
            script=meta.get("dev.appstrate/demo"),
            input=plan.input,
        )

    async def _verified(self, signed: SignedRequest, *, closed_too: bool = False) -> RunFacts:
        facts, secret = await self._facts(signed.run)
        if facts.closed and not closed_too:
            raise self._closed(signed.run)
        if facts.expires_at <= datetime.now(UTC):
            raise Rejected("the event sink of this run has expired", code="run_sink_expired")
        verify(signed, secret, time.time(), self._signature_seconds)
        self._remember(facts, secret)
        return facts

    async def _facts(self, run: RunId) -> tuple[RunFacts, str]:
        known = self._known.get(run)
        if known is not None:
            return known
        facts = await self._records.facts(run)
        if facts is None:
            raise NotFound("there is no such run")
        return facts, self._secrets.open(facts.sealed_secret)

    def _remember(self, facts: RunFacts, secret: str) -> None:
        """Keep what a run that has signed a request is known by; it has started, so it is final."""
        if facts.closed or facts.run in self._known:
            return
        if len(self._known) >= KNOWN_RUNS:
            self._known.clear()
        self._known[facts.run] = facts, secret

    def _closed(self, run: RunId) -> Rejected:
        self._known.pop(run, None)
        return Rejected("the run has ended: its event sink is closed", code="run_sink_closed")

    def _announce_totals(self, facts: RunFacts, left: Effects) -> None:
        totals = RunTotals(
            run_id=facts.run,
            org_id=facts.org,
            application_id=facts.application,
            package_id=facts.package,
            token_usage=left.usage.to_json() if left.usage else None,
            cost_so_far=left.cost,
        )
        self._pubsub.tell(
            Publish(
                event=RunMetered(
                    run=facts.run,
                    application=facts.application,
                    package=facts.package,
                    totals=totals,
                )
            )
        )

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
