"""Changing packages and their versions in PostgreSQL."""

from collections.abc import Callable

import asyncpg

from actors.ids import PackageId
from actors.packages import Change, Draft, StoredPackage, Yank
from actors.runtime import Conflict, NotFound
from adapters.postgres.archives import PostgresArchiveRecords, named_archives
from adapters.postgres.package_rows import PACKAGE, lock_package, stored_package

DEPENDENTS = """
    SELECT DISTINCT p.id, m.version FROM packages p
    LEFT JOIN package_versions v ON v.package_id = p.id AND NOT v.yanked
    CROSS JOIN LATERAL (
        VALUES (p.draft_manifest, 'draft'), (v.manifest, v.version)
    ) AS m (manifest, version)
    CROSS JOIN LATERAL (VALUES ('skills'), ('mcp_servers'), ('integrations')) AS k (kind)
    WHERE p.org_id = (SELECT org_id FROM packages WHERE id = $1) AND p.id <> $1 AND (
        (m.manifest -> 'dependencies' -> k.kind)::jsonb ? $1
        OR m.manifest -> 'source' -> 'server' ->> 'name' = $1
    ) ORDER BY p.id, m.version
"""


class PostgresCurationRecords(PostgresArchiveRecords):
    """`CurationRecords` over the pool."""

    async def change(
        self, package: PackageId, decide: Callable[[StoredPackage], Change]
    ) -> list[str]:
        async with self._pool.transaction() as connection:
            await lock_package(connection, package)
            row = await connection.fetchrow(f"{PACKAGE} WHERE p.id = $1", package)
            if row is None:
                raise NotFound(f"there is no package {package} any more")
            before = await named_archives(connection, package)
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
            return sorted(before - await named_archives(connection, package))

    async def delete(self, package: PackageId) -> list[str]:
        async with self._pool.transaction() as connection:
            await lock_package(connection, package)
            # A run that is being admitted holds this row until it is counted below.
            await connection.fetchrow("SELECT 1 FROM packages WHERE id = $1 FOR UPDATE", package)
            active = await connection.fetchval(
                """
                SELECT count(*) FROM runs
                WHERE package_id = $1 AND status IN ('pending', 'running')
                """,
                package,
            )
            if active:
                raise Conflict(
                    f"{package} has {active} runs that are not over: cancel them, or wait",
                    code="agent_in_use",
                )
            dependents = await connection.fetch(DEPENDENTS, package)
            if dependents:
                first = ", ".join(f"{row['id']} ({row['version']})" for row in dependents[:5])
                raise Conflict(f"other packages depend on {package}: {first}", code="in_use")
            archives = await named_archives(connection, package)
            await connection.execute("DELETE FROM packages WHERE id = $1", package)
            return sorted(archives)


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
