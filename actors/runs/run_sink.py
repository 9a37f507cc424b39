"""Takes what runs send: events, signs of life, their end; tells them what they execute."""

import time
from datetime import UTC, datetime
from typing import Any, TypeAlias, assert_never

import msgspec

from actors.events import RunMetered, RunTotals
from actors.ids import ApplicationId, OrgId, PackageId, RunId
from actors.limiter import Limiter, Rule, TakeTurn
from actors.packages import AgentDefinition
from actors.pubsub import Publish, PubSub
from actors.runs.conclude import RunEndings, announce, announce_deliveries, announce_lines
from actors.runs.events import effects, read_event
from actors.runs.finalize import read_report
from actors.runs.ledger import Totals
from actors.runs.records import RunFacts, RunRecords
from actors.runs.rules import EventLimits
from actors.runs.run_supervisor import ReleaseLiveRun, RunBegan, RunSupervisor
from actors.runs.signing import RunSecrets, SignedRequest, verify
from actors.runs.throttle import Throttle
from actors.runtime import Actor, Address, Lane, NotFound, Rejected, Request

KNOWN_RUNS = 10_000
FORGERIES = Rule(name="failed signatures", limit=200, seconds=10)
FORGED = frozenset(
    {
        "not_found",
        "missing_signature_headers",
        "invalid_timestamp",
        "timestamp_out_of_tolerance",
        "invalid_signature",
    }
)


class IngestReply(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an event."""

    ok: bool = True
    outcome: str
    sequence: int | msgspec.UnsetType = msgspec.UNSET


class IngestEvent(Request["RunSink", IngestReply], frozen=True, kw_only=True):
    """Take one signed event: in sequence, once. Early ones wait for their predecessors.

    Refuses with `run_sink_closed` once the run has ended.
    """

    signed: SignedRequest


class FinalizeRun(Request["RunSink", None], frozen=True, kw_only=True):
    """Take a run's own signed report of its end. Idempotent: a run ends once."""

    signed: SignedRequest


class Heartbeat(Request["RunSink", None], frozen=True, kw_only=True):
    """Take a signed sign of life; `run_sink_closed` tells the run to stop."""

    signed: SignedRequest


class ReadDefinition(Request["RunSink", AgentDefinition], frozen=True, kw_only=True):
    """The agent a signed request's run executes."""

    signed: SignedRequest


class KnownRun(msgspec.Struct, frozen=True, kw_only=True):
    """Which run has signed a request, and whose it is."""

    run: RunId
    org: OrgId
    application: ApplicationId
    package: PackageId | None


class VerifyRun(Request["RunSink", KnownRun], frozen=True, kw_only=True):
    """Make sure that a request comes from the run it says; refuses as every signed one does."""

    signed: SignedRequest


RunSinkMessage: TypeAlias = IngestEvent | FinalizeRun | Heartbeat | ReadDefinition | VerifyRun


class RunSink(Actor):
    """Serves the runs themselves; nothing here asks who the user is.

    What it remembers of a run, to verify its requests, can be read again at any time. Any instance
    may serve any run.
    """

    lanes = (Lane("events", 64, limit=10_000),)

    def __init__(
        self,
        records: RunRecords,
        pubsub: Address[PubSub],
        live: Address[RunSupervisor],
        secrets: RunSecrets,
        *,
        signature_seconds: float,
        limiter: Address[Limiter],
        event_limits: EventLimits,
    ) -> None:
        super().__init__()
        self._records = records
        self._pubsub = pubsub
        self._endings = RunEndings(records, pubsub)
        self._live = live
        self._secrets = secrets
        self._signature_seconds = signature_seconds
        self._limiter = limiter
        self._event_rate = Rule(name="run events", limit=event_limits.burst, seconds=1)
        self._known: dict[RunId, tuple[RunFacts, str]] = {}
        self._throttle = Throttle(self._publish)

    async def stopped(self) -> None:
        self._throttle.stop()

    async def receive(self, message: RunSinkMessage) -> Any:
        match message:
            case IngestEvent():
                return await self._ingest(message.signed)
            case FinalizeRun():
                return await self._finalize(message.signed)
            case Heartbeat():
                return await self._heartbeat(message.signed)
            case ReadDefinition():
                return await self._definition(message.signed)
            case VerifyRun():
                return await self._known_run(message.signed)
            case _:
                assert_never(message)

    async def _ingest(self, signed: SignedRequest) -> IngestReply:
        facts = await self._verified(signed)
        taken = await self._limiter.ask(TakeTurn(rule=self._event_rate, key=signed.run))
        taken.check("too many events of this run")
        event = read_event(signed.body)
        left = effects(event)
        ingested = await self._records.ingest(signed.run, signed.message_id, event, left)
        if ingested.closed:
            raise self._closed(signed.run)
        announce_lines(self._pubsub, facts.application, facts.package, ingested.lines)
        if facts.awaited:
            await self._begin(facts)
        if ingested.totals is not None:
            self._announce_totals(facts, ingested.totals)
        sequence = msgspec.UNSET if ingested.outcome == "replay" else event.sequence
        return IngestReply(outcome=ingested.outcome, sequence=sequence)

    async def _begin(self, facts: RunFacts) -> None:
        """A remote run has sent its first event: it runs from now on."""
        started = await self._records.begin(facts.run, datetime.now(UTC))
        if started is not None:
            announce(self._pubsub, started.run)
            if started.tells:
                announce_deliveries(self._pubsub)
        if facts.run in self._known:
            begun = msgspec.structs.replace(facts, awaited=False)
            self._known[facts.run] = begun, self._known[facts.run][1]

    async def _finalize(self, signed: SignedRequest) -> None:
        await self._verified(signed, closed_too=True)
        await self._endings.end(signed.run, read_report(signed.body))
        self._known.pop(signed.run, None)
        await self._live.ask(ReleaseLiveRun(run=signed.run))

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

    async def _known_run(self, signed: SignedRequest) -> KnownRun:
        facts = await self._verified(signed)
        return KnownRun(
            run=facts.run, org=facts.org, application=facts.application, package=facts.package
        )

    async def _verified(self, signed: SignedRequest, *, closed_too: bool = False) -> RunFacts:
        try:
            return await self._examined(signed, closed_too=closed_too)
        except (NotFound, Rejected) as refusal:
            if refusal.code in FORGED:
                taken = await self._limiter.ask(TakeTurn(rule=FORGERIES, key=signed.address))
                taken.check("too many requests that no run has signed")
            raise

    async def _examined(self, signed: SignedRequest, *, closed_too: bool) -> RunFacts:
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
        self._live.tell(RunBegan(run=facts.run))

    def _closed(self, run: RunId) -> Rejected:
        self._known.pop(run, None)
        return Rejected("the run has ended: its event sink is closed", code="run_sink_closed")

    def _announce_totals(self, facts: RunFacts, totals: Totals) -> None:
        told = RunTotals(
            run_id=facts.run,
            org_id=facts.org,
            application_id=facts.application,
            package_id=facts.package,
            token_usage=totals.usage.to_json(),
            cost_so_far=totals.cost,
            cost_pricing_status=totals.status,
        )
        self._throttle.offer(
            RunMetered(
                run=facts.run,
                application=facts.application,
                package=facts.package,
                totals=told,
            )
        )

    def _publish(self, event: RunMetered) -> None:
        self._pubsub.tell(Publish(event=event))
