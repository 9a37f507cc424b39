"""How runs come into being, whoever executes them: counted, inserted, announced."""

from datetime import datetime

import msgspec

from actors.files import DropFiles, RunFiles
from actors.ids import OrgId
from actors.limiter import Limiter, Rule, TakeTurn
from actors.pubsub import PubSub
from actors.runs.conclude import announce, announce_lines
from actors.runs.events import LogEntry
from actors.runs.plan import RunPlan
from actors.runs.records import LogLine, Run, RunRecords
from actors.runs.signing import RunSecrets
from actors.runtime import Address, LimitExceeded, Refusal, Unavailable

RETRY_SECONDS = 10


class AdmissionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How many runs an organization may launch in a minute, and have waiting."""

    per_minute: int
    most_pending: int


class Admission:
    """Turns plans into pending runs. RunManager and RemoteRuns share its rules."""

    def __init__(
        self,
        records: RunRecords,
        pubsub: Address[PubSub],
        limiter: Address[Limiter],
        secrets: RunSecrets,
        limits: AdmissionLimits,
        *,
        files: Address[RunFiles],
    ) -> None:
        self._records = records
        self._pubsub = pubsub
        self._limiter = limiter
        self._secrets = secrets
        self._files = files
        self._rule = Rule(name="launches", limit=limits.per_minute)
        self._most_pending = limits.most_pending

    async def admit(self, plan: RunPlan, expires: datetime, message: str) -> tuple[Run, str]:
        """Insert a run with the first line of its log; answers it and its signing secret.

        Its event sink is open until `expires`. Refuses with `org_run_rate_limited` when its
        organization launches too fast, and with `org_run_concurrency_exceeded` when too many of
        its runs wait. The files of a plan that is refused are gone: who tries again plans again.
        """
        try:
            run, line, secret = await self._insert(plan, expires, message)
        except Unavailable:
            raise  # whether it was inserted is not known: its files are looked for a day later
        except Refusal:
            self._files.tell(DropFiles(files=plan.files))
            raise
        announce(self._pubsub, run, "INSERT")
        announce_lines(self._pubsub, plan.application, plan.package, [line])
        return run, secret

    async def _insert(
        self, plan: RunPlan, expires: datetime, message: str
    ) -> tuple[Run, LogLine, str]:
        await self._count(plan.org)
        secret, sealed = self._secrets.new()
        first = LogEntry(
            event="progress",
            level="info",
            message=message,
            data={"platform": True, "phase": "waiting"},
        )
        launched = await self._records.launch(plan, sealed, expires, first, self._most_pending)
        if launched is None:
            raise LimitExceeded(
                f"{self._most_pending} runs of this organization wait to be started already: try "
                "again when some of them have been",
                code="org_run_concurrency_exceeded",
                retry_after=RETRY_SECONDS,
            )
        return *launched, secret

    async def _count(self, org: OrgId) -> None:
        taken = await self._limiter.ask(TakeTurn(rule=self._rule, key=org))
        taken.check("too many launches of this organization", code="org_run_rate_limited")
