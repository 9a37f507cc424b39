"""Runs in PostgreSQL: launching, starting, reading."""

from datetime import datetime
from typing import Any, Literal

import asyncpg
import msgspec
import structlog

from actors.contract import pick
from actors.ids import ApplicationId, OrgId, PackageId, RunId
from actors.packages import split_name
from actors.persistence import Viewer
from actors.runs import (
    DocumentCounts,
    Effects,
    Ended,
    Ingested,
    LogEntry,
    LogLine,
    Report,
    Run,
    RunEvent,
    RunFacts,
    RunPage,
    RunPlan,
    RunQuery,
    Started,
)
from adapters.postgres.notifications import notify
from adapters.postgres.pool import Pool, refusing_deleted
from adapters.postgres.run_deletion import Deletion, delete_run, delete_runs
from adapters.postgres.run_files import add_inputs
from adapters.postgres.run_sink import abandon, finalize, ingest
from adapters.postgres.webhooks import tell_webhooks

log = structlog.get_logger("runs")

# An inline run's agent is no package, but has a name like one.
PACKAGE_ID = """
    CASE WHEN r.package_ephemeral THEN r.agent_scope || '/' || r.agent_name ELSE r.package_id END
"""
# All that lists show of a run, and not the plan, which is long.
COLUMNS = f"""
    r.id, r.org_id, r.application_id, {PACKAGE_ID} AS package_id, r.agent_scope, r.agent_name,
    r.run_number, r.run_origin, r.user_id, r.api_key_id, r.status, r.input, r.result, r.error,
    r.checkpoint, r.artifacts, r.metadata, r.token_usage, r.cost, r.cost_pricing_status,
    r.version_label, r.version_ref, r.model_label, r.model_source, r.model_credential_id,
    r.runner_name, r.runner_kind, r.started_at, r.completed_at, r.duration, r.generation,
    r.generation_override, r.connection_overrides, r.dependency_overrides, r.proxy_label,
    r.documents_in, r.documents_out, r.primary_document_id,
    r.context_snapshot, r.package_ephemeral, r.schedule_id, u.name AS user_name,
    k.name AS api_key_name, sc.name AS schedule_name, r.end_user_id, e.name AS end_user_name
"""
WHOLE = f"{COLUMNS}, r.inline_manifest, r.inline_prompt"
NAMES = """
    LEFT JOIN users u ON u.id = r.user_id LEFT JOIN api_keys k ON k.id = r.api_key_id
    LEFT JOIN schedules sc ON sc.id = r.schedule_id LEFT JOIN end_users e ON e.id = r.end_user_id
"""


