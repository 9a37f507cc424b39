"""Writing packages and their versions to PostgreSQL."""

import asyncpg

from actors.ids import OrgId, PackageId
from actors.packages import Publication, admit, new_latest, touches_draft
from adapters.postgres.archives import PostgresArchiveRecords, named_archives
from adapters.postgres.package_rows import PACKAGE, lock_archive, lock_package, stored_package
from adapters.postgres.pool import refusing_deleted


class PostgresPublicationRecords(PostgresArchiveRecords):
    """`PublicationRecords` over the pool."""

    @refusing_deleted
    async def store(self, publication: Publication) -> list[str]:
        async with self._pool.transaction() as connection:
            await lock_package(connection, publication.package)
            await lock_archive(connection, publication.integrity)
            row = await connection.fetchrow(f"{PACKAGE} WHERE p.id = $1", publication.package)
            existing = None if row is None else stored_package(row)
            before = await named_archives(connection, publication.package)
            outcome = admit(existing, publication)
            if touches_draft(existing, publication):
                await self._write_draft(connection, publication)
            if outcome in ("inserted", "replaced"):
                version = await self._write_version(connection, publication)
                if new_latest(existing, publication):
                    await self._tag_latest(connection, publication.package, version)
            if publication.application is not None:
                await self._install(connection, publication)
            return sorted(before - await named_archives(connection, publication.package))

    async def slug(self, org: OrgId) -> str:
        slug: str = await self._pool.fetchval("SELECT slug FROM organizations WHERE id = $1", org)
        return slug

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
