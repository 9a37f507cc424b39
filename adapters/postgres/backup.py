"""Dumps of a database and what they are restored from, by the shipped `pg_dump`.

A dump is taken while the server runs, of one moment; a server that does not run is started for as
long as it takes. The programs reach any PostgreSQL that is not newer than the embedded one.
"""

import asyncio
import fcntl
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from adapters.postgres.embedded import EmbeddedPostgres, binaries
from adapters.postgres.settings import EmbeddedSettings, ExternalSettings

IS_EMPTY = (
    "SELECT count(*) = 0 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE c.relkind = 'r' AND n.nspname = 'public'"
)

IS_OURS = "SELECT to_regclass('schema_migrations') IS NOT NULL"


class BackupError(Exception):
    """It could not be done; the message says why."""


Database = EmbeddedSettings | ExternalSettings


async def dump(database: Database, file: Path) -> None:
    """Write all that is in a database to a file, in the custom format of `pg_dump`.

    A database that holds nothing of a server is refused: somebody would take it for a backup.
    """
    if isinstance(database, EmbeddedSettings) and not (database.root / "pgdata").exists():
        raise BackupError(f"there is no database in {database.root}")
    async with _reached(database) as (target, environment):
        if (await _ask(environment, IS_OURS, target)) != "t":
            raise BackupError("the database holds nothing of a server: is it the right one?")
        await _run(
            environment, "pg_dump", "--format=custom", "--no-owner", f"--file={file}", *target
        )


async def restore(database: Database, file: Path) -> None:
    """Fill an empty database from a dump, wholly or not at all."""
    async with _reached(database) as (target, environment):
        if (await _ask(environment, IS_EMPTY, target)) != "t":
            raise BackupError("the database is not empty: a backup is restored into an empty one")
        await _run(
            environment,
            *("pg_restore", "--no-owner", "--single-transaction", "--exit-on-error"),
            *(*target, str(file)),
        )


@asynccontextmanager
async def _reached(database: Database) -> AsyncGenerator[tuple[list[str], dict[str, str]], None]:
    """How PostgreSQL's programs reach a database: by arguments, and with which environment.

    Passwords are in the environment, for arguments are seen by every user of the machine.
    """
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    if isinstance(database, ExternalSettings):
        url, password = _apart(database.url)
        yield [f"--dbname={url}"], clean | ({"PGPASSWORD": password} if password else {})
    elif (socket := _socket_of_running(database.root)) is not None:
        password = (database.root / "password").read_text()
        yield ["--dbname=postgres"], clean | _by_socket(socket, password)
    else:
        server = EmbeddedPostgres(database.root)
        try:
            connect = await server.start()
            yield ["--dbname=postgres"], clean | _by_socket(connect["host"], connect["password"])
        finally:
            await server.stop()


def _by_socket(folder: str, password: str) -> dict[str, str]:
    return {"PGHOST": folder, "PGPORT": "5432", "PGUSER": "postgres", "PGPASSWORD": password}


def _socket_of_running(root: Path) -> str | None:
    """The folder of the socket of the embedded server over a folder, if one runs."""
    try:
        with (root / "lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return None
    except BlockingIOError:
        try:
            return (root / "pgdata" / "postmaster.pid").read_text().splitlines()[4]
        except (FileNotFoundError, IndexError):
            why = f"the server over {root} is just starting or stopping: try again in a moment"
            raise BackupError(why) from None
    return None


def _apart(url: str) -> tuple[str, str | None]:
    """A URL without its password, and the password."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    name, colon, password = user.partition(":")
    if not colon:
        return url, None
    return parts._replace(netloc=name + at + host).geturl(), unquote(password)


async def _ask(environment: Mapping[str, str], query: str, target: list[str]) -> str:
    return (await _run(environment, "psql", "--no-psqlrc", "-Atc", query, *target)).strip()


async def _run(environment: Mapping[str, str], program: str, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        str(binaries() / program),
        *arguments,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, said = await process.communicate()
    if process.returncode != 0:
        raise BackupError(f"{program}: {said.decode(errors='replace').strip()[-2000:]}")
    return output.decode()