class PostgresRunRecords:
    """`RunRecords` over the pool."""

    def __init__(self, pool: Pool, org_bytes: int | None = None) -> None:
        self._pool = pool
        self._org_bytes = org_bytes

    @refusing_deleted
    async def launch(
        self,
        plan: RunPlan,
        sealed_secret: str,
        expires_at: datetime,
        first: LogEntry,
        most_pending: int,
    ) -> tuple[Run, LogLine] | None:
        pool = self._pool
        async with pool.transaction() if plan.files else pool.connection() as connection:
            row = await _launch(
                connection,
                plan,
                sealed_secret,
                expires_at,
                first=first,
                most_pending=most_pending,
            )
            if row is not None and plan.files:
                await add_inputs(connection, plan, self._org_bytes)
        if row is None:
            return None
        line = LogLine(
            id=row["line_id"],
            run_id=plan.run,
            org_id=plan.org,
            type=first.type,
            level=first.level,
            event=first.event,
            message=first.message,
            data=first.data,
            created_at=row["line_created_at"],
            position=1,
        )
        return read_run(row), line

    async def begin(self, run: RunId, now: datetime) -> Started | None:
        async with self._pool.transaction() as connection:
            row = await connection.fetchrow(
                f"""
                WITH r AS (
                    UPDATE runs SET status = 'running'
                    WHERE id = $1 AND status = 'pending' AND run_origin = 'remote' RETURNING *
                )
                SELECT {WHOLE} FROM r {NAMES}
                """,
                run,
            )
            if row is None:
                return None
            started = read_run(row)
            tells = await tell_webhooks(connection, started, now)
        return Started(run=started, lines=[], tells=tells)

    async def extend(
        self, org: OrgId, application: ApplicationId, run: RunId, expires_at: datetime
    ) -> bool:
        extended = await self._pool.fetchval(
            """
            UPDATE run_sinks s SET expires_at = $4, touched_at = now() FROM runs r
            WHERE s.run_id = $3 AND r.id = $3 AND r.org_id = $1 AND r.application_id = $2
                AND s.closed_at IS NULL RETURNING 1
            """,
            *(org, application, run, expires_at),
        )
        return extended is not None

    async def facts(self, run: RunId) -> RunFacts | None:
        row = await self._pool.fetchrow(
            f"""
            SELECT r.id AS run, r.org_id AS org, r.application_id AS application,
                   {PACKAGE_ID} AS package, s.secret_encrypted AS sealed_secret, s.expires_at,
                   s.closed_at IS NOT NULL AS closed,
                   r.run_origin = 'remote' AND r.status = 'pending' AS awaited
            FROM runs r JOIN run_sinks s ON s.run_id = r.id WHERE r.id = $1
            """,
            run,
        )
        return None if row is None else RunFacts(**dict(row))

    async def viewer(self, run: RunId) -> tuple[str, Viewer] | None:
        row = await self._pool.fetchrow(
            f"""
            SELECT r.status, r.org_id AS org, r.application_id AS application,
                   {PACKAGE_ID} AS package, r.user_id AS user, r.end_user_id AS end_user
            FROM runs r WHERE r.id = $1 AND {PACKAGE_ID} IS NOT NULL
            """,
            run,
        )
        return None if row is None else (row["status"], Viewer(**pick(Viewer, row)))

    async def plan(self, run: RunId) -> RunPlan | None:
        return read_plan(await self._pool.fetchval("SELECT plan FROM runs WHERE id = $1", run), run)

    async def ingest(
        self, run: RunId, message_id: str, event: RunEvent, effects: Effects
    ) -> Ingested:
        return await ingest(self._pool, run, message_id, event, effects)

    async def touch(self, run: RunId) -> bool:
        touched = await self._pool.fetchval(
            """
            UPDATE run_sinks SET touched_at = now()
            WHERE run_id = $1 AND closed_at IS NULL RETURNING 1
            """,
            run,
        )
        return touched is not None

    async def finalize(self, run: RunId, report: Report, now: datetime) -> Ended | None:
        async with self._pool.transaction() as connection:
            lines = await finalize(connection, run, report, now)
            return await _ended(connection, run, lines, now)

    async def abandon(self, run: RunId, error: str, now: datetime) -> Ended | None:
        async with self._pool.transaction() as connection:
            lines = await abandon(connection, run, error, now)
            return await _ended(connection, run, lines, now)

    async def delete(self, org: OrgId, application: ApplicationId, run: RunId) -> Deletion:
        return await delete_run(self._pool, org, application, run)

    async def delete_all(
        self, org: OrgId, application: ApplicationId, package: PackageId
    ) -> int | Literal["active", "read"]:
        return await delete_runs(self._pool, org, application, package)

    async def run(self, org: OrgId, application: ApplicationId, run: RunId) -> Run | None:
        row = await self._pool.fetchrow(
            f"""
            SELECT {WHOLE} FROM runs r {NAMES}
            WHERE r.org_id = $1 AND r.application_id = $2 AND r.id = $3
            """,
            *(org, application, run),
        )
        return None if row is None else read_run(row)

    async def runs(self, org: OrgId, application: ApplicationId, query: RunQuery) -> RunPage:
        where = """
            r.org_id = $1 AND r.application_id = $2
            AND ($3::text IS NULL OR r.package_id = $3)
            AND ($4::text IS NULL OR r.status = $4)
            AND ($5::text IS NULL OR r.user_id = $5)
            AND ($6::boolean IS NULL OR r.package_ephemeral = $6)
            AND ($7::timestamptz IS NULL OR r.started_at >= $7)
            AND ($8::timestamptz IS NULL OR r.started_at < $8)
            AND ($9::text IS NULL OR r.schedule_id = $9)
            AND ($10::text IS NULL OR r.end_user_id = $10)
        """
        chosen = (
            *(org, application, query.package, query.status, query.user),
            *(query.ephemeral, query.since, query.until, query.schedule, query.end_user),
        )
        count = f"SELECT count(*) FROM runs r WHERE {where}"
        rows = await self._pool.fetch(
            f"""
            SELECT {COLUMNS}, ({count}) AS total FROM runs r {NAMES} WHERE {where}
            ORDER BY r.started_at DESC, r.id DESC LIMIT $11 OFFSET $12
            """,
            *(*chosen, query.limit, query.offset),
        )
        # A page beyond the last run has no row to carry the total.
        past = not rows and query.offset > 0
        total = await self._pool.fetchval(count, *chosen) if past else 0
        total = rows[0]["total"] if rows else total
        return RunPage(runs=[read_run(row) for row in rows], total=total)

    async def logs(
        self, org: OrgId, run: RunId, since: int, levels: list[str], limit: int
    ) -> list[LogLine]:
        rows = await self._pool.fetch(
            """
            SELECT id, run_id, org_id, position, type, level, event, message, data, created_at
            FROM run_logs WHERE org_id = $1 AND run_id = $2 AND id > $3 AND level = ANY ($4)
            ORDER BY id LIMIT $5
            """,
            *(org, run, since, levels, limit),
        )
        return [LogLine(**dict(row)) for row in rows]


