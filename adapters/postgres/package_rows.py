"""How a package is read, whoever reads it."""

import asyncpg

from actors.contract import pick
from actors.ids import PackageId
from actors.packages import StoredPackage, VersionRow

# A package with its versions, oldest first, and whether its draft differs from the version of
# the same number.
PACKAGE = """
    SELECT p.*, u.name AS created_by_name,
           coalesce(t.tags, '{}'::json) AS tags, coalesce(v.rows, '[]'::json) AS versions,
           (p.draft_manifest::jsonb, p.draft_content)
               IS DISTINCT FROM (same.manifest::jsonb, same.content) AS unpublished_changes
    FROM packages p
    LEFT JOIN users u ON u.id = p.created_by
    LEFT JOIN LATERAL (
        SELECT json_agg(json_build_object('version', version, 'integrity', integrity,
                                          'yanked', yanked) ORDER BY id) AS rows
        FROM package_versions WHERE package_id = p.id
    ) v ON true
    LEFT JOIN LATERAL (
        SELECT manifest, content FROM package_versions
        WHERE package_id = p.id AND version = p.draft_manifest ->> 'version'
    ) same ON true
    LEFT JOIN LATERAL (
        SELECT json_object_agg(d.tag, pv.version) AS tags
        FROM package_dist_tags d JOIN package_versions pv ON pv.id = d.version_id
        WHERE d.package_id = p.id
    ) t ON true
"""


def stored_package(row: asyncpg.Record) -> StoredPackage:
    """A row of `PACKAGE`."""
    fields = pick(StoredPackage, row)
    fields["versions"] = [VersionRow(**version) for version in row["versions"]]
    return StoredPackage(**fields)


async def lock_package(connection: asyncpg.Connection, package: PackageId) -> None:
    """Let whoever else changes this package wait until the transaction ends."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", package)


async def lock_archive(connection: asyncpg.Connection, integrity: str) -> None:
    """Let whoever else names or deletes this archive wait until the transaction ends."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 1))", integrity)
