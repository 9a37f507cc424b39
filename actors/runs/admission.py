"""How runs come into being, whoever executes them: counted, inserted, announced."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from actors.files import DropFiles, RunFiles
from actors.ids import OrgId
from actors.limiter import Limiter, Rule, TakeTurn
from actors.pubsub import PubSub
from actors.runs.conclude import announce, announce_lines
from actors.runs.events import LogEntry
from actors.runs.plan import RunPlan
from actors.runs.records import NewRun, Run, RunRecords
from actors.runs.signing import RunSecrets
from actors.runtime import Address, LimitExceeded, Refusal, Unavailable

RETRY_SECONDS = 10
AT_ONCE = 256


class AdmissionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How many runs an organization may launch in a minute, and have waiting."""

    per_minute: int
    most_pending: int


class LaunchRate:
    """How often an organization may launch, whoever of it does, and wherever runs are executed."""

    def __init__(self, limiter: Address[Limiter], per_minute: int) -> None:
        self._limiter = limiter
        self._rule = Rule(name="launches", limit=per_minute)

    async def take(self, org: OrgId) -> None:
        """Count one launch, or refuse it with `org_run_rate_limited`."""
        taken = await self._limiter.ask(TakeTurn(rule=self._rule, key=org))
        taken.check("too many launches of this organization", code="org_run_rate_limited")

    async def take_up_to(self, org: OrgId, wanted: int) -> tuple[int, float]:
        """Count as many launches as there may be now; how many, and seconds until the next."""
        taken = await self._limiter.ask(TakeTurn(rule=self._rule, key=org, cost=wanted))
        if taken.allowed:
            return wanted, 0.0
        granted = 0
        if taken.remaining:
            fewer = TakeTurn(rule=self._rule, key=org, cost=taken.remaining)
            if (await self._limiter.ask(fewer)).allowed:
                granted = taken.remaining
        one = await self._limiter.ask(TakeTurn(rule=self._rule, key=org))
        return granted + one.allowed, one.retry_after


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
        self._rate = LaunchRate(limiter, limits.per_minute)
        self._secrets = secrets
        self._files = files
        self._most_pending = limits.most_pending

    async def admit(self, plan: RunPlan, expires: datetime, message: str) -> tuple[Run, str]:
        """Insert a run with the first line of its log; answers it and its signing secret.

        Its event sink is open until `expires`. Refuses with `org_run_rate_limited` when its
        organization launches too fast, and with `org_run_concurrency_exceeded` when too many of
        its runs wait. The files of a plan that is refused are gone: who tries again plans again.
        """
        secret, new = self._new(plan, expires, message)
        try:
            return await self._admit(new), secret
        except Unavailable:
            raise  # whether it was inserted is not known: its files are looked for a day later
        except Refusal:
            self._drop([plan])
            raise

    async def _admit(self, new: NewRun) -> Run:
        await self._rate.take(new.plan.org)
        launched = await self._insert([new])
        if not launched:
            raise LimitExceeded(
                f"{self._most_pending} runs of this organization wait to be started already: try "
                "again when some of them have been",
                code="org_run_concurrency_exceeded",
                retry_after=RETRY_SECONDS,
            )
        return launched[0]

    async def admit_fires(
        self, plans: Sequence[RunPlan], expires: datetime, message: str
    ) -> list[Run]:
        """Insert runs of due times, whose launches were counted before they were planned.

        Answers those it inserted: not what is not due any more, nor what must wait because too
        many runs of its organization do; that is to be planned again.
        """
        runs = await self._insert([self._new(plan, expires, message)[1] for plan in plans])
        there = {run.id for run in runs}
        self._drop([plan for plan in plans if plan.run not in there])
        return runs

    def _drop(self, plans: Sequence[RunPlan]) -> None:
        if files := [file for plan in plans for file in plan.files]:
            self._files.tell(DropFiles(files=files))

    def _new(self, plan: RunPlan, expires: datetime, message: str) -> tuple[str, NewRun]:
        secret, sealed = self._secrets.new()
        first = LogEntry(
            event="progress",
            level="info",
            message=message,
            data={"platform": True, "phase": "waiting"},
        )
        return secret, NewRun(plan=plan, sealed_secret=sealed, expires_at=expires, first=first)

    async def _insert(self, new: Sequence[NewRun]) -> list[Run]:
        inserted: list[Run] = []
        for first in range(0, len(new), AT_ONCE):
            launched = await self._records.launch(new[first : first + AT_ONCE], self._most_pending)
            for run, line in launched:
                announce(self._pubsub, run, "INSERT")
                announce_lines(self._pubsub, run.application_id, run.package_id, [line])
            inserted += [run for run, _ in launched]
        return inserted
