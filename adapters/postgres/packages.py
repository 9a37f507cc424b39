"""The package catalogue in PostgreSQL."""

from typing import Any

import asyncpg

from actors.contract import pick
from actors.ids import ApplicationId, OrgId, PackageId
from actors.packages import (
    AgentActivity,
    AgentItem,
    PackageItem,
    PackageType,
    Publication,
    RunSummary,
    StoredPackage,
    StoredVersion,
    VersionRow,
    admit,
    new_latest,
    split_name,
    touches_draft,
)
from adapters.postgres.pool import Pool

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

# Owned and installed in the application, or shipped. $1 organization, $2 application.
VISIBLE = """
    (p.org_id IS NULL OR p.org_id = $1 AND EXISTS (
        SELECT 1 FROM application_packages a WHERE a.application_id = $2 AND a.package_id = p.id
    ))
"""


class PostgresPackageRecords:
    """`PackageRecords` over the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def store(self, publication: Publication) -> str:
        async with self._pool.transaction() as connection:
            await connection.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", publication.package
            )
            row = await connection.fetchrow(f"{PACKAGE} WHERE p.id = $1", publication.package)
            existing = None if row is None else _package(row)
            outcome = admit(existing, publication)
            if touches_draft(existing, publication):
                await self._write_draft(connection, publication)
            if outcome in ("inserted", "replaced"):
                version = await self._write_version(connection, publication)
                if new_latest(existing, publication):
                    await self._tag_latest(connection, publication.package, version)
            if publication.application is not None:
                await self._install(connection, publication)
        return outcome

    async def find(self, package: PackageId) -> StoredPackage | None:
        row = await self._pool.fetchrow(f"{PACKAGE} WHERE p.id = $1", package)
        return None if row is None else _package(row)

    async def visible(
        self, org: OrgId, application: ApplicationId, package: PackageId
    ) -> StoredPackage | None:
        row = await self._pool.fetchrow(
            f"{PACKAGE} WHERE {VISIBLE} AND p.id = $3", org, application, package
        )
        return None if row is None else _package(row)

    async def owned(self, org: OrgId, packages: list[PackageId]) -> list[StoredPackage]:
        rows = await self._pool.fetch(
            f"{PACKAGE} WHERE (p.org_id = $1 OR p.org_id IS NULL) AND p.id = ANY ($2::text[])",
            *(org, packages),
        )
        return [_package(row) for row in rows]

    async def version(self, package: PackageId, version: str) -> StoredVersion | None:
        row = await self._pool.fetchrow(
            """
            SELECT version, integrity, manifest, content
            FROM package_versions WHERE package_id = $1 AND version = $2
            """,
            *(package, version),
        )
        return None if row is None else StoredVersion(**dict(row))

    async def items(
        self, org: OrgId, application: ApplicationId, kind: PackageType
    ) -> list[PackageItem]:
        rows = await self._pool.fetch(
            f"""
            SELECT p.id, p.source, p.forked_from, p.created_by, p.created_at, p.updated_at,
                   p.auto_installed, p.draft_manifest ->> 'description' AS description,
                   coalesce(v.version, p.draft_manifest ->> 'version') AS version,
                   u.name AS created_by_name, (
                       SELECT count(*) FROM packages used WHERE used.type = 'agent'
                       AND (used.org_id = $1 OR used.org_id IS NULL)
                       AND (used.draft_manifest -> 'dependencies' -> $4)::jsonb ? p.id
                   ) AS used_by_agents
            FROM packages p
            LEFT JOIN users u ON u.id = p.created_by
            LEFT JOIN package_dist_tags t ON t.package_id = p.id AND t.tag = 'latest'
            LEFT JOIN package_versions v ON v.id = t.version_id
            WHERE {VISIBLE} AND p.type = $3 ORDER BY p.id
            """,
            *(org, application, kind, f"{kind.replace('-', '_')}s"),
        )
        return [_item(row) for row in rows]

    async def agents(self, org: OrgId, application: ApplicationId) -> list[AgentItem]:
        rows = await self._pool.fetch(
            f"""
            SELECT p.id, p.source, m.manifest, coalesce(r.running, 0) AS running_runs
            FROM packages p
            LEFT JOIN package_dist_tags t ON t.package_id = p.id AND t.tag = 'latest'
            LEFT JOIN package_versions v ON v.id = t.version_id
            CROSS JOIN LATERAL (SELECT coalesce(v.manifest, p.draft_manifest) AS manifest) m
            LEFT JOIN (
                SELECT package_id, count(*) AS running FROM runs
                WHERE org_id = $1 AND application_id = $2 AND status IN ('pending', 'running')
                GROUP BY package_id
            ) r ON r.package_id = p.id
            WHERE {VISIBLE} AND p.type = 'agent' ORDER BY p.id
            """,
            *(org, application),
        )
        return [_agent(row) for row in rows]

    async def users(self, org: OrgId, package: PackageId) -> list[PackageId]:
        rows = await self._pool.fetch(
            """
            SELECT p.id FROM packages p
            CROSS JOIN LATERAL json_each(p.draft_manifest -> 'dependencies') AS d (kind, wanted)
            WHERE p.type = 'agent' AND (p.org_id = $1 OR p.org_id IS NULL)
            AND json_typeof(p.draft_manifest -> 'dependencies') = 'object'
            AND json_typeof(wanted) = 'object' AND wanted -> $2 IS NOT NULL
            ORDER BY p.id
            """,
            *(org, package),
        )
        return [row["id"] for row in rows]

    async def activity(self, application: ApplicationId, package: PackageId) -> AgentActivity:
        row = await self._pool.fetchrow(
            """
            SELECT (
                SELECT count(*) FROM runs WHERE application_id = $1 AND package_id = $2
                AND status IN ('pending', 'running')
            ) AS running_runs, (
                SELECT json_build_object('id', id, 'status', status, 'started_at', started_at,
                                         'duration', duration)
                FROM runs WHERE application_id = $1 AND package_id = $2
                ORDER BY started_at DESC LIMIT 1
            ) AS last_run
            """,
            *(application, package),
        )
        assert row is not None
        last = row["last_run"]
        return AgentActivity(
            running_runs=row["running_runs"],
            last_run=None if last is None else RunSummary(**last),
        )

    async def system_integrities(self) -> dict[tuple[str, str], str]:
        rows = await self._pool.fetch(
            """
            SELECT v.package_id, v.version, v.integrity
            FROM package_versions v JOIN packages p ON p.id = v.package_id
            WHERE p.source = 'system'
            """
        )
        return {(row["package_id"], row["version"]): row["integrity"] for row in rows}

    async def _write_draft(self, connection: asyncpg.Connection, new: Publication) -> None:
        await connection.execute(
            """
            INSERT INTO packages (id, org_id, type, source, draft_manifest, draft_content,
                                  draft_archive, auto_installed, forked_from, created_by)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
            ON CONFLICT (id) DO UPDATE SET
                draft_manifest = excluded.draft_manifest,
                draft_content = excluded.draft_content,
                draft_archive = excluded.draft_archive,
                lock_version = packages.lock_version + 1,
                updated_at = now()
            """,
            *(new.package, new.org, new.type, "local" if new.org else "system", new.manifest),
            *(new.content, new.integrity, new.auto_installed, new.forked_from, new.user),
        )

    async def _write_version(self, connection: asyncpg.Connection, new: Publication) -> int:
        version: int = await connection.fetchval(
            """
            INSERT INTO package_versions
                (package_id, version, integrity, artifact_size, manifest, content, created_by)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            ON CONFLICT (package_id, version) DO UPDATE SET
                integrity = excluded.integrity, artifact_size = excluded.artifact_size,
                manifest = excluded.manifest, content = excluded.content
            RETURNING id
            """,
            *(new.package, new.version, new.integrity, new.size, new.manifest, new.content),
            new.user,
        )
        return version

    async def _tag_latest(
        self, connection: asyncpg.Connection, package: PackageId, version: int
    ) -> None:
        await connection.execute(
            """
            INSERT INTO package_dist_tags (package_id, tag, version_id) VALUES ($1, 'latest', $2)
            ON CONFLICT (package_id, tag) DO UPDATE SET version_id = excluded.version_id
            """,
            *(package, version),
        )

    async def _install(self, connection: asyncpg.Connection, new: Publication) -> None:
        await connection.execute(
            """
            INSERT INTO application_packages (application_id, package_id) VALUES ($1, $2)
            ON CONFLICT DO NOTHING
            """,
            *(new.application, new.package),
        )


def _package(row: asyncpg.Record) -> StoredPackage:
    fields = pick(StoredPackage, row)
    fields["versions"] = [VersionRow(**version) for version in row["versions"]]
    return StoredPackage(**fields)


def _item(row: asyncpg.Record) -> PackageItem:
    scope, name = split_name(row["id"])
    return PackageItem(name=name, scope=scope, **dict(row))


def _agent(row: asyncpg.Record) -> AgentItem:
    manifest: dict[str, Any] = row["manifest"]
    scope, _ = split_name(row["id"])
    declared = manifest.get("dependencies") or {}
    return AgentItem(
        id=row["id"],
        display_name=manifest.get("display_name") or row["id"],
        description=manifest.get("description"),
        schema_version=manifest.get("schema_version"),
        author=manifest.get("author"),
        keywords=manifest.get("keywords") or [],
        dependencies={
            kind: declared.get(kind) or {} for kind in ("skills", "mcp_servers", "integrations")
        },
        running_runs=row["running_runs"],
        source=row["source"],
        scope=scope,
        version=manifest.get("version"),
    )
