"""The files that go into runs and come out of them, in PostgreSQL."""

from collections.abc import Sequence

import asyncpg
from msgspec.structs import replace

from actors.files import Document, FileLimits, InputFile, OutputRoom, Upload
from actors.ids import ApplicationId, DocumentId, OrgId, RunId, UploadId
from actors.runs import RunPlan
from actors.runtime import Conflict, Rejected
from adapters.postgres.files import DOCUMENT, UPLOAD, read_document
from adapters.postgres.pool import Pool, refusing_deleted

OUTPUTS = """
    SELECT count(*) AS files, coalesce(sum(size), 0)::bigint AS size FROM documents
    WHERE run_id = $1 AND purpose = 'agent_output'
"""


class PostgresRunFileRecords:
    """`RunFileRecords` over the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def uploads(
        self, org: OrgId, application: ApplicationId, uploads: list[UploadId]
    ) -> list[Upload]:
        rows = await self._pool.fetch(
            f"""
            SELECT {UPLOAD} FROM uploads
            WHERE org_id = $1 AND application_id = $2 AND id = ANY ($3)
            """,
            *(org, application, uploads),
        )
        return [Upload(**dict(row)) for row in rows]

    async def documents(
        self, org: OrgId, application: ApplicationId, documents: list[DocumentId]
    ) -> list[Document]:
        rows = await self._pool.fetch(
            f"""
            SELECT {DOCUMENT} FROM documents
            WHERE org_id = $1 AND application_id = $2 AND id = ANY ($3)
            """,
            *(org, application, documents),
        )
        return [read_document(row) for row in rows]

    async def inputs(self, run: RunId) -> list[InputFile]:
        rows = await self._pool.fetch(
            """
            SELECT d.id AS document, l.workspace_name, d.storage_key, d.name, d.mime, d.size,
                   d.sha256, false AS new
            FROM document_links l JOIN documents d ON d.id = l.document_id
            WHERE l.consumer_run_id = $1 ORDER BY l.position
            """,
            run,
        )
        return [InputFile(**dict(row)) for row in rows]

    async def claim_message(self, run: RunId, message_id: str) -> OutputRoom:
        async with self._pool.transaction() as connection:
            status = await connection.fetchval(
                "SELECT status FROM runs WHERE id = $1 FOR KEY SHARE", run
            )
            if status != "running":
                return OutputRoom(running=False)
            claimed = await connection.fetchval(
                """
                INSERT INTO run_messages (run_id, message_id) VALUES ($1, $2)
                ON CONFLICT DO NOTHING RETURNING 1
                """,
                *(run, message_id),
            )
            outputs = await connection.fetchrow(OUTPUTS, run)
            assert outputs is not None
        return OutputRoom(running=True, replayed=claimed is None, **dict(outputs))

    @refusing_deleted
    async def add_output(self, document: Document, limits: FileLimits) -> Document:
        async with self._pool.transaction() as connection:
            # Whoever adds to a run's outputs holds its row: they are counted one by one.
            run = await connection.fetchrow(
                "SELECT status, end_user_id FROM runs WHERE id = $1 FOR NO KEY UPDATE",
                document.run_id,
            )
            if run is None or run["status"] != "running":
                raise Conflict("the run is not running", code="run_not_running")
            same = await connection.fetchrow(
                f"""
                SELECT {DOCUMENT} FROM documents WHERE run_id = $1 AND sha256 = $2 AND name = $3
                    AND purpose = 'agent_output'
                """,
                *(document.run_id, document.sha256, document.name),
            )
            if same is None:
                await _check_outputs(connection, document, limits)
                await _count(connection, document.org_id, document.size, limits.org_bytes)
                made = replace(document, presentation=None, end_user_id=run["end_user_id"])
                await _insert(connection, made)
            kept = document if same is None else read_document(same)
            await connection.execute(
                "UPDATE runs SET documents_out = documents_out + $2 WHERE id = $1",
                *(document.run_id, int(same is None)),
            )
            if document.presentation is not None:
                await _lead(connection, kept)
                return replace(kept, presentation="primary")
        return kept


async def _lead(connection: asyncpg.Connection, document: Document) -> None:
    await connection.execute(
        "UPDATE documents SET presentation = NULL WHERE run_id = $1 AND presentation = 'primary'",
        document.run_id,
    )
    await connection.execute(
        "UPDATE documents SET presentation = 'primary' WHERE id = $1", document.id
    )
    await connection.execute(
        "UPDATE runs SET primary_document_id = $2 WHERE id = $1", document.run_id, document.id
    )


async def _check_outputs(
    connection: asyncpg.Connection, document: Document, limits: FileLimits
) -> None:
    outputs = await connection.fetchrow(OUTPUTS, document.run_id)
    assert outputs is not None
    if outputs["files"] >= limits.input_files:
        raise Rejected(
            f"a run publishes at most {limits.input_files} files", code="document_count_exceeded"
        )
    if outputs["size"] + document.size > limits.output_bytes:
        raise Rejected(
            f"a run publishes at most {limits.output_bytes} bytes", code="payload_too_large"
        )


async def hold_inputs(connection: asyncpg.Connection, plans: Sequence[RunPlan]) -> None:
    """Keep the documents that runs to be inserted read, until the end of the transaction."""
    read = [file.document for plan in plans for file in plan.files if not file.new]
    if read:
        held = "SELECT FROM documents WHERE id = ANY ($1) ORDER BY id FOR KEY SHARE"
        await connection.execute(held, read)


async def add_inputs(connection: asyncpg.Connection, plan: RunPlan, org_bytes: int | None) -> None:
    """Give a run that was just inserted its files, in the transaction that inserted it."""
    files = plan.files
    new = [file for file in files if file.new]
    await _count(connection, plan.org, sum(file.size for file in new), org_bytes)
    for file in new:
        await connection.execute(
            """
            INSERT INTO documents (id, org_id, application_id, purpose, run_id, package_id, user_id,
                storage_key, name, mime, size, sha256, expires_at, end_user_id)
            VALUES ($1, $2, $3, 'user_upload', $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
            """,
            *(file.document, plan.org, plan.application, plan.run, plan.package, plan.user),
            *(file.storage_key, file.name, file.mime, file.size, file.sha256, file.expires_at),
            plan.end_user,
        )
        if file.upload is not None:
            await _consume(connection, file)
    await connection.executemany(
        """
        INSERT INTO document_links (document_id, consumer_run_id, position, workspace_name)
        VALUES ($1, $2, $3, $4)
        """,
        [(file.document, plan.run, n, file.workspace_name) for n, file in enumerate(files)],
    )


async def _consume(connection: asyncpg.Connection, file: InputFile) -> None:
    # By the clock, for this transaction may have begun before the one that was quicker was planned.
    consumed = await connection.fetchval(
        """
        UPDATE uploads SET consumed_at = coalesce(consumed_at, now()),
            expires_at = CASE WHEN consumed_at IS NULL THEN $2 ELSE expires_at END
        WHERE id = $1 AND (consumed_at IS NULL OR expires_at > clock_timestamp()) RETURNING 1
        """,
        *(file.upload, file.reusable_until),
    )
    if consumed is None:
        raise Conflict(f"{file.name} was given to another run meanwhile: upload it again")


async def _count(
    connection: asyncpg.Connection, org: OrgId, size: int, org_bytes: int | None
) -> None:
    """Count bytes that an organization keeps; refuses what is more than it may."""
    if not size:
        return
    counted = await connection.fetchval(
        """
        UPDATE organizations SET documents_bytes_used = documents_bytes_used + $2
        WHERE id = $1 AND documents_bytes_used + $2
            <= coalesce(documents_bytes_limit, $3, 9223372036854775807)
        RETURNING 1
        """,
        *(org, size, org_bytes),
    )
    if counted is None:
        raise Rejected(
            "the documents of this organization have reached its limit: delete some first",
            code="storage_limit_exceeded",
        )


async def _insert(connection: asyncpg.Connection, document: Document) -> None:
    names: Sequence[str] = Document.__struct_fields__
    places = ", ".join(f"${n}" for n in range(1, len(names) + 1))
    await connection.execute(
        f"INSERT INTO documents ({', '.join(names)}) VALUES ({places})",
        *(getattr(document, name) for name in names),
    )
