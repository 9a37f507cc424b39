"""What an instance writes of the runs it executes: that each began, and how its program ended."""

from datetime import UTC, datetime, timedelta

from actors.ids import RunId
from actors.packages.manifest import integrations
from actors.pubsub import PubSub
from actors.runs.conclude import announce, announce_deliveries, announce_lines
from actors.runs.events import LogEntry
from actors.runs.evidence import EvidenceRecords
from actors.runs.executions import ExecutionRecords
from actors.runs.liveness import Identity, Liveness
from actors.runs.plan import RunPlan
from actors.runtime import Address
from actors.sidecar_pool import Exit


class RunJournal:
    """Writes for one instance; what it writes is published."""

    def __init__(
        self,
        executions: ExecutionRecords,
        evidence: EvidenceRecords,
        pubsub: Address[PubSub],
        identity: Identity,
        liveness: Liveness,
    ) -> None:
        self._executions = executions
        self._evidence = evidence
        self._pubsub = pubsub
        self._identity = identity
        self._liveness = liveness

    def longest(self, plan: RunPlan) -> float:
        """Seconds for which a program may run: the time of its run, and that of its start."""
        return plan.timeout + self._liveness.boot_deadline

    async def begin(self, plan: RunPlan, waited: float) -> bool:
        """The run runs here from now on, after `waited` seconds for its slot. False when it is
        not this instance's to run any more.
        """
        now = datetime.now(UTC)
        times = (
            now + timedelta(seconds=self._liveness.boot_deadline),
            now + timedelta(seconds=self.longest(plan)),
        )
        starting = LogEntry(
            event="progress",
            level="info",
            message="agent process starting",
            data={"platform": True, "phase": "started", "slotMs": round(waited * 1000)},
        )
        told = [*map(_dropped, integrations(plan.agent.manifest)), starting]
        started = await self._executions.start(plan.run, self._identity, times, told)
        if started is None:
            return False
        announce(self._pubsub, started.run)
        announce_lines(self._pubsub, plan.application, plan.package, started.lines)
        if started.tells:
            announce_deliveries(self._pubsub)
        return True

    async def keep_exit(self, run: RunId, exit_: Exit) -> None:
        """How the program of a run ended, and the last it said."""
        await self._evidence.keep_exit(run, exit_, datetime.now(UTC))


def _dropped(integration: str) -> LogEntry:
    detail = "this version connects no integrations yet: the run goes on without its tools"
    return LogEntry(
        type="system",
        level="warn",
        event="integration_dropped",
        message=f"{integration}: {detail}",
        data={"integrationId": integration, "reason": "integration_not_active", "detail": detail},
    )
