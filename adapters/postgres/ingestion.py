"""Events of runs in PostgreSQL: those that come at the same time are committed together."""

import asyncio
import contextvars
from dataclasses import dataclass, field
from typing import Any, Literal

import asyncpg
import structlog

from actors.ids import RunId
from actors.runs import Effects, Ingested, LogEntry, LogLine, RunEvent
from actors.runtime import Unavailable
from adapters.postgres.ledger import meter
from adapters.postgres.pool import Pool
from adapters.postgres.run_sink import as_text, release

log = structlog.get_logger("runs")

MOST_EARLY = 1000
# A connection may be dead without anybody noticing; only those who wait for it have deadlines.
COMMIT_SECONDS = 10.0

# The next events of some runs, one of each, in one statement. A run somebody else is busy with, or
# deletes, is left out instead of waited for, so nobody waits for another's run, and nothing can
# deadlock: what refers to a run locks its row, which is why that is locked here.
INGEST = """
    WITH came AS (
        SELECT * FROM ROWS FROM (
            unnest($1::text[]), unnest($2::text[]), unnest($3::integer[]), unnest($4::boolean[]),
            unnest($5::text[]), unnest($6::text[]), unnest($7::text[]), unnest($8::text[]),
            unnest($9::text[])
        ) AS e (run_id, message_id, sequence, logs, type, level, event, message, data)
    ), held AS (
        SELECT came.* FROM run_sinks s JOIN came USING (run_id) CROSS JOIN LATERAL (
            SELECT FROM runs r WHERE r.id = s.run_id FOR KEY SHARE SKIP LOCKED
        ) there
        WHERE s.last_sequence = came.sequence - 1 AND s.closed_at IS NULL AND NOT EXISTS (
            SELECT 1 FROM run_messages m
            WHERE m.run_id = came.run_id AND m.message_id = came.message_id
            OFFSET 0 -- each is looked up; as a join, a plan made early would read the whole table
        )
        FOR UPDATE OF s SKIP LOCKED
    ), sink AS (
        UPDATE run_sinks s SET last_sequence = held.sequence, touched_at = now(),
            log_position = s.log_position + held.logs::integer
        FROM held WHERE s.run_id = held.run_id
        RETURNING s.org_id, s.log_position, s.early_events, held.*
    ), seen AS (
        INSERT INTO run_messages (run_id, message_id) SELECT run_id, message_id FROM sink
    ), line AS (
        INSERT INTO run_logs (run_id, org_id, position, type, level, event, message, data)
        SELECT run_id, org_id, log_position, type, level, event, message, data::json
        FROM sink WHERE logs RETURNING run_id, id, created_at
    )
    SELECT sink.run_id, sink.org_id, sink.log_position, sink.early_events, line.id, line.created_at
    FROM sink LEFT JOIN line USING (run_id)
"""


