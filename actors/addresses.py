"""Where every port answers: one typed field each, in boot order."""

from dataclasses import dataclass, fields
from typing import Any

from actors.accounts import Accounts, Applications, EndUsers, Members, Organizations
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
    Launcher,
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
from actors.runtime import Address
from actors.schedules import Scheduler, Schedules
from actors.sidecar_pool import SidecarPool
from actors.statistics import Statistics
from actors.storage import Storage
from actors.webhooks import Webhooks


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """The address book. It is handed to the HTTP layer whole; actors get what they need of it."""

    database: Address[Database]
    pubsub: Address[PubSub]
    storage: Address[Storage]
    limiter: Address[Limiter]
    queue: Address[Queue]
    audit: Address[Audit]
    statistics: Address[Statistics]
    accounts: Address[Accounts]
    organizations: Address[Organizations]
    members: Address[Members]
    applications: Address[Applications]
    end_users: Address[EndUsers]
    uploads: Address[Uploads]
    documents: Address[Documents]
    run_files: Address[RunFiles]
    file_sweeper: Address[FileSweeper]
    packages: Address[Packages]
    artifacts: Address[Artifacts]
    publisher: Address[Publisher]
    bundles: Address[Bundles]
    curator: Address[Curator]
    installations: Address[Installations]
    credentials: Address[Credentials]
    agents: Address[Agents]
    models: Address[Models]
    sidecar_pool: Address[SidecarPool]
    run_supervisor: Address[RunSupervisor]
    run_sink: Address[RunSink]
    run_tokens: Address[RunTokens]
    run_dispatcher: Address[RunDispatcher]
    run_watchdog: Address[RunWatchdog]
    run_manager: Address[RunManager]
    remote_runs: Address[RemoteRuns]
    persistence: Address[Persistence]
    launcher: Address[Launcher]
    run_log: Address[RunLog]
    run_evidence: Address[RunEvidence]
    webhooks: Address[Webhooks]
    notifications: Address[Notifications]
    idempotency: Address[Idempotency]
    retention: Address[Retention]
    schedules: Address[Schedules]
    scheduler: Address[Scheduler]
    extension_host: Address[ExtensionHost]


def new_addresses() -> Addresses:
    """An address book in which nobody answers yet."""
    names: dict[str, Any] = {each.name: Address[Any](each.name) for each in fields(Addresses)}
    return Addresses(**names)


def every_address(book: Addresses) -> list[Address[Any]]:
    """Every address, in boot order."""
    return [getattr(book, each.name) for each in fields(book)]
