"""Changing packages and their versions in PostgreSQL."""

from collections.abc import Awaitable, Callable

import asyncpg

from actors.ids import PackageId
from actors.packages import Change, Draft, StoredPackage, Yank
from actors.runtime import NotFound
from adapters.postgres.package_rows import PACKAGE, lock_archive, lock_package, stored_package
from adapters.postgres.pool import Pool

# The archives a package names, as integrities.
NAMED = """
    SELECT integrity FROM package_versions WHERE package_id = $1
    UNION SELECT draft_archive FROM packages WHERE id = $1 AND draft_archive IS NOT NULL
"""


class PostgresCurationRecords:
    """`CurationRecords` over the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def change(
        self, package: PackageId, decide: Callable[[StoredPackage], Change]
    ) -> list[str]:
        async with self._pool.transaction() as connection:
            await lock_package(connection, package)
            row = await connection.fetchrow(f"{PACKAGE} WHERE p.id = $1", package)
            if row is None:
                raise NotFound(f"there is no package {package} any more")
            before = await _named(connection, package)
            change = decide(stored_package(row))
            if change.draft is not None:
                await _write_draft(connection, package, change.draft)
            if change.yank is not None:
                await _write_yank(connection, package, change.yank)
            if change.tags is not None:
                await _write_tags(connection, package, change.tags)
            if change.removed is not None:
                await connection.execute(
                    "DELETE FROM package_versions WHERE package_id = $1 AND version = $2",
                    *(package, change.removed),
                )
            return sorted(before - await _named(connection, package))

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


async def _named(connection: asyncpg.Connection, package: PackageId) -> set[str]:
    return {row["integrity"] for row in await connection.fetch(NAMED, package)}


async def _write_draft(connection: asyncpg.Connection, package: PackageId, draft: Draft) -> None:
    await connection.execute(
        """
        UPDATE packages SET draft_manifest = $2, draft_content = $3, draft_archive = $4,
            lock_version = lock_version + 1, updated_at = now()
        WHERE id = $1
        """,
        *(package, draft.manifest, draft.content, draft.archive),
    )


async def _write_yank(connection: asyncpg.Connection, package: PackageId, yank: Yank) -> None:
    await connection.execute(
        """
        UPDATE package_versions SET yanked = $3, yanked_reason = $4
        WHERE package_id = $1 AND version = $2
        """,
        *(package, yank.version, yank.yanked, yank.reason if yank.yanked else None),
    )


async def _write_tags(
    connection: asyncpg.Connection, package: PackageId, tags: dict[str, str]
) -> None:
    await connection.execute("DELETE FROM package_dist_tags WHERE package_id = $1", package)
    await connection.execute(
        """
        INSERT INTO package_dist_tags (package_id, tag, version_id)
        SELECT $1, t.tag, v.id FROM unnest($2::text[], $3::text[]) AS t (tag, version)
        JOIN package_versions v ON v.package_id = $1 AND v.version = t.version
        """,
        *(package, list(tags), list(tags.values())),
    )
