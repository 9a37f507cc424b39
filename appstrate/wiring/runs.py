"""Runs, from a wish to a verdict."""

from collections.abc import Callable
from functools import partial

from actors.runs import (
    Admission,
    AdmissionLimits,
    Launcher,
    LiveRun,
    RemoteRuns,
    RunDispatcher,
    RunEndings,
    RunEvidence,
    RunJournal,
    RunLog,
    RunManager,
    RunSecrets,
    RunSink,
    RunSupervisor,
    RunTokens,
    RunWatchdog,
    environment,
)
from adapters.postgres.evidence import PostgresEvidenceRecords
from adapters.postgres.executions import PostgresExecutionRecords
from adapters.postgres.feed import PostgresFeedRecords
from adapters.postgres.notifications import PostgresNotificationRecords
from adapters.postgres.runs import PostgresRunRecords
from appstrate.wiring.means import Means


class RunWiring:
    """Factories of the actors of runs, on PostgreSQL; a pool of slots executes them."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._at = means.at
        self._settings = means.settings
        self._secrets = RunSecrets(means.vault, means.settings.keys.run_tokens)
        self._records = PostgresRunRecords(means.pool, means.settings.files.org_bytes)
        self._executions = PostgresExecutionRecords(means.pool)
        self._evidence = PostgresEvidenceRecords(means.pool)
        self._endings = RunEndings(self._records, means.at.pubsub)
        self._admission = Admission(
            *(self._records, means.at.pubsub, means.at.limiter, self._secrets),
            AdmissionLimits(
                per_minute=means.settings.limits.per_org_global_rate_per_min,
                most_pending=means.settings.limits.max_pending_per_org,
            ),
            files=means.at.run_files,
        )

    def supervisor(self) -> Callable[[], RunSupervisor]:
        return partial(RunSupervisor, self._live_run(), self._endings, self._settings.capacity)

    def _live_run(self) -> Callable[..., LiveRun]:
        return partial(
            LiveRun,
            journal=RunJournal(
                *(self._executions, self._evidence, self._at.pubsub),
                *(self._means.identity, self._settings.liveness),
            ),
            endings=self._endings,
            pool=self._at.sidecar_pool,
            environment=partial(
                environment,
                places=self._means.places,
                secrets=self._secrets,
                tool_result_bytes=self._settings.tool_result_bytes,
                document_bytes=self._settings.files.file_bytes,
                heartbeat_seconds=self._settings.liveness.heartbeat,
            ),
        )

    def sink(self) -> Callable[[], RunSink]:
        return partial(
            RunSink,
            self._records,
            self._at.pubsub,
            self._at.run_supervisor,
            self._secrets,
            signature_seconds=self._settings.signature_seconds,
            limiter=self._at.limiter,
            event_limits=self._settings.event_limits,
        )

    def tokens(self) -> Callable[[], RunTokens]:
        return partial(RunTokens, self._records, self._secrets)

    def dispatcher(self) -> Callable[[], RunDispatcher]:
        return partial(
            RunDispatcher,
            self._executions,
            self._endings,
            self._at.run_supervisor,
            secrets=self._secrets,
            identity=self._means.identity,
            most_of_organization=self._settings.limits.max_concurrent_per_org,
        )

    def watchdog(self) -> Callable[[], RunWatchdog]:
        return partial(
            RunWatchdog,
            self._executions,
            self._endings,
            self._at.run_supervisor,
            identity=self._means.identity,
            liveness=self._settings.liveness,
        )

    def manager(self) -> Callable[[], RunManager]:
        return partial(
            RunManager,
            self._records,
            self._endings,
            self._at.run_supervisor,
            self._at.run_dispatcher,
            self._admission,
        )

    def remote(self) -> Callable[[], RemoteRuns]:
        return partial(
            RemoteRuns,
            self._records,
            self._admission,
            self._settings.remote_limits,
            self._means.places.public_url,
        )

    def launcher(self) -> Callable[[], Launcher]:
        return partial(
            Launcher,
            self._at.packages,
            self._at.agents,
            self._at.models,
            self._records,
            persistence=self._at.persistence,
            files=self._at.run_files,
            limits=self._settings.limits,
            inline_limits=self._settings.inline_limits,
        )

    def log(self) -> Callable[[], RunLog]:
        pool = self._means.pool
        notifications = PostgresNotificationRecords(pool)
        return partial(RunLog, self._records, PostgresFeedRecords(pool), notifications)

    def evidence(self) -> Callable[[], RunEvidence]:
        return partial(RunEvidence, self._evidence, self._at.run_log)
