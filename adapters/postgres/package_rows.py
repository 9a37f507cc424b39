"""How a package is read, whoever reads it."""

import asyncpg

from actors.contract import pick
from actors.packages import StoredPackage, VersionRow

# A package with its versions, oldest first, and whether the draft differs from the last of them.
PACKAGE = """
    SELECT p.*, u.name AS created_by_name, t.version AS latest,
           coalesce(v.rows, '[]'::json) AS versions,
           (p.draft_manifest::jsonb, p.draft_content)
               IS DISTINCT FROM (last.manifest::jsonb, last.content) AS unpublished_changes
    FROM packages p
    LEFT JOIN users u ON u.id = p.created_by
    LEFT JOIN LATERAL (
        SELECT json_agg(json_build_object('version', version, 'integrity', integrity,
                                          'yanked', yanked) ORDER BY id) AS rows
        FROM package_versions WHERE package_id = p.id
    ) v ON true
    LEFT JOIN LATERAL (
        SELECT manifest, content FROM package_versions WHERE package_id = p.id
        ORDER BY id DESC LIMIT 1
    ) last ON true
    LEFT JOIN LATERAL (
        SELECT pv.version FROM package_dist_tags d JOIN package_versions pv ON pv.id = d.version_id
        WHERE d.package_id = p.id AND d.tag = 'latest'
    ) t ON true
"""


def stored_package(row: asyncpg.Record) -> StoredPackage:
    """A row of `PACKAGE`."""
    fields = pick(StoredPackage, row)
    fields["versions"] = [VersionRow(**version) for version in row["versions"]]
    return StoredPackage(**fields)
