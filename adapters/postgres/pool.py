"""The handle to the connections of whichever Database is alive."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import asyncpg
import msgspec

from actors.runtime import Conflict, Unavailable

ACQUIRE_SECONDS = 10.0
MAX_CONNECTIONS = 20
MAX_SPARE = 8
IDLE_SECONDS = 60.0

# What ends a connection, as opposed to what is wrong with a statement.
BROKEN = (
    OSError,
    TimeoutError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
)
# The same statement may well succeed the next time.
PASSING = (
    asyncpg.InvalidCachedStatementError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    asyncpg.ReadOnlySQLTransactionError,
)


Parameters = ParamSpec("Parameters")
Written = TypeVar("Written")


class Pool:
    """Connections, opened and closed by a Database actor and shared by all records.

    While no Database is alive, and whenever the server cannot be reached, everything here refuses
    with `Unavailable`: the driver's own connection errors end at this class.
    """

    def __init__(self) -> None:
        self._pool: asyncpg.Pool | None = None
        self._spare: list[tuple[float, Any]] = []  # the latest used last, and since when
        self._waiting = 0
        self.was_open = False

    async def open(self, **connect: Any) -> None:
        """Connect; `connect` is what `asyncpg.connect` takes."""
        self._pool = await asyncpg.create_pool(
            **connect,
            min_size=1,
            max_size=MAX_CONNECTIONS,
            max_inactive_connection_lifetime=IDLE_SECONDS,
            init=_teach_json,
            # No record leaves session state behind, so there is nothing to reset on release.
            reset=_nothing,
        )
        self.was_open = True

    async def close(self) -> None:
        """Close every connection, at once those still in use."""
        pool, self._pool = self._pool, None
        self._spare = []
        if pool is not None:
            pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """One connection, in autocommit."""
        pool = self._pool
        if pool is None:
            raise Unavailable("the database is not available", retry_after=1)
        with _translated():
            connection, well = await self._acquire(pool), False
            try:
                yield connection
                well = True
            except BROKEN:
                # The driver may not have noticed yet; nobody must get this one again.
                with suppress(asyncpg.InterfaceError):  # it has noticed
                    connection.terminate()
                raise
            finally:
                if well and self._may_keep(pool, connection):
                    self._spare.append((time.monotonic(), connection))
                    await self._give_back(pool)
                else:
                    await pool.release(connection)

    async def _acquire(self, pool: asyncpg.Pool) -> Any:
        spare = self._spare  # of this pool: another one begins with another list
        while spare:
            _, connection = spare.pop()
            if _is_open(connection):
                return connection
            await pool.release(connection)
        self._waiting += 1
        try:
            return await pool.acquire(timeout=ACQUIRE_SECONDS)
        finally:
            self._waiting -= 1

    async def _give_back(self, pool: asyncpg.Pool) -> None:
        """Leave those to the driver's pool that were not needed for long: it closes them."""
        while self._spare and self._spare[0][0] < time.monotonic() - IDLE_SECONDS:
            _, connection = self._spare.pop(0)
            await pool.release(connection)

    def _may_keep(self, pool: asyncpg.Pool, connection: Any) -> bool:
        """Whether the next asker may get this connection at once.

        To return one to the driver's pool costs a task and two timers, more than a small statement.
        """
        wanted = pool is self._pool and not self._waiting and len(self._spare) < MAX_SPARE
        return wanted and _is_open(connection) and not connection.is_in_transaction()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[asyncpg.Connection]:
        """One connection inside a transaction: committed on success, else rolled back."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def fetch(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        """All rows of one statement."""
        async with self.connection() as connection:
            rows: list[asyncpg.Record] = await connection.fetch(query, *arguments)
            return rows

    async def fetchrow(self, query: str, *arguments: Any) -> asyncpg.Record | None:
        """The first row of one statement, if it has any."""
        async with self.connection() as connection:
            return await connection.fetchrow(query, *arguments)

    async def fetchval(self, query: str, *arguments: Any) -> Any:
        """The first value of the first row of one statement, if it has any."""
        async with self.connection() as connection:
            return await connection.fetchval(query, *arguments)

    async def execute(self, query: str, *arguments: Any) -> None:
        """One statement whose rows are of no interest."""
        async with self.connection() as connection:
            await connection.execute(query, *arguments)


def refusing_deleted(
    method: Callable[Parameters, Awaitable[Written]],
) -> Callable[Parameters, Coroutine[Any, Any, Written]]:
    """A method that refuses to refer to what was there when it was looked at, and is not now."""

    @wraps(method)
    async def write(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Written:
        try:
            return await method(*args, **kwargs)
        except asyncpg.ForeignKeyViolationError as error:
            raise Conflict("something this needs was deleted meanwhile: try again") from error

    return write


def _is_open(connection: Any) -> bool:
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:  # it was lost, and the driver's pool has taken it back
        return False


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except BROKEN as error:
        raise Unavailable(f"the database cannot be reached: {error}", retry_after=1) from error
    except PASSING as error:
        raise Unavailable(f"the database was busy: {error}", retry_after=1) from error
    except asyncpg.InsufficientResourcesError as error:
        full = "its disk is full" if isinstance(error, asyncpg.DiskFullError) else str(error)
        raise Unavailable(f"the database cannot take this: {full}", retry_after=10) from error
    except asyncpg.InterfaceError as error:
        # The driver uses one class for a closed connection and for a wrong call.
        if not any(word in str(error) for word in ("closed", "closing", "released back")):
            raise
        raise Unavailable(f"the database cannot be reached: {error}", retry_after=1) from error


async def _teach_json(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec(
        "json",
        schema="pg_catalog",
        encoder=lambda value: msgspec.json.encode(value).decode(),
        decoder=msgspec.json.decode,
    )


async def _nothing(_: asyncpg.Connection) -> None:
    """Leave the connection as it is."""
