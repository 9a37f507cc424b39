"""The event sink of a run in PostgreSQL: log lines in order, early events, one end.

Whoever adds to a run's log holds the run's row in `run_sinks`.
"""

from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from actors.ids import RunId
from actors.runs import (
    Facts,
    LogEntry,
    LogLine,
    Report,
    RunEvent,
    Totals,
    Usage,
    Verdict,
    decide,
    effects,
)
from adapters.postgres.ledger import meter
from adapters.postgres.persistence import keep


async def finalize(
    connection: asyncpg.Connection, run: RunId, report: Report, now: datetime
) -> list[LogLine] | None:
    """End a run within the caller's transaction. None when it had ended."""
    if not await _holds_open_sink(connection, run):
        return None
    lines, _ = await release(connection, run, in_sequence=False)
    verdict = decide(report, await _facts(connection, run))
    return lines + await _end(connection, run, verdict, now)


async def abandon(
    connection: asyncpg.Connection, run: RunId, error: str, now: datetime
) -> list[LogLine] | None:
    """The same, as failed with `error`, and without a look at what the run left."""
    if not await _holds_open_sink(connection, run):
        return None
    await connection.execute("DELETE FROM run_early_events WHERE run_id = $1", run)
    return await _end(connection, run, Verdict(status="failed", error=error), now)


async def _holds_open_sink(connection: asyncpg.Connection, run: RunId) -> bool:
    held = await connection.fetchval(
        "SELECT 1 FROM run_sinks WHERE run_id = $1 AND closed_at IS NULL FOR UPDATE", run
    )
    return held is not None


async def _end(
    connection: asyncpg.Connection, run: RunId, verdict: Verdict, now: datetime
) -> list[LogLine]:
    about: dict[str, str] = {"runId": run, "status": verdict.status}
    if verdict.error is not None:
        about["error"] = verdict.error
    completed = LogEntry(type="system", level="info", event="run_completed", data=about)
    logs = [*verdict.logs, completed]
    dropped = await keep(connection, run, verdict.kept)
    if dropped.told is not None:
        full = LogEntry(type="system", level="warn", event="memories_dropped", message=dropped.told)
        logs.insert(0, full)
    lines = await append(connection, run, logs)
    await _write(connection, run, verdict, now)
    return lines


async def append(
    connection: asyncpg.Connection, run: RunId, entries: list[LogEntry]
) -> list[LogLine]:
    """Add lines to a run's log, in order. The caller holds the run's sink row, or gets it here."""
    rows = await connection.fetch(
        f"""
        WITH sink AS (
            UPDATE run_sinks SET log_position = log_position + $2, touched_at = now()
            WHERE run_id = $1 RETURNING org_id, log_position - $2 AS before
        )
        INSERT INTO run_logs (run_id, org_id, position, type, level, event, message, data)
        SELECT $1, sink.org_id, sink.before + e.n, e.type, e.level, e.event, e.message, e.data::json
        FROM sink, ROWS FROM (
            unnest($3::text[]), unnest($4::text[]), unnest($5::text[]), unnest($6::text[]),
            unnest($7::text[])
        ) WITH ORDINALITY AS e (type, level, event, message, data, n)
        ORDER BY e.n
        RETURNING {", ".join(LogLine.__struct_fields__)}
        """,
        *(run, len(entries)),
        *([e.type for e in entries], [e.level for e in entries], [e.event for e in entries]),
        *([e.message for e in entries], [as_text(e.data) for e in entries]),
    )
    return sorted((LogLine(*row) for row in rows), key=lambda line: line.id)


async def release(
    connection: asyncpg.Connection, run: RunId, *, in_sequence: bool
) -> tuple[list[LogLine], Totals | None]:
    """Apply events that came early: those whose turn it is, or all of them, gaps accepted.

    Those whose place another event has taken meanwhile are dropped.
    """
    last = await connection.fetchval(
        "SELECT last_sequence FROM run_sinks WHERE run_id = $1 FOR UPDATE", run
    )
    rows = await connection.fetch(
        """
        SELECT sequence, message_id, event FROM run_early_events
        WHERE run_id = $1 ORDER BY sequence
        """,
        run,
    )
    late = [row["sequence"] for row in rows if row["sequence"] <= last]
    due: list[RunEvent] = []
    ids: list[str] = []
    for row in rows[len(late) :]:
        if in_sequence and row["sequence"] != last + 1:
            break
        last = row["sequence"]
        due.append(msgspec.convert(row["event"], RunEvent))
        ids.append(row["message_id"])
    done = late + [event.sequence for event in due]
    if not done:
        return [], None
    left = [effects(event) for event in due]
    await connection.execute(
        "INSERT INTO run_messages SELECT $1, unnest($2::text[]) ON CONFLICT DO NOTHING",
        *(run, ids),
    )
    await connection.execute(
        "DELETE FROM run_early_events WHERE run_id = $1 AND sequence = ANY ($2)",
        *(run, done),
    )
    await connection.execute(
        """
        UPDATE run_sinks SET last_sequence = $2, early_events = early_events - $3
        WHERE run_id = $1
        """,
        *(run, last, len(done)),
    )
    totals = None
    for each in left:
        if each.metered:
            totals = await meter(connection, run, each.usage, each.cost)
    return await append(connection, run, [e.log for e in left if e.log is not None]), totals


async def _facts(connection: asyncpg.Connection, run: RunId) -> Facts:
    row = await connection.fetchrow(
        """
        SELECT output_schema, token_usage, (
            SELECT data FROM run_logs WHERE run_id = $1 AND type = 'result' AND event = 'output'
            ORDER BY id DESC LIMIT 1
        ) AS output
        FROM runs WHERE id = $1
        """,
        run,
    )
    assert row is not None
    usage = row["token_usage"]
    return Facts(
        output_schema=row["output_schema"],
        output=row["output"],
        usage=None if usage is None else Usage(**usage),
    )


async def _write(
    connection: asyncpg.Connection, run: RunId, verdict: Verdict, now: datetime
) -> None:
    if verdict.usage is not None or verdict.cost is not None:
        # What a run has cost is written with its end or not at all.
        await meter(connection, run, verdict.usage, verdict.cost)
    await connection.execute(
        """
        UPDATE runs SET status = $2, result = $3, error = $4, artifacts = $6, completed_at = $7,
            checkpoint = $8, plan = NULL,
            duration = coalesce($5, least(2147483647, greatest(0,
                1000 * extract(epoch FROM $7::timestamptz - started_at)))::integer)
        WHERE id = $1
        """,
        *(run, verdict.status, verdict.result, verdict.error),
        *(verdict.duration, verdict.artifacts, now, verdict.kept.checkpoint),
    )
    await connection.execute("UPDATE run_sinks SET closed_at = $2 WHERE run_id = $1", run, now)
    await connection.execute("DELETE FROM run_messages WHERE run_id = $1", run)


def as_text(data: Any) -> str | None:
    """JSON for an array of texts: in an array of JSON the driver takes a list for a dimension."""
    return None if data is None else msgspec.json.encode(data).decode()
