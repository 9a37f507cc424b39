"""What every Database promises."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from actors.database import CheckDatabase, Database
from actors.runtime import Address
from adapters.postgres.pool import Pool
from support.running import running
from support.waiting import eventually

MakeDatabase = Callable[[], tuple[Database, Pool]]


@pytest.fixture(
    params=[
        pytest.param("embedded_database", id="embedded"),
        pytest.param("external_database", id="external"),
    ]
)
async def database(
    request: pytest.FixtureRequest, fresh_url: str
) -> AsyncIterator[tuple[Address[Database], Pool]]:
    assert fresh_url  # made beforehand: a fixture that awaits cannot be asked for from here
    factory, pool = request.getfixturevalue(request.param)
    async with running(factory) as address:
        yield address, pool


async def test_it_is_migrated_once_it_answers_and_comes_back_after_a_crash(
    database: tuple[Address[Database], Pool],
) -> None:
    address, pool = database
    health = await address.ask(CheckDatabase())
    assert int(health.version.split(".")[0]) >= 14
    assert 0 < health.latency_ms < 5000
    assert await pool.fetchval("SELECT count(*) FROM runs") == 0

    await pool.execute("CREATE TABLE kept AS SELECT 1 AS one")
    crash: Any = object()
    address.tell(crash)
    await eventually(lambda: address.metrics.restarts == 1)
    await eventually(lambda: address.state == "running")

    assert (await address.ask(CheckDatabase())).version == health.version
    assert await pool.fetchval("SELECT one FROM kept") == 1
