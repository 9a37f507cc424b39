"""Fixtures that every test may use."""

import logging
from collections.abc import AsyncIterator

import pytest
import structlog

from support.postgres import Postgres

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


@pytest.fixture(scope="session")
async def postgres(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Postgres]:
    server = Postgres(tmp_path_factory.mktemp("postgres") / "root")
    await server.start()
    yield server
    await server.stop()
