"""The two Databases: one that starts its own PostgreSQL, one that finds it at a URL."""

import asyncio
import time
from abc import abstractmethod
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import structlog

from actors.database import Database, DatabaseHealth
from adapters.postgres.embedded import EmbeddedPostgres
from adapters.postgres.migrate import migrate
from adapters.postgres.pool import Pool
from adapters.postgres.settings import EmbeddedSettings, ExternalSettings

log = structlog.get_logger("database")


class DatabaseLost(Exception):  # noqa: N818 - an event that crashes the actor, on purpose
    """The embedded server process ended on its own."""


class PostgresDatabase(Database):
    """Opens the pool, migrates, answers health checks. Subclasses know where the server is."""

    embedded: bool

    def __init__(self, pool: Pool, migrations: Path) -> None:
        super().__init__()
        self._pool = pool
        self._migrations = migrations

    async def started(self) -> None:
        await self.connect()
        await migrate(self._pool, self._migrations)

    async def stopped(self) -> None:
        await self._pool.close()

    @abstractmethod
    async def connect(self) -> None: ...

    async def check(self) -> DatabaseHealth:
        began = time.perf_counter()
        version = await self._pool.fetchval("SHOW server_version")
        elapsed = (time.perf_counter() - began) * 1000
        return DatabaseHealth(latency_ms=elapsed, version=version, embedded=self.embedded)


class EmbeddedDatabase(PostgresDatabase):
    """PostgreSQL in a folder of ours; its process lives and dies with this actor."""

    embedded = True

    def __init__(self, pool: Pool, migrations: Path, settings: EmbeddedSettings) -> None:
        super().__init__(pool, migrations)
        self._server = EmbeddedPostgres(settings.root)

    async def connect(self) -> None:
        # Beginning anew is for the first start: later, what is missing was taken away.
        connect = await self._server.start(may_initialize=not self._pool.was_open)
        await self._pool.open(**connect)
        self.own(self._watch(), "watch")

    async def stopped(self) -> None:
        await super().stopped()
        await self._server.stop()

    async def _watch(self) -> None:
        await self._server.exited()
        raise DatabaseLost(f"PostgreSQL ended: {self._server.log_tail()[-300:]}")


class ExternalDatabase(PostgresDatabase):
    """The PostgreSQL at `DATABASE_URL`, waited for while it boots."""

    embedded = False

    def __init__(self, pool: Pool, migrations: Path, settings: ExternalSettings) -> None:
        super().__init__(pool, migrations)
        self._settings = settings

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.wait
        where = _without_password(self._settings.url)
        while True:
            try:
                await self._pool.open(dsn=self._settings.url, timeout=10)
            except (OSError, TimeoutError, asyncpg.PostgresError) as error:
                if not _worth_waiting(error) or loop.time() >= deadline:
                    raise ConnectionError(
                        f"DATABASE_URL: cannot use PostgreSQL at {where}: {_reason(error)}"
                    ) from error
                log.warning("waiting for DATABASE_URL", at=where, why=_reason(error))
                await asyncio.sleep(1)
            else:
                return


def _worth_waiting(error: Exception) -> bool:
    # A wrong password or a missing database does not mend itself; a server that boots does.
    refused: tuple[Any, ...] = (
        asyncpg.InvalidAuthorizationSpecificationError,
        asyncpg.InvalidCatalogNameError,
    )
    return not isinstance(error, refused)


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def _without_password(url: str) -> str:
    """Host, port and database: whatever a user name, password or option may be is left out."""
    parts = urlsplit(url)
    return (parts.netloc.rpartition("@")[2] or "the default socket") + parts.path
