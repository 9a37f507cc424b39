"""The one place that picks the class behind each address.

`plan` starts from what needs nothing but this process and its disk, and applies one function per
variable that is set. The order of the fields is the order of boot; shutdown is the reverse.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from actors.accounts import Accounts, Applications, EndUsers, Members, Organizations
from actors.addresses import Addresses
from actors.agents import Agents
from actors.audit import Audit
from actors.database import Database
from actors.extension_host import ExtensionHost
from actors.files import Documents, FileSweeper, RunFiles, Uploads
from actors.idempotency import Idempotency
from actors.limiter import Limiter
from actors.models import Credentials, Models
from actors.notifications import Notifications
from actors.packages import Artifacts, Bundles, Curator, Installations, Packages, Publisher
from actors.persistence import Persistence
from actors.pubsub import PubSub
from actors.queue import Queue
from actors.retention import Retention
from actors.runs import (
    Identity,
    Launcher,
    Places,
    RemoteRuns,
    RunDispatcher,
    RunEvidence,
    RunLog,
    RunManager,
    RunSink,
    RunSupervisor,
    RunTokens,
    RunWatchdog,
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
from adapters.local.sidecar_pool import LocalSidecarPool
from adapters.local.storage import LocalStorage
from adapters.local.trial import Found, find_sandbox
from adapters.postgres.agents import PostgresSetupRecords
from adapters.postgres.audit import PostgresAuditRecords
from adapters.postgres.idempotency import PostgresIdempotencyRecords
from adapters.postgres.jobs import PostgresJobRecords
from adapters.postgres.notifications import PostgresNotificationRecords
from adapters.postgres.persistence import PostgresPersistenceRecords
from adapters.postgres.pool import Pool
from adapters.postgres.settings import EmbeddedSettings, ExternalSettings
from adapters.postgres.statistics import PostgresStatisticsRecords
from appstrate.extensions.installed import InstalledExtensions
from appstrate.paths import MIGRATIONS
from appstrate.settings import Settings
from appstrate.wiring.accounts import AccountWiring
from appstrate.wiring.automation import AutomationWiring
from appstrate.wiring.files import FileWiring
from appstrate.wiring.means import Means
from appstrate.wiring.models import ModelWiring
from appstrate.wiring.packages import PackageWiring
from appstrate.wiring.runs import RunWiring

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
    run_tokens: Callable[[], RunTokens]
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
    places: Places,
    sandbox: Callable[[], Awaitable[Sandbox]],
) -> Plan:
    """What to boot for these settings. `sandbox` is asked for each slot of a run."""
    pool = Pool()
    executor = LocalExecutor(
        settings.executor,
        identity.instance,
        AGENT_PROGRAM,
        sandbox=sandbox,
        ports=places.ports,
    )
    means = Means(
        settings=settings,
        at=at,
        identity=identity,
        places=places,
        pool=pool,
        executor=executor,
        vault=Vault(settings.keys.encryption, settings.keys.encryption_active),
    )
    chosen = in_process(means)
    if isinstance(settings.database, ExternalSettings):
        chosen = with_database(chosen, settings.database, pool)
    return chosen


def walls(settings: Settings) -> Found:
    """The walls around runs that this host allows. Raises `SandboxError`; takes a moment."""
    return find_sandbox(settings.executor, AGENT_PROGRAM, LIBRARIES, AGENT_PARTS)


def in_process(means: Means) -> Plan:
    """Nothing installed: an embedded database, this process, this disk."""
    from adapters.postgres.database import EmbeddedDatabase

    settings, at, pool = means.settings, means.at, means.pool
    embedded = settings.database
    if isinstance(embedded, ExternalSettings):
        embedded = EmbeddedSettings(root=settings.data_dir / "postgres")
    people, files = AccountWiring(means), FileWiring(means)
    packages, models = PackageWiring(means), ModelWiring(means)
    runs, automation = RunWiring(means), AutomationWiring(means)
    return Plan(
        database=partial(EmbeddedDatabase, pool, MIGRATIONS, embedded),
        pubsub=LocalPubSub,
        storage=partial(LocalStorage, settings.storage),
        limiter=LocalLimiter,
        queue=partial(LocalQueue, PostgresJobRecords(pool)),
        audit=partial(Audit, PostgresAuditRecords(pool)),
        statistics=partial(Statistics, PostgresStatisticsRecords(pool), at.pubsub),
        accounts=people.accounts(),
        organizations=people.organizations(),
        members=people.members(),
        applications=people.applications(),
        end_users=people.end_users(),
        uploads=files.uploads(),
        documents=files.documents(),
        run_files=files.run_files(),
        file_sweeper=files.sweeper(),
        packages=packages.packages(),
        artifacts=packages.artifacts(),
        publisher=packages.publisher(),
        bundles=packages.bundles(),
        curator=packages.curator(),
        installations=packages.installations(),
        credentials=models.credentials(),
        models=models.models(),
        agents=partial(Agents, PostgresSetupRecords(pool), at.packages),
        sidecar_pool=partial(LocalSidecarPool, means.executor, settings.pool_size),
        run_supervisor=runs.supervisor(),
        run_sink=runs.sink(),
        run_tokens=runs.tokens(),
        run_dispatcher=runs.dispatcher(),
        run_watchdog=runs.watchdog(),
        run_manager=runs.manager(),
        remote_runs=runs.remote(),
        persistence=partial(Persistence, PostgresPersistenceRecords(pool), at.packages),
        launcher=runs.launcher(),
        run_log=runs.log(),
        run_evidence=runs.evidence(),
        webhooks=automation.webhooks(),
        notifications=partial(Notifications, PostgresNotificationRecords(pool)),
        idempotency=partial(
            Idempotency, PostgresIdempotencyRecords(pool), means.vault, means.identity
        ),
        retention=automation.retention(),
        schedules=automation.schedules(),
        scheduler=automation.scheduler(),
        extension_host=partial(InstalledExtensions, settings.extensions, at),
    )


def with_database(chosen: Plan, settings: ExternalSettings, pool: Pool) -> Plan:
    """`DATABASE_URL` is set: the PostgreSQL there replaces the embedded one."""
    from adapters.postgres.database import ExternalDatabase

    return replace(chosen, database=partial(ExternalDatabase, pool, MIGRATIONS, settings))
