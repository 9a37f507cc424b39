"""Uploads and documents in PostgreSQL, and what goes by itself."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import asyncpg

from actors.files import Document, DocumentQuery, FileLimits, Upload
from actors.ids import ApplicationId, DocumentId, OrgId, UploadId
from actors.packages.content import integrity_at
from actors.runtime import LimitExceeded, Rejected
from adapters.postgres.archives import PostgresArchiveRecords
from adapters.postgres.pool import Pool, refusing_deleted

UPLOAD = """
    id, org_id, application_id, created_by, end_user_id, storage_key, name, mime, size, sha256,
    expires_at, consumed_at
"""
DOCUMENT = """
    id, org_id, application_id, purpose, run_id, package_id, user_id, end_user_id, storage_key,
    name, mime, size, sha256, presentation, expires_at, created_at
"""
# Whether a run reads a document that it did not bring, or is not done with it.
IN_USE = """
    SELECT 1 FROM document_links l JOIN runs r ON r.id = l.consumer_run_id
    WHERE l.document_id = d.id
        AND (r.status IN ('pending', 'running') OR r.id IS DISTINCT FROM d.run_id)
"""
ACTIVE = """
    SELECT 1 FROM document_links l JOIN runs r ON r.id = l.consumer_run_id
    WHERE l.document_id = d.id AND r.status IN ('pending', 'running')
"""

# A cursor stands for a place in the order; one that is nowhere has nothing around it.
PLACE = """
    (created_at, id) {} (
        SELECT created_at, id FROM documents WHERE id = {{}} AND application_id = $2
    )
"""
FILTERS = {
    "purpose": "purpose = {}",
    "run": """
        id = ANY (ARRAY (
            SELECT id FROM documents WHERE run_id = {0}
            UNION SELECT document_id FROM document_links WHERE consumer_run_id = {0}
        ))
    """,
    "package": "package_id = {}",
    "end_user": "end_user_id = {}",
    "after": PLACE.format("<"),
    "before": PLACE.format(">"),
}
"""The fields of a query, and what each asks of a document."""


class PostgresUploadRecords:
    """`UploadRecords` over the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @refusing_deleted
    async def add(self, upload: Upload, limits: FileLimits, now: datetime) -> None:
        async with self._pool.transaction() as connection:
            # One at a time for each organization, so that nobody's count is out of date.
            await connection.execute(
                "SELECT FROM organizations WHERE id = $1 FOR NO KEY UPDATE", upload.org_id
            )
            staged = await connection.fetchrow(
                """
                SELECT count(*) FILTER (
                           WHERE created_by IS NOT DISTINCT FROM $2
                               AND end_user_id IS NOT DISTINCT FROM $4
                       ) AS files,
                       coalesce(sum(size), 0) AS bytes
                FROM uploads WHERE org_id = $1 AND expires_at > $3 AND consumed_at IS NULL
                """,
                *(upload.org_id, upload.created_by, now, upload.end_user_id),
            )
            assert staged is not None
            _check_staged(staged, upload, limits)
            await connection.execute(
                f"""
                INSERT INTO uploads ({UPLOAD})
                VALUES ($1, $2, $3, $4, $10, NULL, $5, $6, $7, $8, $9, NULL)
                """,
                *(upload.id, upload.org_id, upload.application_id, upload.created_by),
                *(upload.name, upload.mime, upload.size, upload.sha256, upload.expires_at),
                upload.end_user_id,
            )

    async def upload(self, upload: UploadId) -> Upload | None:
        row = await self._pool.fetchrow(f"SELECT {UPLOAD} FROM uploads WHERE id = $1", upload)
        return None if row is None else Upload(**dict(row))

    async def written(self, upload: UploadId, storage_key: str, sha256: str) -> bool:
        written = await self._pool.fetchval(
            """
            UPDATE uploads SET storage_key = $2, sha256 = $3
            WHERE id = $1 AND storage_key IS NULL RETURNING 1
            """,
            *(upload, storage_key, sha256),
        )
        return written is not None


