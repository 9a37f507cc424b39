"""Who executes which run, in PostgreSQL."""

from datetime import UTC, datetime

from actors.ids import RunId
from actors.runs import (
    ClaimedRun,
    Hold,
    Identity,
    Liveness,
    LogEntry,
    SilentRun,
    Started,
)
from adapters.postgres.pool import Pool
from adapters.postgres.run_rows import COLUMNS, NAMES, read_plan, read_run
from adapters.postgres.run_sink import append
from adapters.postgres.webhooks import tell_webhooks

SILENT_AT_ONCE = 200
# Any number will do that nothing else in this database locks.
WATCHDOG_LOCK = 0x61707077

ALIVE = """
    SELECT 1 FROM instances i
    WHERE i.id = r.instance_id AND i.boot_id = r.boot_id AND i.lease_until > now()
"""

# A run's turn is the number of those of its organization that go before it: started, claimed, or
# older; among equals the organization goes first that was served longest ago. What is locked is
# being claimed by somebody else; what changed meanwhile has been.
CLAIM = f"""
    WITH active AS (
        SELECT r.id, r.org_id, r.started_at, r.instance_id, r.boot_id,
               r.status = 'running' OR EXISTS ({ALIVE}) AS taken
        FROM runs r
        WHERE r.status IN ('pending', 'running') AND r.run_origin = 'platform'
    ), turns AS (
        SELECT *, count(*) FILTER (WHERE taken) OVER (PARTITION BY org_id)
            + row_number() OVER (PARTITION BY org_id, taken ORDER BY started_at, id) AS turn
        FROM active
    ), chosen AS (
        SELECT r.id, r.org_id FROM turns t JOIN runs r USING (id)
        LEFT JOIN run_turns served ON served.org_id = r.org_id
        WHERE NOT t.taken AND t.turn <= $3 AND r.status = 'pending'
            AND r.instance_id IS NOT DISTINCT FROM t.instance_id
            AND r.boot_id IS NOT DISTINCT FROM t.boot_id
        ORDER BY t.turn, served.served_at NULLS FIRST, t.started_at, t.id LIMIT 1
        FOR UPDATE OF r SKIP LOCKED
    ), served AS (
        INSERT INTO run_turns SELECT org_id, clock_timestamp() FROM chosen
        ON CONFLICT (org_id) DO UPDATE SET served_at = excluded.served_at
    )
    UPDATE runs SET instance_id = $1, boot_id = $2
    FROM chosen JOIN run_sinks s ON s.run_id = chosen.id WHERE runs.id = chosen.id
    RETURNING runs.id AS run, runs.plan, s.secret_encrypted AS sealed_secret
"""

START = f"""
    WITH sink AS (
        UPDATE run_sinks SET expires_at = greatest(expires_at, $5), boot_deadline_at = $4
        WHERE run_id = $1 RETURNING run_id
    ), r AS (
        UPDATE runs SET status = 'running', instance_id = $2, boot_id = $3, deadline_at = $5
        FROM sink WHERE id = sink.run_id AND status = 'pending' RETURNING runs.*
    )
    SELECT {COLUMNS} FROM r {NAMES}
"""

RELEASE = """
    UPDATE runs SET instance_id = NULL, boot_id = NULL
    WHERE status = 'pending' AND instance_id = $1 AND boot_id = $2
"""

SILENT = f"""
    SELECT * FROM (
        SELECT r.id AS run, coalesce((r.plan->>'timeout')::float8, 0) AS timeout, CASE
            WHEN r.deadline_at < now() THEN 'overdue'
            WHEN NOT $2::boolean THEN NULL
            WHEN r.run_origin = 'remote' AND s.last_sequence = 0 THEN
                CASE WHEN s.expires_at < now() THEN 'unborn' END
            WHEN r.run_origin = 'platform' AND NOT EXISTS ({ALIVE}) THEN 'orphaned'
            WHEN s.last_sequence = 0 AND s.boot_deadline_at < now() THEN 'unborn'
            WHEN s.touched_at < now() - make_interval(secs => $1) THEN 'stale' END AS why
        FROM runs r JOIN run_sinks s ON s.run_id = r.id
        WHERE r.status = 'running' OR r.status = 'pending' AND r.run_origin = 'remote'
    ) AS looked WHERE why IS NOT NULL LIMIT $3
"""


class PostgresExecutionRecords:
    """`ExecutionRecords` over the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def claim_instance(self, who: Identity, lease: float) -> None:
        await self._pool.execute(
            """
            INSERT INTO instances (id, boot_id, lease_until)
            VALUES ($1, $2, now() + make_interval(secs => $3))
            ON CONFLICT (id) DO UPDATE SET
                boot_id = excluded.boot_id, lease_until = excluded.lease_until
            """,
            *(who.instance, who.boot, lease),
        )

    async def release_instance(self, who: Identity) -> None:
        async with self._pool.transaction() as connection:
            await connection.execute(RELEASE, who.instance, who.boot)
            await connection.execute(
                "UPDATE instances SET lease_until = now() WHERE id = $1 AND boot_id = $2",
                *(who.instance, who.boot),
            )

    async def release_claims(self, who: Identity) -> None:
        await self._pool.execute(RELEASE, who.instance, who.boot)

    async def claim(self, who: Identity, most_of_organization: int) -> ClaimedRun | None:
        row = await self._pool.fetchrow(CLAIM, who.instance, who.boot, most_of_organization)
        if row is None:
            return None
        run = row["run"]
        return ClaimedRun(
            run=run, plan=read_plan(row["plan"], run), sealed_secret=row["sealed_secret"]
        )

    async def start(
        self, run: RunId, who: Identity, times: tuple[datetime, datetime], lines: list[LogEntry]
    ) -> Started | None:
        async with self._pool.transaction() as connection:
            row = await connection.fetchrow(START, run, who.instance, who.boot, *times)
            if row is None:
                return None
            written, started = await append(connection, run, lines), read_run(row)
            tells = await tell_webhooks(connection, started, datetime.now(UTC))
        return Started(run=started, lines=written, tells=tells)

    async def orphans(self) -> list[RunId]:
        rows = await self._pool.fetch(
            f"""
            SELECT r.id FROM runs r
            WHERE r.status = 'running' AND r.run_origin = 'platform' AND NOT EXISTS ({ALIVE})
            ORDER BY r.started_at
            """
        )
        return [row["id"] for row in rows]

    async def holds(self, who: Identity, runs: list[RunId]) -> dict[RunId, Hold]:
        rows = await self._pool.fetch(
            """
            SELECT id, CASE
                WHEN status NOT IN ('pending', 'running') THEN 'ended'
                WHEN instance_id = $1 AND boot_id = $2 THEN 'mine'
                ELSE 'lost' END AS hold
            FROM runs WHERE id = ANY ($3)
            """,
            *(who.instance, who.boot, runs),
        )
        found = {row["id"]: row["hold"] for row in rows}
        return {run: found.get(run, "ended") for run in runs}

    async def pump(self, runs: list[RunId]) -> None:
        await self._pool.execute(
            """
            UPDATE run_sinks SET touched_at = now()
            WHERE run_id = ANY ($1) AND last_sequence = 0 AND closed_at IS NULL
                AND boot_deadline_at > now()
            """,
            runs,
        )

    async def silent(self, liveness: Liveness, *, counting: bool) -> list[SilentRun] | None:
        async with self._pool.transaction() as connection:
            if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", WATCHDOG_LOCK):
                return None
            rows = await connection.fetch(SILENT, liveness.stall, counting, SILENT_AT_ONCE)
        return [SilentRun(**dict(row)) for row in rows]
