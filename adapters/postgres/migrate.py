"""Forward-only migrations: numbered SQL files, checksummed, applied at every boot.

A file is `NNNN_name.sql`. Each runs in a transaction of its own, under a transaction-scoped
advisory lock, so several instances may boot at once and a connection pooler between us and the
server changes nothing. A file whose first line is `-- compatible` promises that the release
before it works on the result; a database that is newer than this code boots only if every
migration unknown here made that promise.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import structlog

from adapters.postgres.pool import Pool

log = structlog.get_logger("migrations")

LOCK = 7246811234567890
FILE_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version    integer PRIMARY KEY,
    name       text NOT NULL,
    checksum   text NOT NULL,
    compatible boolean NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


class MigrationError(Exception):
    """The database does not fit this version of the program; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of its text, in hex."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def compatible(self) -> bool:
        """Whether the release before this migration works on its result."""
        return self.sql.startswith("-- compatible\n")


def read_migrations(folder: Path) -> list[Migration]:
    """Every migration in `folder`, in order; versions count from 1 without a gap."""
    found: list[Migration] = []
    for path in sorted(folder.glob("*.sql")):
        match = FILE_NAME.fullmatch(path.name)
        if match is None:
            raise MigrationError(f"{path} is not named like 0001_initial.sql")
        found.append(Migration(int(match[1]), match[2], path.read_text()))
    if not found:
        raise MigrationError(f"there are no migrations in {folder}: the installation is damaged")
    if [m.version for m in found] != list(range(1, len(found) + 1)):
        raise MigrationError(f"the migrations in {folder} do not count 0001, 0002, … without a gap")
    return found


async def migrate(pool: Pool, folder: Path) -> list[str]:
    """Bring the schema up to date and return the names of what was applied, in order."""
    migrations = read_migrations(folder)
    applied: list[str] = []
    while True:
        async with pool.transaction() as connection:
            await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
            await connection.execute(LEDGER)
            rows = await connection.fetch("SELECT * FROM schema_migrations ORDER BY version")
            _compare(migrations, rows)
            if len(rows) >= len(migrations):
                return applied
            migration = migrations[len(rows)]
            await _apply(connection, migration)
        log.info("migration applied", version=migration.version, name=migration.name)
        applied.append(migration.name)


def _compare(migrations: list[Migration], rows: list[asyncpg.Record]) -> None:
    """Refuse a history that is not ours: changed, with a hole, or newer without a promise."""
    for row, migration in zip(rows, migrations, strict=False):
        if row["version"] != migration.version:
            raise MigrationError(
                f"the database lacks migration {migration.version:04} ({migration.name}) but has "
                f"{row['version']:04}: it was changed by hand; restore it from a backup"
            )
        if row["checksum"] != migration.checksum:
            raise MigrationError(
                f"migration {migration.version:04} ({migration.name}) is not the one this database "
                "was built with: restore the file, or install the version that built the database"
            )
    newer = rows[len(migrations) :]
    if not newer:
        return
    versions = f"the database is at {newer[-1]['version']:04}, this program at {len(migrations):04}"
    if not all(row["compatible"] for row in newer):
        raise MigrationError(f"{versions}: install the newer version, or restore a backup")
    log.warning("database is newer than this program, and marked compatible", detail=versions)


async def _apply(connection: asyncpg.Connection, migration: Migration) -> None:
    try:
        await connection.execute(migration.sql)
    except asyncpg.PostgresError as error:
        name = f"{migration.version:04}_{migration.name}"
        raise MigrationError(f"migration {name} failed and was undone: {error}") from error
    await connection.execute(
        "INSERT INTO schema_migrations (version, name, checksum, compatible) VALUES ($1,$2,$3,$4)",
        migration.version,
        migration.name,
        migration.checksum,
        migration.compatible,
    )
