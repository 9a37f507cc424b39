"""The one place that picks the class behind each address.

`plan` starts from what needs nothing but this process and its disk, and applies one function per
variable that is set. The order of the fields is the order of boot; shutdown is the reverse.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from actors.accounts import Accounts, Applications, EndUsers, Members, Organizations
from actors.addresses import Addresses
from actors.agents import Agents
from actors.audit import Audit
from actors.database import Database
from actors.extension_host import ExtensionHost
from actors.files import Documents, FileBlobs, FileSweeper, FileTokens, RunFiles, Uploads
from actors.idempotency import Idempotency
from actors.limiter import Limiter
from actors.models import Credentials, Models, built_in
from actors.notifications import Notifications
from actors.packages import Artifacts, Bundles, Curator, Installations, Packages, Publisher
from actors.persistence import Persistence
from actors.pubsub import PubSub
from actors.queue import Queue
from actors.retention import Retention
from actors.runs import (
    Admission,
    AdmissionLimits,
    Identity,
    Launcher,
    LiveRun,
    Places,
    RemoteRuns,
    RunDispatcher,
    RunEvidence,
    RunLog,
    RunManager,
    RunSecrets,
    RunSink,
    RunSupervisor,
    RunWatchdog,
    environment,
)
from actors.runtime import Child
from actors.schedules import Scheduler, Schedules
from actors.sidecar_pool import SidecarPool
from actors.statistics import Statistics
from actors.storage import Storage
from actors.vault import Vault
from actors.webhooks import Webhooks
from adapters.local.executor import LIBRARIES, LocalExecutor
from adapters.local.limiter import LocalLimiter
from adapters.local.pubsub import LocalPubSub
from adapters.local.queue import LocalQueue
from adapters.local.sandbox import Sandbox
from adapters.local.scheduler import LocalScheduler
from adapters.local.sender import HttpSender
from adapters.local.sidecar_pool import LocalSidecarPool
from adapters.local.storage import LocalStorage
from adapters.local.trial import Found, find_sandbox
from adapters.postgres import files
from adapters.postgres.accounts import PostgresAccountRecords
from adapters.postgres.agents import PostgresSetupRecords
from adapters.postgres.applications import PostgresApplicationRecords
from adapters.postgres.audit import PostgresAuditRecords
from adapters.postgres.bundles import PostgresBundleRecords
from adapters.postgres.credentials import PostgresCredentialRecords
from adapters.postgres.curation import PostgresCurationRecords
from adapters.postgres.end_users import PostgresEndUserRecords
from adapters.postgres.evidence import PostgresEvidenceRecords
from adapters.postgres.executions import PostgresExecutionRecords
from adapters.postgres.feed import PostgresFeedRecords
from adapters.postgres.idempotency import PostgresIdempotencyRecords
from adapters.postgres.installations import PostgresInstallationRecords
from adapters.postgres.jobs import PostgresJobRecords
from adapters.postgres.members import PostgresMemberRecords
from adapters.postgres.models import PostgresModelRecords
from adapters.postgres.notifications import PostgresNotificationRecords
from adapters.postgres.organizations import PostgresOrganizationRecords
from adapters.postgres.packages import PostgresPackageRecords
from adapters.postgres.persistence import PostgresPersistenceRecords
from adapters.postgres.pool import Pool
from adapters.postgres.publications import PostgresPublicationRecords
from adapters.postgres.retention import PostgresRetentionRecords
from adapters.postgres.run_files import PostgresRunFileRecords
from adapters.postgres.runs import PostgresRunRecords
from adapters.postgres.schedules import PostgresScheduleRecords
from adapters.postgres.settings import EmbeddedSettings, ExternalSettings
from adapters.postgres.statistics import PostgresStatisticsRecords
from adapters.postgres.webhooks import PostgresWebhookRecords
from appstrate.extensions.installed import InstalledExtensions
from appstrate.paths import MIGRATIONS
from appstrate.settings import Settings
from appstrate.sidecar.model_probe import HttpModelProbe

AGENT_PROGRAM = Path(__file__).with_name("agent") / "__main__.py"
AGENT_PARTS = (AGENT_PROGRAM.parent, Path(__file__).with_name("__init__.py"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to boot, in this order. A factory is called anew for each incarnation."""

    database: Callable[[], Database]
    pubsub: Callable[[], PubSub]
    storage: Callable[[], Storage]
    limiter: Callable[[], Limiter]
    queue: Callable[[], Queue]
    audit: Callable[[], Audit]
    statistics: Callable[[], Statistics]
    accounts: Callable[[], Accounts]
    organizations: Callable[[], Organizations]
    members: Callable[[], Members]
    applications: Callable[[], Applications]
    end_users: Callable[[], EndUsers]
    uploads: Callable[[], Uploads]
    documents: Callable[[], Documents]
    run_files: Callable[[], RunFiles]
    file_sweeper: Callable[[], FileSweeper]
    packages: Callable[[], Packages]
    artifacts: Callable[[], Artifacts]
    publisher: Callable[[], Publisher]
    bundles: Callable[[], Bundles]
    curator: Callable[[], Curator]
    installations: Callable[[], Installations]
    credentials: Callable[[], Credentials]
    agents: Callable[[], Agents]
    models: Callable[[], Models]
    sidecar_pool: Callable[[], SidecarPool]
    run_supervisor: Callable[[], RunSupervisor]
    run_sink: Callable[[], RunSink]
    run_dispatcher: Callable[[], RunDispatcher]
    run_watchdog: Callable[[], RunWatchdog]
    run_manager: Callable[[], RunManager]
    remote_runs: Callable[[], RemoteRuns]
    persistence: Callable[[], Persistence]
    launcher: Callable[[], Launcher]
    run_log: Callable[[], RunLog]
    run_evidence: Callable[[], RunEvidence]
    webhooks: Callable[[], Webhooks]
    notifications: Callable[[], Notifications]
    idempotency: Callable[[], Idempotency]
    retention: Callable[[], Retention]
    schedules: Callable[[], Schedules]
    scheduler: Callable[[], Scheduler]
    extension_host: Callable[[], ExtensionHost]

    def children(self, at: Addresses) -> list[Child[Any]]:
        """The plan as the children of a supervisor."""
        names = [each.name for each in fields(self)]
        return [Child(address=getattr(at, n), factory=getattr(self, n)) for n in names]


