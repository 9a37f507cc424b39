"""Which archives are in use, in PostgreSQL."""

from collections.abc import Awaitable, Callable

import asyncpg

from actors.ids import PackageId
from adapters.postgres.package_rows import lock_archive
from adapters.postgres.pool import Pool


class PostgresArchiveRecords:
    """`ArchiveRecords` over the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def discard(self, integrity: str, delete: Callable[[str], Awaitable[None]]) -> None:
        async with self._pool.transaction() as connection:
            # A publication takes the same lock, and looks for its archive once it is committed.
            await lock_archive(connection, integrity)
            used = await connection.fetchval(
                """
                SELECT EXISTS (SELECT 1 FROM package_versions WHERE integrity = $1)
                    OR EXISTS (SELECT 1 FROM packages WHERE draft_archive = $1)
                """,
                integrity,
            )
            if not used:
                await delete(integrity)


async def named_archives(connection: asyncpg.Connection, package: PackageId) -> set[str]:
    """The archives a package names, as integrities."""
    rows = await connection.fetch(
        """
        SELECT integrity FROM package_versions WHERE package_id = $1
        UNION SELECT draft_archive FROM packages WHERE id = $1 AND draft_archive IS NOT NULL
        """,
        package,
    )
    return {row["integrity"] for row in rows}
