"""What runs are made of, and what is kept of them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, Protocol

import msgspec

from actors.contract import Resource, spell
from actors.events import TEXT_LIMIT, RunLine, RunUpdate
from actors.ids import (
    ApiKeyId,
    ApplicationId,
    CredentialId,
    EndUserId,
    OrgId,
    PackageId,
    RunId,
    ScheduleId,
    UserId,
)
from actors.persistence import Viewer
from actors.runs.events import Effects, LogEntry, RunEvent
from actors.runs.finalize import Report
from actors.runs.ledger import Totals
from actors.runs.plan import RunPlan

STREAM_DATA_LIMIT = 6000


class DocumentCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many files went into a run and came out of it."""

    input: int = 0
    output: int = 0


class Run(Resource, frozen=True, rename=spell):
    """A run as clients see it. Times are UTC, durations milliseconds, costs US dollars."""

    id: RunId
    package_id: PackageId | None
    user_id: UserId | None
    api_key_id: ApiKeyId | None
    org_id: OrgId
    application_id: ApplicationId
    status: str
    input: dict[str, Any] | None
    result: dict[str, Any] | None
    artifacts: dict[str, Any] | None
    checkpoint: Any
    error: str | None
    metadata: dict[str, Any] | None
    started_at: datetime = msgspec.field(name="started_at")
    completed_at: datetime | None = msgspec.field(name="completed_at")
    duration: int | None
    cost: float | None
    cost_pricing_status: str | None
    run_number: int
    token_usage: dict[str, int] | None
    version_label: str
    version_ref: str
    model_label: str | None
    model_source: str | None
    runner_name: str | None
    runner_kind: str | None
    agent_scope: str
    agent_name: str
    run_origin: str
    model_credential_id: CredentialId | None
    user_name: str | None
    api_key_name: str | None
    end_user_id: EndUserId | None = None
    end_user_name: str | None = None
    schedule_id: str | None = None
    schedule_name: str | None = None
    proxy_label: str | None = None
    generation: dict[str, Any] | None = None
    generation_override: dict[str, Any] | None = None
    context_snapshot: dict[str, Any] | None = None
    connection_overrides: dict[str, str] | None = None
    dependency_overrides: dict[str, str] | None = None
    primary_document_id: str | None = msgspec.field(default=None, name="primary_document_id")
    package_ephemeral: bool = False
    document_counts: DocumentCounts = DocumentCounts()
    inline_manifest: dict[str, Any] | None = None
    inline_prompt: str | None = None
    connections_used: list[Any] | None = None
    unread: bool = False

    @property
    def ended(self) -> bool:
        """Whether the run will never change again."""
        return self.status not in ("pending", "running")

    def update(self, operation: Literal["INSERT", "UPDATE"]) -> RunUpdate:
        """This run as streams show it."""
        return RunUpdate(
            operation=operation,
            id=self.id,
            package_id=self.package_id,
            status=self.status,
            user_id=self.user_id,
            end_user_id=self.end_user_id,
            org_id=self.org_id,
            application_id=self.application_id,
            error=self.error[:TEXT_LIMIT] if self.error else None,
            started_at=self.started_at,
            completed_at=self.completed_at,
            duration=self.duration,
        )


class LogLine(Resource, frozen=True, rename=spell):
    """A line of a run's log; `id` orders the lines of a run and is the cursor of readers."""

    id: int
    run_id: RunId
    org_id: OrgId
    type: str
    level: str
    event: str | None
    message: str | None
    data: Any
    created_at: datetime
    position: int = 0

    def for_stream(self, application: ApplicationId) -> RunLine:
        """This line as streams show it: bounded text, bounded data."""
        data = self.data
        if data is not None and len(msgspec.json.encode(data)) > STREAM_DATA_LIMIT:
            data = "[payload too large]"
        return RunLine(
            id=self.id,
            run_id=self.run_id,
            org_id=self.org_id,
            application_id=application,
            type=self.type,
            level=self.level,
            event=self.event,
            message=self.message[:TEXT_LIMIT] if self.message else None,
            data=data,
            created_at=self.created_at,
        )


class RunFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What serving a run's own requests needs. The secret is sealed as it is in the database.

    `awaited` tells that it is executed elsewhere and has not been heard of yet.
    """

    run: RunId
    org: OrgId
    application: ApplicationId
    package: PackageId | None
    sealed_secret: str
    expires_at: datetime
    closed: bool
    awaited: bool = False


class Ingested(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an event.

    `lines` are the log lines it made, its released successors' included, in order. `totals` are
    there when one of them told of tokens. `closed` tells that the run has ended; nothing was stored
    then.
    """

    outcome: Literal["persisted", "buffered", "replay"]
    closed: bool = False
    lines: list[LogLine] = msgspec.field(default_factory=list[LogLine])
    totals: Totals | None = None


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """A run that this call has started, and the log lines that were written with it.

    `tells` means that jobs were added which tell webhooks of it.
    """

    run: Run
    lines: list[LogLine]
    tells: bool


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """A run that this call has ended, and the log lines that were written with it.

    `tells` means that jobs were added which tell webhooks of it.
    """

    run: Run
    lines: list[LogLine]
    tells: bool = False


class NewRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run to be inserted: its sink is open until `expires_at`, `first` begins its log."""

    plan: RunPlan
    sealed_secret: str
    expires_at: datetime
    first: LogEntry


class RunQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs of an application to list, newest first.

    `ephemeral` chooses inline runs, or the others; `since` and `until` are when they were created,
    the first included and the second not.
    """

    limit: int
    offset: int = 0
    package: PackageId | None = None
    status: str | None = None
    user: UserId | None = None
    end_user: EndUserId | None = None
    ephemeral: bool | None = None
    schedule: ScheduleId | None = None
    since: datetime | None = None
    until: datetime | None = None


class RunPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of runs, and how many there are in all."""

    runs: list[Run]
    total: int


class RunRecords(Protocol):
    """Where runs are kept. Each method is one transaction.

    Every line added to a run's log holds the run's sink row first, so the lines of one run commit
    in the order of their ids.
    """

    async def launch(self, new: Sequence[NewRun], most_pending: int) -> list[tuple[Run, LogLine]]:
        """Insert pending runs, each with its number, its sink and the first line of its log.

        Answers those it inserted, in their order. Left out is what comes of a due time that is not
        due any more, and what would make more than `most_pending` of its organization wait.
        """
        ...

    async def begin(self, run: RunId, now: datetime) -> Started | None:
        """Pending → running, for a run that is executed elsewhere. None when it is not pending."""
        ...

    async def extend(
        self, org: OrgId, application: ApplicationId, run: RunId, expires_at: datetime
    ) -> bool:
        """Let the sink of a run stay open until `expires_at`; that is a sign of life, too.

        False when it is closed, or there is none.
        """
        ...

    async def facts(self, run: RunId) -> RunFacts | None:
        """What serving the run's own requests needs."""
        ...

    async def viewer(self, run: RunId) -> tuple[str, Viewer] | None:
        """The status of a run, and as whom it looks at what its agent keeps.

        None when there is no such run, or its agent is gone.
        """
        ...

    async def plan(self, run: RunId) -> RunPlan | None:
        """What a run that has not ended executes."""
        ...

    async def ingest(
        self, run: RunId, message_id: str, event: RunEvent, effects: Effects
    ) -> Ingested:
        """Take an event if it is the next in line, once per message id; keep an early one.

        `effects` is what the event leaves behind; those of early events are worked out again when
        they are released. Refuses with `Unavailable` when 1000 early ones wait.
        """
        ...

    async def touch(self, run: RunId) -> bool:
        """Note a sign of life. False when the run has ended."""
        ...

    async def finalize(self, run: RunId, report: Report, now: datetime) -> Ended | None:
        """Decide and write the verdict, unless somebody has. None when somebody has."""
        ...

    async def abandon(self, run: RunId, error: str, now: datetime) -> Ended | None:
        """End a run as failed, looking at nothing it left. None when it had ended."""
        ...

    async def delete(
        self, org: OrgId, application: ApplicationId, run: RunId
    ) -> Literal["deleted", "active", "read", "missing"]:
        """Delete a run that has ended, with all that is about it but what it has cost. One whose
        documents an active run reads stays.
        """
        ...

    async def delete_all(
        self, org: OrgId, application: ApplicationId, package: PackageId
    ) -> int | Literal["active", "read"]:
        """Delete every run of an agent; how many. Nothing is while one is active, or read."""
        ...

    async def run(self, org: OrgId, application: ApplicationId, run: RunId) -> Run | None:
        """One run of an application."""
        ...

    async def runs(self, org: OrgId, application: ApplicationId, query: RunQuery) -> RunPage:
        """Some runs of an application, newest first."""
        ...

    async def logs(
        self, org: OrgId, run: RunId, since: int, levels: list[str], limit: int
    ) -> list[LogLine]:
        """Lines of a run's log with an id above `since`, ascending."""
        ...
