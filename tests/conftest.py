"""Fixtures that every test may use."""

import logging
from collections.abc import AsyncIterator

import pytest
import structlog

from adapters.postgres.migrate import migrate
from adapters.postgres.pool import Pool
from appstrate.paths import MIGRATIONS
from support.postgres import Postgres

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


@pytest.fixture(scope="session")
async def postgres(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Postgres]:
    server = Postgres(tmp_path_factory.mktemp("postgres") / "root")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def pool(postgres: Postgres) -> AsyncIterator[Pool]:
    """A database of one's own, as the server has it."""
    pool = Pool()
    await pool.open(**await postgres.fresh_database())
    await migrate(pool, MIGRATIONS)
    yield pool
    await pool.close()
