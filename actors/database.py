"""The owner of the database: its server when it is embedded, its connections, its health.

It boots first. Every other actor reaches tables through its own records, which hold a handle to
the connections of whichever Database is alive, and so survive its restart. Implementations, both
in `adapters/postgres`: EmbeddedDatabase (starts a PostgreSQL of its own) and ExternalDatabase
(the one at `DATABASE_URL`).
"""

from abc import abstractmethod
from typing import assert_never

import msgspec

from actors.runtime import Actor, Lane, Request


class DatabaseHealth(msgspec.Struct, frozen=True, kw_only=True):
    """One round trip, in milliseconds, and who answered."""

    latency_ms: float
    version: str
    embedded: bool


class CheckDatabase(Request["Database", DatabaseHealth], frozen=True, kw_only=True):
    """Make a round trip to the server. Refuses with `Unavailable` when it cannot be made."""


class Database(Actor):
    """Holds the database open. Migrations have run when it is ready."""

    lanes = (Lane("checks", 4),)

    async def receive(self, message: CheckDatabase) -> DatabaseHealth:
        match message:
            case CheckDatabase():
                return await self.check()
            case _:
                assert_never(message)

    @abstractmethod
    async def check(self) -> DatabaseHealth: ...