async def _launch(
    connection: asyncpg.Connection,
    plan: RunPlan,
    sealed_secret: str,
    expires_at: datetime,
    *,
    first: LogEntry,
    most_pending: int,
) -> asyncpg.Record | None:
    scope, name = split_name(plan.package)
    model = plan.model
    return await connection.fetchrow(
        f"""
        WITH counter AS (
            INSERT INTO run_counters
            SELECT $3, CASE WHEN $27::json IS NULL THEN $4 ELSE '@inline' END, 1
            WHERE $26 > (SELECT count(*) FROM runs WHERE org_id = $2 AND status = 'pending')
            ON CONFLICT (application_id, package_id)
            DO UPDATE SET last_number = run_counters.last_number + 1
            RETURNING last_number
        ), fire AS (
            UPDATE schedule_fires SET state = 'fired', run_id = $1, lease_until = NULL
            WHERE schedule_id = $33 AND due_at = $34 AND state = 'due'
                AND EXISTS (SELECT FROM counter)
            RETURNING schedule_id
        ), last AS (
            UPDATE schedules SET last_run_at = now() FROM fire WHERE id = fire.schedule_id
        ), r AS (
            INSERT INTO runs (id, org_id, application_id, package_id, agent_scope, agent_name,
                run_number, user_id, api_key_id, input, version_label, version_ref,
                model_label, model_source, model_credential_id, runner_name, runner_kind,
                plan, output_schema, inline_manifest, inline_prompt, package_ephemeral,
                generation, generation_override, connection_overrides, dependency_overrides,
                schedule_id, run_origin, context_snapshot, end_user_id, documents_in)
            SELECT $1, $2, $3, CASE WHEN $27::json IS NULL THEN $4 END, $5, $6, last_number,
                   $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $27, $28,
                   $27 IS NOT NULL, $29, $30, $31, $32, $33, $35, $36, $37, $38
            FROM counter
            WHERE $34::timestamptz IS NULL OR EXISTS (SELECT FROM fire)
            RETURNING *
        ), sink AS (
            INSERT INTO run_sinks (run_id, org_id, secret_encrypted, expires_at, log_position)
            SELECT id, org_id, $19, $20, 1 FROM r
        ), line AS (
            INSERT INTO run_logs (run_id, org_id, position, type, level, event, message, data)
            SELECT id, org_id, 1, $21, $22, $23, $24, $25 FROM r
            RETURNING id AS line_id, created_at AS line_created_at
        )
        SELECT {WHOLE}, line.* FROM r CROSS JOIN line {NAMES}
        """,
        *(plan.run, plan.org, plan.application, plan.package, scope, name, plan.user),
        *(plan.api_key, plan.input, plan.agent.version_label, plan.agent.version_ref),
        *((model.label, model.source, model.org_credential) if model else (None, None, None)),
        *(plan.runner_name, plan.runner_kind, plan, plan.output_schema),
        *(sealed_secret, expires_at),
        *(first.type, first.level, first.event, first.message, first.data),
        most_pending,
        *((plan.inline.manifest, plan.inline.prompt) if plan.inline else (None, None)),
        *(plan.generation, plan.generation_override),
        *(plan.connection_overrides, plan.dependency_overrides),
        *((plan.fire.schedule, plan.fire.due_at) if plan.fire else (None, None)),
        *(plan.origin, plan.context_snapshot, plan.end_user, len(plan.files)),
    )


async def _ended(
    connection: asyncpg.Connection, run: RunId, lines: list[LogLine] | None, now: datetime
) -> Ended | None:
    if lines is None:
        return None
    row = await connection.fetchrow(f"SELECT {COLUMNS} FROM runs r {NAMES} WHERE r.id = $1", run)
    assert row is not None
    ended = read_run(row)
    await notify(connection, run, now)
    tells = await tell_webhooks(connection, ended, now)
    return Ended(run=ended, lines=lines, tells=tells)


def read_plan(document: Any, run: RunId) -> RunPlan | None:
    """A stored plan. None when there is none, or none that this version can read."""
    if document is None:
        return None
    try:
        return msgspec.convert(document, RunPlan)
    except msgspec.ValidationError as error:
        log.warning("the plan of a run cannot be read", run=run, why=str(error))
        return None


def read_run(row: asyncpg.Record) -> Run:
    """A run from its columns."""
    fields: dict[str, Any] = pick(Run, row)
    counts = DocumentCounts(input=row["documents_in"], output=row["documents_out"])
    return Run(**fields, document_counts=counts)
