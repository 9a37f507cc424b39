import asyncio

import asyncpg
import pytest

from actors.runtime import Unavailable
from adapters.postgres.pool import Pool
from support.postgres import Postgres
from support.waiting import until


async def test_what_may_succeed_the_next_time_is_told_so(postgres: Postgres) -> None:
    """A table that another instance migrates, and two transactions that wait for each other."""
    connect = await postgres.fresh_database()
    pool = Pool()
    with pytest.raises(Unavailable, match="not available"):
        await pool.fetch("SELECT 1")
    await pool.open(**connect)
    await pool.execute("CREATE TABLE t (n int); INSERT INTO t VALUES (1), (2)")
    other = await asyncpg.connect(**connect)

    async def read() -> None:
        async with pool.transaction() as connection:
            await connection.fetch("SELECT * FROM t")

    await read()
    await other.execute("ALTER TABLE t ADD COLUMN more int")
    with pytest.raises(Unavailable, match="the database was busy"):
        await read()
    await read()

    async def update(first: int, second: int, both: asyncio.Barrier) -> None:
        async with pool.transaction() as connection:
            await connection.execute("UPDATE t SET more = 1 WHERE n = $1", first)
            await both.wait()
            await connection.execute("UPDATE t SET more = 1 WHERE n = $1", second)

    both = asyncio.Barrier(2)
    ended = await asyncio.gather(update(1, 2, both), update(2, 1, both), return_exceptions=True)
    assert [type(end) for end in ended if end is not None] == [Unavailable]
    with pytest.raises(asyncpg.UndefinedTableError):
        await pool.fetch("SELECT * FROM nothing")
    await other.close()
    await pool.close()


async def test_connections_that_were_not_needed_for_long_are_closed(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.postgres.pool.IDLE_SECONDS", 0.1)
    pool = Pool()
    await pool.open(**await postgres.fresh_database())
    count = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    async with pool.connection(), pool.connection(), pool.connection() as connection:
        assert await connection.fetchval(count) >= 3

    async def one_is_left() -> bool:
        return bool(await pool.fetchval(f"{count} AND backend_type = 'client backend'") == 1)

    await until(one_is_left)
    await pool.close()
