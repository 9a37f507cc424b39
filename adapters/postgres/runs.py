"""Runs in PostgreSQL: launching, starting, reading."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import asyncpg

from actors.contract import pick
from actors.ids import ApplicationId, OrgId, PackageId, RunId
from actors.persistence import Viewer
from actors.runs import (
    Effects,
    Ended,
    Ingested,
    LogLine,
    NewRun,
    Report,
    Run,
    RunEvent,
    RunFacts,
    RunPage,
    RunPlan,
    RunQuery,
    Started,
)
from adapters.postgres.ingestion import Ingestion
from adapters.postgres.notifications import notify
from adapters.postgres.pool import Pool, refusing_deleted
from adapters.postgres.run_deletion import Deletion, delete_run, delete_runs
from adapters.postgres.run_files import add_inputs, hold_inputs
from adapters.postgres.run_launch import launch
from adapters.postgres.run_rows import (
    COLUMNS,
    NAMES,
    PACKAGE_ID,
    WHOLE,
    read_plan,
    read_run,
)
from adapters.postgres.run_sink import abandon, finalize
from adapters.postgres.webhooks import tell_webhooks

FILTERS = {
    "package": "package_id =",
    "status": "status =",
    "user": "user_id =",
    "ephemeral": "package_ephemeral =",
    "since": "started_at >=",
    "until": "started_at <",
    "schedule": "schedule_id =",
    "end_user": "end_user_id =",
}
"""The fields of a query, and what each asks of a run."""


class PostgresRunRecords:
    """`RunRecords` over the pool."""

    def __init__(self, pool: Pool, org_bytes: int | None = None) -> None:
        self._pool = pool
        self._org_bytes = org_bytes
        self._ingestion = Ingestion(pool)

    @refusing_deleted
    async def launch(self, new: Sequence[NewRun], most_pending: int) -> list[tuple[Run, LogLine]]:
        pool = self._pool
        files = any(each.plan.files for each in new)
        async with pool.transaction() if files else pool.connection() as connection:
            launched = await launch(connection, new, most_pending)
            there = {run.id for run, _ in launched}
            # Before anything is counted: whoever deletes a document counts it at last, too.
            await hold_inputs(connection, [each.plan for each in new if each.plan.run in there])
            for each in new:
                if each.plan.files and each.plan.run in there:
                    await add_inputs(connection, each.plan, self._org_bytes)
        return launched

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
        return await self._ingestion.ingest(run, message_id, event, effects)

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
        arguments: list[Any] = [org, application]
        conditions = ["r.org_id = $1", "r.application_id = $2"]
        # Only what is asked for, so that each kind of list is planned for itself.
        for name, condition in FILTERS.items():
            if (wanted := getattr(query, name)) is not None:
                arguments.append(wanted)
                conditions.append(f"r.{condition} ${len(arguments)}")
        chosen = f"FROM runs r WHERE {' AND '.join(conditions)}"
        n = len(arguments)
        # The page first: names are looked up for its runs, not for all there are.
        rows = await self._pool.fetch(
            f"""
            SELECT {COLUMNS}, r.total FROM (
                SELECT r.*, (SELECT count(*) {chosen}) AS total {chosen}
                ORDER BY r.started_at DESC, r.id DESC LIMIT ${n + 1} OFFSET ${n + 2}
            ) r {NAMES} ORDER BY r.started_at DESC, r.id DESC
            """,
            *(*arguments, query.limit, query.offset),
        )
        # A page beyond the last run has no row to carry the total.
        past = not rows and query.offset > 0
        total = await self._pool.fetchval(f"SELECT count(*) {chosen}", *arguments) if past else 0
        total = rows[0]["total"] if rows else total
        return RunPage(runs=[read_run(row) for row in rows], total=total)

    async def logs(
        self, org: OrgId, run: RunId, since: int, levels: list[str], limit: int
    ) -> list[LogLine]:
        rows = await self._pool.fetch(
            f"""
            SELECT {", ".join(LogLine.__struct_fields__)}
            FROM run_logs WHERE org_id = $1 AND run_id = $2 AND id > $3 AND level = ANY ($4)
            ORDER BY id LIMIT $5
            """,
            *(org, run, since, levels, limit),
        )
        return [LogLine(*row) for row in rows]


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
