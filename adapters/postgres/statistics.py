"""Counts of rows in PostgreSQL."""

from actors.statistics import JobCounts, WorkCounts
from adapters.postgres.pool import Pool


class PostgresStatisticsRecords:
    """`StatisticsRecords` over the pool; both counts are answered by partial indexes."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def work(self) -> WorkCounts:
        runs = await self._pool.fetch(
            """
            SELECT status, count(*) AS found FROM runs
            WHERE status IN ('pending', 'running') GROUP BY status
            """
        )
        jobs = await self._pool.fetch(
            """
            SELECT topic, count(*) FILTER (WHERE died_at IS NULL) AS open,
                   count(*) FILTER (WHERE died_at IS NOT NULL) AS dead
            FROM jobs GROUP BY topic ORDER BY topic
            """
        )
        counted = {"pending": 0, "running": 0} | {row["status"]: row["found"] for row in runs}
        return WorkCounts(runs=counted, jobs=[JobCounts(**dict(row)) for row in jobs])
