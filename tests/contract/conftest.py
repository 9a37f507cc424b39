"""One synchronous fixture per implementation: it returns a factory of actors."""

from collections.abc import Callable
from pathlib import Path

import pytest

from actors.database import Database
from actors.limiter import Limiter
from actors.pubsub import PubSub
from actors.queue import Queue
from actors.schedules import Scheduler
from actors.sidecar_pool import SidecarPool
from actors.storage import Storage
from adapters.local.executor import LocalExecutor
from adapters.local.limiter import LocalLimiter
from adapters.local.pubsub import LocalPubSub
from adapters.local.queue import LocalQueue
from adapters.local.scheduler import LocalScheduler
from adapters.local.settings import LocalExecutorSettings, LocalStorageSettings
from adapters.local.sidecar_pool import LocalSidecarPool
from adapters.local.storage import LocalStorage
from adapters.postgres.database import EmbeddedDatabase, ExternalDatabase
from adapters.postgres.jobs import PostgresJobRecords
from adapters.postgres.pool import Pool
from adapters.postgres.settings import EmbeddedSettings, ExternalSettings
from appstrate.paths import MIGRATIONS
from support.postgres import Postgres, url_of


@pytest.fixture
def embedded_database(tmp_path: Path) -> tuple[Callable[[], Database], Pool]:
    settings, pool = EmbeddedSettings(root=tmp_path / "postgres"), Pool()
    return lambda: EmbeddedDatabase(pool, MIGRATIONS, settings), pool


@pytest.fixture
async def fresh_url(postgres: Postgres) -> str:
    return url_of(await postgres.fresh_database())


@pytest.fixture
def external_database(fresh_url: str) -> tuple[Callable[[], Database], Pool]:
    settings, pool = ExternalSettings(url=fresh_url), Pool()
    return lambda: ExternalDatabase(pool, MIGRATIONS, settings), pool


@pytest.fixture
def local_pubsub() -> Callable[[], PubSub]:
    return LocalPubSub


@pytest.fixture
def local_queue(pool: Pool) -> Callable[[], Queue]:
    records = PostgresJobRecords(pool)
    return lambda: LocalQueue(records)


@pytest.fixture
def local_limiter() -> Callable[[], Limiter]:
    return LocalLimiter


@pytest.fixture
def local_storage(tmp_path: Path) -> Callable[[], Storage]:
    settings = LocalStorageSettings(root=tmp_path / "blobs")
    return lambda: LocalStorage(settings)


@pytest.fixture(scope="module")
def local_scheduler() -> tuple[type[Scheduler], dict[str, str]]:
    """The class, and the variables that pick it."""
    return LocalScheduler, {}


WAITING_PROGRAM = """
import json, os, sys, time
told = json.loads(sys.stdin.buffer.readline() or b"{}")
exec(told.get("CODE", ""))
"""


@pytest.fixture
def local_sidecar_pool(tmp_path: Path) -> Callable[..., SidecarPool]:
    program = tmp_path / "program.py"
    program.write_text(WAITING_PROGRAM)
    executor = LocalExecutor(LocalExecutorSettings(root=tmp_path / "runs"), "1", program)

    def make(size: int, quiet: float = 3600) -> SidecarPool:
        return LocalSidecarPool(executor, size, quiet)

    return make
