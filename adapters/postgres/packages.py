"""The package catalogue in PostgreSQL."""

from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from actors.contract import pick
from actors.documents import as_list, as_object
from actors.ids import ApplicationId, EndUserId, OrgId, PackageId
from actors.packages import (
    AgentActivity,
    AgentItem,
    PackageItem,
    PackageType,
    RunSummary,
    StoredPackage,
    StoredVersion,
    VersionItem,
    split_name,
)
from adapters.postgres.package_rows import PACKAGE, stored_package
from adapters.postgres.pool import Pool

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

    async def find(self, package: PackageId) -> StoredPackage | None:
        row = await self._pool.fetchrow(f"{PACKAGE} WHERE p.id = $1", package)
        return None if row is None else stored_package(row)

    async def visible(
        self, org: OrgId, application: ApplicationId, package: PackageId
    ) -> StoredPackage | None:
        row = await self._pool.fetchrow(
            f"""
            SELECT f.*, pin.version AS pinned, coalesce(i.enabled, true) AS enabled
            FROM ({PACKAGE} WHERE {VISIBLE} AND p.id = $3) f
            LEFT JOIN application_packages i ON i.application_id = $2 AND i.package_id = f.id
            LEFT JOIN package_versions pin ON pin.id = i.version_id
            """,
            *(org, application, package),
        )
        return None if row is None else stored_package(row)

    async def owned(self, org: OrgId, packages: list[PackageId]) -> list[StoredPackage]:
        rows = await self._pool.fetch(
            f"{PACKAGE} WHERE (p.org_id = $1 OR p.org_id IS NULL) AND p.id = ANY ($2::text[])",
            *(org, packages),
        )
        return [stored_package(row) for row in rows]

    async def version(self, package: PackageId, version: str) -> StoredVersion | None:
        row = await self._pool.fetchrow(
            """
            SELECT id, version, integrity, artifact_size, manifest, content, yanked, yanked_reason,
                   created_at
            FROM package_versions WHERE package_id = $1 AND version = $2
            """,
            *(package, version),
        )
        return None if row is None else StoredVersion(**dict(row))

    async def versions(self, package: PackageId) -> list[VersionItem]:
        rows = await self._pool.fetch(
            "SELECT * FROM package_versions WHERE package_id = $1 ORDER BY id DESC", package
        )
        return [VersionItem(**pick(VersionItem, row)) for row in rows]

    async def items(
        self, org: OrgId, application: ApplicationId, kind: PackageType, *, active: bool
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
            WHERE {VISIBLE} AND p.type = $3 AND NOT ($5 AND EXISTS (
                SELECT 1 FROM application_packages o
                WHERE o.application_id = $2 AND o.package_id = p.id AND NOT o.enabled
            )) ORDER BY p.id
            """,
            *(org, application, kind, f"{kind.replace('-', '_')}s", active),
        )
        return [_item(row) for row in rows]

    async def agents(self, org: OrgId, application: ApplicationId) -> list[AgentItem]:
        rows = await self._pool.fetch(
            f"""
            SELECT p.id, p.source, m.manifest::text, coalesce(r.running, 0) AS running_runs
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

    async def activity(
        self, application: ApplicationId, package: PackageId, end_user: EndUserId | None
    ) -> AgentActivity:
        theirs = "" if end_user is None else "AND end_user_id = $3"
        row = await self._pool.fetchrow(
            f"""
            SELECT (
                SELECT count(*) FROM runs WHERE application_id = $1 AND package_id = $2
                AND status IN ('pending', 'running')
            ) AS running_runs, (
                SELECT json_build_object('id', id, 'status', status, 'started_at', started_at,
                                         'duration', duration)
                FROM runs WHERE application_id = $1 AND package_id = $2 {theirs}
                ORDER BY started_at DESC LIMIT 1
            ) AS last_run, (
                SELECT input_settings FROM application_packages
                WHERE application_id = $1 AND package_id = $2
            ) AS input
            """,
            *(application, package, *([] if end_user is None else [end_user])),
        )
        assert row is not None
        last, set_here = row["last_run"], as_object(row["input"])
        return AgentActivity(
            running_runs=row["running_runs"],
            last_run=None if last is None else _summary(last),
            input_values=as_object(set_here.get("values")),
            locked_fields=as_list(set_here.get("locked_fields")),
        )


def _summary(last: dict[str, Any]) -> RunSummary:
    return RunSummary(**last | {"started_at": datetime.fromisoformat(last["started_at"])})


def _item(row: asyncpg.Record) -> PackageItem:
    scope, name = split_name(row["id"])
    return PackageItem(name=name, scope=scope, **dict(row))


class _Shown(msgspec.Struct, frozen=True):
    """What a list shows of a manifest; the rest of it is skipped, not decoded."""

    display_name: Any = None
    description: Any = None
    schema_version: Any = None
    author: Any = None
    keywords: Any = None
    dependencies: Any = None
    version: Any = None


_shown = msgspec.json.Decoder(_Shown)


def _agent(row: asyncpg.Record) -> AgentItem:
    package, source, manifest, running = row
    shown = _shown.decode(manifest)
    declared = shown.dependencies or {}
    return AgentItem(
        id=package,
        display_name=shown.display_name or package,
        description=shown.description,
        schema_version=shown.schema_version,
        author=shown.author,
        keywords=shown.keywords or [],
        dependencies={
            kind: declared.get(kind) or {} for kind in ("skills", "mcp_servers", "integrations")
        },
        running_runs=running,
        source=source,
        scope=split_name(package)[0],
        version=shown.version,
    )