@dataclass(frozen=True, slots=True, eq=False)
class Arrival:
    """An event that has come, and what becomes of it: its row, or None when it was not taken."""

    run: RunId
    message_id: str
    sequence: int
    log: LogEntry | None
    taken: asyncio.Future[asyncpg.Record | None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Ingestion:
    """Takes the events of runs, in batches that nobody waits for.

    What comes while a batch is committed makes up the next one; an event that comes alone is
    committed alone, at once. A batch has one event of a run: the first in sequence of those that
    wait. Whatever is not simply next is looked at by itself, and so is every event of a batch that
    one of them has spoilt.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._waiting: list[Arrival] = []
        self._working: asyncio.Task[None] | None = None

    async def ingest(self, run: RunId, message_id: str, event: RunEvent, left: Effects) -> Ingested:
        """Take an event if it is the next, else find out what it is."""
        arrival, totals = Arrival(run, message_id, event.sequence, left.log), None
        if left.metered:
            async with self._pool.transaction() as connection:
                row = await connection.fetchrow(INGEST, *_columns([arrival]))
                if row is not None:
                    totals = await meter(connection, run, left.usage, left.cost)
        else:
            row = await self._together(arrival)
        if row is None:
            return await self._ingest_other(run, message_id, event)
        lines = [] if left.log is None else [_line(row, left.log)]
        if row["early_events"]:
            async with self._pool.transaction() as connection:
                more, later = await release(connection, run, in_sequence=True)
            lines, totals = lines + more, later or totals
        return Ingested(outcome="persisted", lines=lines, totals=totals)

    async def _together(self, arrival: Arrival) -> asyncpg.Record | None:
        """Take an event with those that come at the same time. None when it was not taken."""
        self._waiting.append(arrival)
        if self._working is None:
            # A task of its own: whoever came first may give up, and the others may not notice.
            loop, context = asyncio.get_running_loop(), contextvars.Context()
            self._working = loop.create_task(self._work(), context=context)
        return await arrival.taken

    async def _work(self) -> None:
        batch: list[Arrival] = []
        try:
            while batch := self._next():
                rows = await self._commit(batch)
                for each in batch:
                    if not each.taken.done():
                        each.taken.set_result(rows.get(each.run))
        except Unavailable as refusal:
            for each in (*batch, *self._waiting):
                if not each.taken.done():
                    each.taken.set_exception(refusal)
            self._waiting.clear()
        finally:
            self._working = None

    def _next(self) -> list[Arrival]:
        first: dict[RunId, Arrival] = {}
        wanted = [each for each in self._waiting if not each.taken.done()]
        for each in sorted(wanted, key=lambda each: each.sequence):
            first.setdefault(each.run, each)
        batch = list(first.values())
        self._waiting = [each for each in wanted if each not in batch]
        return batch

    async def _commit(self, batch: list[Arrival]) -> dict[RunId, asyncpg.Record]:
        try:
            async with asyncio.timeout(COMMIT_SECONDS):
                rows = await self._pool.fetch(INGEST, *_columns(batch))
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - whose fault it is turns out one by one
            log.warning("events are taken one by one", events=len(batch), why=repr(error))
            return {}
        return {row["run_id"]: row for row in rows}

    async def _ingest_other(self, run: RunId, message_id: str, event: RunEvent) -> Ingested:
        """Take an event that was not next when it came: late, repeated, early, or next by now."""
        async with self._pool.transaction() as connection:
            sink = await connection.fetchrow(
                """
                SELECT last_sequence, early_events, closed_at IS NOT NULL AS closed, EXISTS (
                    SELECT 1 FROM run_messages WHERE run_id = $1 AND message_id = $2
                    UNION ALL
                    SELECT 1 FROM run_early_events WHERE run_id = $1 AND message_id = $2
                ) AS seen
                FROM run_sinks WHERE run_id = $1 FOR UPDATE
                """,
                *(run, message_id),
            )
            if sink is None or sink["closed"]:
                return Ingested(outcome="replay", closed=True)
            if event.sequence <= sink["last_sequence"] or sink["seen"]:
                return Ingested(outcome="replay")
            is_early = event.sequence > sink["last_sequence"] + 1
            if is_early and sink["early_events"] >= MOST_EARLY:
                waits = f"{MOST_EARLY} events wait for number {sink['last_sequence'] + 1} already"
                raise Unavailable(waits, retry_after=1)
            kept = await connection.fetchval(
                """
                INSERT INTO run_early_events (run_id, sequence, message_id, event)
                VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING RETURNING 1
                """,
                *(run, event.sequence, message_id, event),
            )
            if kept is None:
                return Ingested(outcome="replay")
            await connection.execute(
                """
                UPDATE run_sinks SET early_events = early_events + 1, touched_at = now()
                WHERE run_id = $1
                """,
                run,
            )
            # Its predecessor may have come while this waited for the row.
            lines, totals = await release(connection, run, in_sequence=True)
            waits = await connection.fetchval(
                "SELECT 1 FROM run_early_events WHERE run_id = $1 AND sequence = $2",
                *(run, event.sequence),
            )
        outcome: Literal["buffered", "persisted"] = "buffered" if waits else "persisted"
        return Ingested(outcome=outcome, lines=lines, totals=totals)


def _columns(batch: list[Arrival]) -> list[list[Any]]:
    logs = [each.log or LogEntry() for each in batch]
    return [
        [each.run for each in batch],
        [each.message_id for each in batch],
        [each.sequence for each in batch],
        [each.log is not None for each in batch],
        [log.type for log in logs],
        [log.level for log in logs],
        [log.event for log in logs],
        [log.message for log in logs],
        [as_text(log.data) for log in logs],
    ]


def _line(row: asyncpg.Record, log: LogEntry) -> LogLine:
    return LogLine(
        id=row["id"],
        run_id=row["run_id"],
        org_id=row["org_id"],
        type=log.type,
        level=log.level,
        event=log.event,
        message=log.message,
        data=log.data,
        created_at=row["created_at"],
        position=row["log_position"],
    )
