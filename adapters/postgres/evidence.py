"""What explains runs, in PostgreSQL."""

from datetime import datetime

from actors.ids import RunId
from actors.runs import Ending, Evidence, LogLine, ModelCall, Run
from actors.runs.evidence import MOST_CALLS
from actors.sidecar_pool import Exit
from adapters.postgres.pool import Pool

MOST_LINES = 200

# The lines of a log that tell something about the run itself: its first steps, however much it
# said later, then the last of the others.
TELLING = """
    SELECT * FROM run_logs WHERE id IN (
        (SELECT id FROM run_logs WHERE run_id = $1
         AND (data ->> 'platform' = 'true' OR data ->> 'boot' = 'true') ORDER BY id LIMIT $2)
        UNION
        (SELECT id FROM run_logs WHERE run_id = $1
         AND (level IN ('warn', 'error') OR type = 'system' OR event = 'output')
         ORDER BY id DESC LIMIT $2)
    ) ORDER BY id
"""


class PostgresEvidenceRecords:
    """`EvidenceRecords` over the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def keep_exit(self, run: RunId, exit_: Exit, at: datetime) -> None:
        await self._pool.execute(
            """
            INSERT INTO run_exits (run_id, org_id, code, signal, out_of_memory, output, exited_at)
            SELECT id, org_id, $2, $3, $4, $5, $6 FROM runs WHERE id = $1
            ON CONFLICT DO NOTHING
            """,
            *(run, exit_.code, exit_.signal, exit_.out_of_memory, exit_.tail, at),
        )

    async def keep_call(self, run: RunId, call: ModelCall) -> None:
        await self._pool.execute(
            """
            WITH kept AS (
                INSERT INTO run_model_calls AS c (run_id, id, org_id, started_at, duration, status,
                                                  input_tokens, output_tokens, error)
                SELECT r.id, $2, r.org_id, $3, $4, $5, $6, $7, $8 FROM runs r WHERE r.id = $1
                ON CONFLICT (run_id, id) DO UPDATE SET
                    duration = excluded.duration, status = excluded.status, error = excluded.error,
                    input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens
                WHERE c.duration IS NULL
            )
            DELETE FROM run_model_calls WHERE run_id = $1 AND started_at < (
                SELECT started_at FROM run_model_calls WHERE run_id = $1
                ORDER BY started_at DESC OFFSET $9 LIMIT 1
            )
            """,
            *(run, call.id, call.started_at, call.duration, call.status),
            *(call.input_tokens, call.output_tokens, call.error, MOST_CALLS - 1),
        )

    async def evidence(self, run: Run) -> Evidence:
        async with self._pool.connection() as connection:
            lines = await connection.fetch(TELLING, run.id, MOST_LINES)
            calls = await connection.fetch(
                "SELECT * FROM run_model_calls WHERE run_id = $1 ORDER BY started_at, id", run.id
            )
            ended = await connection.fetchrow("SELECT * FROM run_exits WHERE run_id = $1", run.id)
        ending = None
        if ended is not None:
            exit_ = Exit(
                code=ended["code"],
                signal=ended["signal"],
                out_of_memory=ended["out_of_memory"],
                tail=ended["output"],
            )
            ending = Ending(exit=exit_, at=ended["exited_at"])
        names = ModelCall.__struct_fields__
        return Evidence(
            run=run,
            lines=[LogLine(**{n: row[n] for n in LogLine.__struct_fields__}) for row in lines],
            calls=[ModelCall(**{name: row[name] for name in names}) for row in calls],
            ending=ending,
        )