def plan(
    settings: Settings,
    at: Addresses,
    identity: Identity,
    places: Callable[[], Places],
    sandbox: Sandbox | None = None,
) -> Plan:
    """What to boot for these settings."""
    pool = Pool()
    executor = LocalExecutor(
        settings.executor,
        identity.instance,
        AGENT_PROGRAM,
        sandbox=sandbox,
        ports=lambda: places().ports,
    )
    chosen = in_process(settings, at, identity, places, (pool, executor))
    if isinstance(settings.database, ExternalSettings):
        chosen = with_database(chosen, settings.database, pool)
    return chosen


def walls(settings: Settings) -> Found:
    """The walls around runs that this host allows. Raises `SandboxError`; takes a moment."""
    return find_sandbox(settings.executor, AGENT_PROGRAM, LIBRARIES, AGENT_PARTS)


def in_process(
    settings: Settings,
    at: Addresses,
    identity: Identity,
    places: Callable[[], Places],
    means: tuple[Pool, LocalExecutor],
) -> Plan:
    """Nothing installed: an embedded database, this process, this disk."""
    from adapters.postgres.database import EmbeddedDatabase

    pool, executor = means
    keys = settings.keys
    vault = Vault(keys.encryption, keys.encryption_active)
    probe = HttpModelProbe(settings.egress)
    system_models = built_in(settings.system_models, vault.seal)
    blobs = FileBlobs(at.storage, at.queue)
    tokens = FileTokens(keys.uploads)
    secrets = RunSecrets(vault, keys.run_tokens)
    runs = PostgresRunRecords(pool, settings.files.org_bytes)
    evidence = PostgresEvidenceRecords(pool)
    schedules = PostgresScheduleRecords(pool)
    admission = Admission(
        *(runs, at.pubsub, at.limiter, secrets),
        AdmissionLimits(
            per_minute=settings.limits.per_org_global_rate_per_min,
            most_pending=settings.limits.max_pending_per_org,
        ),
    )
    executions = PostgresExecutionRecords(pool)
    notifications = PostgresNotificationRecords(pool)
    packages = PostgresPackageRecords(pool)
    live_run = partial(
        LiveRun,
        records=runs,
        executions=executions,
        pubsub=at.pubsub,
        pool=at.sidecar_pool,
        environment=partial(
            environment,
            places=places,
            secrets=secrets,
            tool_result_bytes=settings.tool_result_bytes,
            document_bytes=settings.files.file_bytes,
            heartbeat_seconds=settings.liveness.heartbeat,
        ),
        identity=identity,
        liveness=settings.liveness,
        evidence=evidence,
    )
    embedded = settings.database
    if isinstance(embedded, ExternalSettings):
        embedded = EmbeddedSettings(root=settings.data_dir / "postgres")
    return Plan(
        database=partial(EmbeddedDatabase, pool, MIGRATIONS, embedded),
        pubsub=LocalPubSub,
        storage=partial(LocalStorage, settings.storage),
        limiter=LocalLimiter,
        queue=partial(LocalQueue, PostgresJobRecords(pool)),
        audit=partial(Audit, PostgresAuditRecords(pool)),
        statistics=partial(Statistics, PostgresStatisticsRecords(pool)),
        accounts=partial(Accounts, PostgresAccountRecords(pool), settings.access),
        organizations=partial(
            Organizations,
            PostgresOrganizationRecords(pool, settings.files.org_bytes),
            at.accounts,
            settings.access,
        ),
        members=partial(Members, PostgresMemberRecords(pool), at.accounts, settings.access),
        applications=partial(Applications, PostgresApplicationRecords(pool), at.accounts),
        end_users=partial(EndUsers, PostgresEndUserRecords(pool), at.accounts),
        uploads=partial(Uploads, files.PostgresUploadRecords(pool), blobs, tokens, settings.files),
        documents=partial(Documents, files.PostgresDocumentRecords(pool), at.storage, tokens),
        run_files=partial(
            RunFiles, PostgresRunFileRecords(pool), blobs, at.storage, at.limiter, settings.files
        ),
        file_sweeper=partial(FileSweeper, files.PostgresSweepRecords(pool), at.storage, at.queue),
        packages=partial(
            Packages,
            packages,
            settings.limits.timeout_ceiling_seconds,
        ),
        artifacts=partial(Artifacts, packages, at.storage),
        publisher=partial(
            Publisher,
            PostgresPublicationRecords(pool),
            packages,
            at.storage,
            settings.system_packages,
            settings.trust,
        ),
        bundles=partial(
            Bundles,
            PostgresBundleRecords(pool),
            at.storage,
            at.packages,
            trust=settings.trust,
            limits=settings.bundle_limits,
        ),
        curator=partial(Curator, PostgresCurationRecords(pool), packages, at.storage),
        installations=partial(Installations, PostgresInstallationRecords(pool)),
        credentials=partial(
            Credentials,
            *(PostgresCredentialRecords(pool), vault, settings.egress, probe, system_models),
            skipped=settings.system_models.skipped,
        ),
        models=partial(Models, PostgresModelRecords(pool), at.credentials, probe, system_models),
        agents=partial(Agents, PostgresSetupRecords(pool), at.packages),
        sidecar_pool=partial(LocalSidecarPool, executor, settings.pool_size),
        run_supervisor=partial(RunSupervisor, live_run, runs, at.pubsub, settings.capacity),
        run_sink=partial(
            RunSink,
            runs,
            at.pubsub,
            at.run_supervisor,
            secrets,
            signature_seconds=settings.signature_seconds,
            limiter=at.limiter,
            event_limits=settings.event_limits,
        ),
        run_dispatcher=partial(
            RunDispatcher,
            runs,
            executions,
            at.run_supervisor,
            pubsub=at.pubsub,
            secrets=secrets,
            identity=identity,
            most_of_organization=settings.limits.max_concurrent_per_org,
        ),
        run_watchdog=partial(
            RunWatchdog,
            runs,
            executions,
            at.pubsub,
            at.run_supervisor,
            identity=identity,
            liveness=settings.liveness,
        ),
        run_manager=partial(
            RunManager,
            runs,
            at.pubsub,
            at.run_supervisor,
            at.run_dispatcher,
            admission,
        ),
        remote_runs=partial(
            RemoteRuns,
            runs,
            admission,
            settings.remote_limits,
            url=lambda: places().public_url,
        ),
        persistence=partial(Persistence, PostgresPersistenceRecords(pool), at.packages),
        launcher=partial(
            Launcher,
            at.packages,
            at.agents,
            at.models,
            runs,
            persistence=at.persistence,
            files=at.run_files,
            limits=settings.limits,
            inline_limits=settings.inline_limits,
        ),
        run_log=partial(RunLog, runs, PostgresFeedRecords(pool), notifications),
        run_evidence=partial(RunEvidence, evidence, at.run_log),
        webhooks=partial(
            Webhooks,
            PostgresWebhookRecords(pool),
            HttpSender(settings.webhook_egress),
            vault,
            settings.webhook_egress,
            queue=at.queue,
            pubsub=at.pubsub,
        ),
        notifications=partial(Notifications, notifications),
        idempotency=partial(Idempotency, PostgresIdempotencyRecords(pool), vault, identity),
        retention=partial(Retention, PostgresRetentionRecords(pool), at.queue, settings.retention),
        schedules=partial(
            Schedules,
            schedules,
            notifications,
            members=at.members,
            packages=at.packages,
            launcher=at.launcher,
            runs=at.run_manager,
        ),
        scheduler=partial(
            LocalScheduler,
            schedules,
            pubsub=at.pubsub,
            members=at.members,
            launcher=at.launcher,
            runs=at.run_manager,
            grace=timedelta(seconds=settings.misfire_grace),
        ),
        extension_host=partial(InstalledExtensions, settings.extensions, at),
    )


def with_database(chosen: Plan, settings: ExternalSettings, pool: Pool) -> Plan:
    """`DATABASE_URL` is set: the PostgreSQL there replaces the embedded one."""
    from adapters.postgres.database import ExternalDatabase

    return replace(chosen, database=partial(ExternalDatabase, pool, MIGRATIONS, settings))
