"""A PostgreSQL for the tests: the embedded one, or the one at APPSTRATE_TEST_DATABASE_URL."""

import os
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg

from adapters.postgres.embedded import EmbeddedPostgres


class Postgres:
    """One server for the whole session, a fresh database for whoever asks."""

    def __init__(self, root: Path) -> None:
        self._url = os.environ.get("APPSTRATE_TEST_DATABASE_URL")
        self._server = None if self._url else EmbeddedPostgres(root)
        self._connect: dict[str, Any] = {"dsn": self._url}

    async def start(self) -> None:
        if self._server is not None:
            self._connect = await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop()

    async def fresh_database(self) -> dict[str, Any]:
        """Create an empty database and return what `asyncpg.connect` needs to reach it."""
        name = f"test_{uuid4().hex}"
        connection = await asyncpg.connect(**self._connect)
        await connection.execute(f'CREATE DATABASE "{name}"')
        await connection.close()
        return self._connect | {"database": name}


def url_of(connect: dict[str, Any]) -> str:
    """How an operator would write it."""
    if "host" not in connect:
        return str(connect["dsn"])
    user = f"{connect['user']}:{connect['password']}"
    return f"postgresql://{user}@/{connect['database']}?host={connect['host']}"