class PostgresDocumentRecords:
    """`DocumentRecords` over the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def documents(
        self, org: OrgId, application: ApplicationId, query: DocumentQuery
    ) -> list[Document]:
        arguments: list[Any] = [org, application]
        conditions = ["org_id = $1", "application_id = $2"]
        # Only what is asked for, so that each kind of list is planned for itself.
        for name, condition in FILTERS.items():
            if (wanted := getattr(query, name)) is not None:
                arguments.append(wanted)
                conditions.append(condition.format(f"${len(arguments)}"))
        order = "DESC" if query.before is None else "ASC"
        rows = await self._pool.fetch(
            f"""
            SELECT {DOCUMENT} FROM documents WHERE {" AND ".join(conditions)}
            ORDER BY created_at {order}, id {order} LIMIT ${len(arguments) + 1}
            """,
            *(*arguments, query.limit + 1),
        )
        return [read_document(row) for row in rows]

    async def document(
        self, org: OrgId, application: ApplicationId, document: DocumentId
    ) -> Document | None:
        row = await self._pool.fetchrow(
            f"""
            SELECT {DOCUMENT} FROM documents
            WHERE org_id = $1 AND application_id = $2 AND id = $3
            """,
            *(org, application, document),
        )
        return None if row is None else read_document(row)

    async def any_document(self, document: DocumentId) -> Document | None:
        row = await self._pool.fetchrow(f"SELECT {DOCUMENT} FROM documents WHERE id = $1", document)
        return None if row is None else read_document(row)

    async def keep(self, document: DocumentId) -> Document | None:
        row = await self._pool.fetchrow(
            f"UPDATE documents SET expires_at = NULL WHERE id = $1 RETURNING {DOCUMENT}", document
        )
        return None if row is None else read_document(row)

    async def delete(self, document: DocumentId) -> bool:
        async with self._pool.transaction() as connection:
            # Whoever adds to the outputs of its run holds that.
            await connection.execute(
                """
                SELECT FROM runs WHERE id = (SELECT run_id FROM documents WHERE id = $1)
                FOR NO KEY UPDATE
                """,
                document,
            )
            # A run that is launched with it meanwhile waits here, or is seen in what follows.
            await connection.execute("SELECT FROM documents WHERE id = $1 FOR UPDATE", document)
            in_use = await connection.fetchval(
                f"SELECT EXISTS ({IN_USE}) FROM documents d WHERE d.id = $1", document
            )
            if not in_use:
                await connection.execute("DELETE FROM documents WHERE id = $1", document)
        return not in_use


class PostgresSweepRecords:
    """`SweepRecords` over the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def sweep(self, now: datetime, most: int) -> int:
        async with self._pool.transaction() as connection:
            uploads = await connection.fetch(
                """
                DELETE FROM uploads WHERE id IN (
                    SELECT id FROM uploads WHERE expires_at <= $1
                    LIMIT $2 FOR UPDATE SKIP LOCKED
                ) RETURNING 1
                """,
                *(now, most),
            )
            runs = await connection.fetch(
                f"""
                SELECT id FROM runs WHERE id IN (
                    SELECT run_id FROM documents d
                    WHERE expires_at <= $1 AND NOT EXISTS ({ACTIVE}) LIMIT $2
                ) ORDER BY id FOR NO KEY UPDATE
                """,
                *(now, most),
            )
            documents = await connection.fetch(
                f"""
                DELETE FROM documents WHERE id IN (
                    SELECT id FROM documents d WHERE expires_at <= $1 AND NOT EXISTS ({ACTIVE})
                        AND (run_id IS NULL OR run_id = ANY ($3))
                    LIMIT $2 FOR UPDATE SKIP LOCKED
                ) RETURNING 1
                """,
                *(now, most, [row["id"] for row in runs]),
            )
        return len(uploads) + len(documents)

    async def delete_unkept(self, storage_key: str, delete: Callable[[], Awaitable[None]]) -> None:
        archive = integrity_at(storage_key)
        if archive is not None:
            await PostgresArchiveRecords(self._pool).discard(archive, lambda _: delete())
        elif not await self._is_kept(storage_key):
            await delete()

    async def _is_kept(self, storage_key: str) -> bool:
        kept = await self._pool.fetchval(
            """
            SELECT EXISTS (SELECT 1 FROM documents WHERE storage_key = $1)
                OR EXISTS (SELECT 1 FROM uploads WHERE storage_key = $1)
            """,
            storage_key,
        )
        return bool(kept)


def read_document(row: asyncpg.Record) -> Document:
    """A document from its columns."""
    fields: dict[str, Any] = dict(row)
    return Document(**fields)


def _check_staged(staged: asyncpg.Record, upload: Upload, limits: FileLimits) -> None:
    if staged["files"] >= limits.staged_of_user:
        raise LimitExceeded(
            f"{limits.staged_of_user} uploads of yours wait to be given to a run: use them, or "
            "wait until they expire",
            code="upload_staging_limit_exceeded",
            retry_after=60,
        )
    if staged["bytes"] + upload.size > limits.staged_bytes_of_org:
        raise Rejected(
            f"the uploads of this organization that wait to be given to a run may have "
            f"{limits.staged_bytes_of_org} bytes together",
            code="storage_limit_exceeded",
        )
