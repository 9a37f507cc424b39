"""What is installed where, in PostgreSQL."""

import msgspec

from actors.ids import ApplicationId, OrgId, PackageId
from actors.packages import (
    Installation,
    InstallationSettings,
    LibraryItem,
    PackageType,
    RunConfig,
    RunInput,
    split_name,
)
from adapters.postgres.pool import Pool, refusing_deleted


class PostgresInstallationRecords:
    """`InstallationRecords` over the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def is_of(self, org: OrgId, application: ApplicationId) -> bool:
        found = await self._pool.fetchval(
            "SELECT 1 FROM applications WHERE org_id = $1 AND id = $2", org, application
        )
        return found is not None

    async def installed(
        self, application: ApplicationId, package: PackageId | None = None
    ) -> list[Installation]:
        rows = await self._pool.fetch(
            """
            SELECT a.package_id, a.generation_config, a.model_id, a.proxy_id, a.version_id,
                   a.enabled, a.installed_at, a.updated_at, p.type AS package_type,
                   p.source AS package_source, p.draft_manifest
            FROM application_packages a JOIN packages p ON p.id = a.package_id
            WHERE a.application_id = $1 AND ($2::text IS NULL OR a.package_id = $2)
            ORDER BY a.package_id
            """,
            *(application, package),
        )
        return [Installation(**dict(row)) for row in rows]

    async def usable(self, org: OrgId, package: PackageId) -> PackageType | None:
        kind: PackageType | None = await self._pool.fetchval(
            "SELECT type FROM packages WHERE id = $2 AND (org_id = $1 OR org_id IS NULL)",
            *(org, package),
        )
        return kind

    @refusing_deleted
    async def install(self, application: ApplicationId, package: PackageId) -> bool:
        made = await self._pool.fetchval(
            """
            INSERT INTO application_packages (application_id, package_id) VALUES ($1, $2)
            ON CONFLICT DO NOTHING RETURNING 1
            """,
            *(application, package),
        )
        return made is not None

    async def configure(
        self, application: ApplicationId, package: PackageId, settings: InstallationSettings
    ) -> bool:
        changed = {
            name: value
            for name, value in msgspec.structs.asdict(settings).items()
            if value is not msgspec.UNSET
        }
        columns = "".join(f"{name} = ${n}, " for n, name in enumerate(changed, 4))
        done = await self._pool.fetchval(
            f"""
            UPDATE application_packages SET {columns} updated_at = now()
            WHERE application_id = $1 AND package_id = $2 AND ($3::bigint IS NULL OR EXISTS (
                SELECT 1 FROM package_versions v WHERE v.id = $3 AND v.package_id = $2
            ))
            RETURNING 1
            """,
            *(application, package, changed.get("version_id"), *changed.values()),
        )
        return done is not None

    async def uninstall(self, application: ApplicationId, package: PackageId) -> bool:
        gone = await self._pool.fetchval(
            """
            DELETE FROM application_packages WHERE application_id = $1 AND package_id = $2
            RETURNING 1
            """,
            *(application, package),
        )
        return gone is not None

    async def run_config(self, application: ApplicationId, package: PackageId) -> RunConfig | None:
        row = await self._pool.fetchrow(
            """
            SELECT a.generation_config, a.model_id, a.proxy_id, a.input_settings, v.version
            FROM application_packages a LEFT JOIN package_versions v ON v.id = a.version_id
            WHERE a.application_id = $1 AND a.package_id = $2
            """,
            *(application, package),
        )
        if row is None:
            return None
        given = row["input_settings"]
        return RunConfig(
            generation=row["generation_config"],
            model_id=row["model_id"],
            proxy_id=row["proxy_id"],
            version_pin=row["version"],
            input=RunInput(
                values=given.get("values", {}), locked_fields=given.get("locked_fields", [])
            ),
        )

    async def library(self, org: OrgId) -> list[LibraryItem]:
        rows = await self._pool.fetch(
            """
            SELECT p.id, p.type, p.source, p.draft_manifest ->> 'description' AS description,
                   p.draft_manifest ->> 'display_name' AS name, ARRAY(
                       SELECT i.application_id FROM application_packages i
                       JOIN applications a ON a.id = i.application_id
                       WHERE i.package_id = p.id AND a.org_id = $1 ORDER BY a.created_at
                   ) AS installed_in
            FROM packages p WHERE p.org_id = $1 OR p.org_id IS NULL ORDER BY p.id
            """,
            org,
        )
        return [
            LibraryItem(**{**row, "name": row["name"] or split_name(row["id"])[1]}) for row in rows
        ]
