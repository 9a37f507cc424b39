"""Writing the packages of a bundle to PostgreSQL, all in one transaction."""

import asyncpg

from actors.ids import PackageId
from actors.packages import Adopted, Publication, StoredPackage, adopt, new_latest
from adapters.postgres.package_rows import PACKAGE, lock_archive, lock_package, stored_package
from adapters.postgres.publications import PostgresPublicationRecords


class PostgresBundleRecords(PostgresPublicationRecords):
    """`BundleRecords` over the pool."""

    async def find(self, package: PackageId) -> StoredPackage | None:
        row = await self._pool.fetchrow(f"{PACKAGE} WHERE p.id = $1", package)
        return None if row is None else stored_package(row)

    async def adopt(self, publications: list[Publication]) -> list[Adopted]:
        async with self._pool.transaction() as connection:
            # In one order everywhere, so that two bundles never wait for each other.
            for package in sorted({publication.package for publication in publications}):
                await lock_package(connection, package)
            for integrity in sorted({publication.integrity for publication in publications}):
                await lock_archive(connection, integrity)
            return [await self._adopt(connection, publication) for publication in publications]

    async def _adopt(self, connection: asyncpg.Connection, new: Publication) -> Adopted:
        row = await connection.fetchrow(f"{PACKAGE} WHERE p.id = $1", new.package)
        existing = None if row is None else stored_package(row)
        status = adopt(existing, new)
        if existing is None:
            await self._write_draft(connection, new)
        if status == "inserted":
            version = await self._write_version(connection, new)
            if new_latest(existing, new):
                await self._tag_latest(connection, new.package, version)
        else:
            version = await connection.fetchval(
                """
                SELECT id FROM package_versions WHERE package_id = $1
                ORDER BY version = $2 DESC, id DESC LIMIT 1
                """,
                *(new.package, new.version),
            )
        if new.application is not None:
            await self._install(connection, new)
        return Adopted(status=status, version_id=version)
