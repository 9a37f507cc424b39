"""Counts of rows in PostgreSQL."""

from datetime import datetime

from actors.statistics import JobCounts, RowCounts
from adapters.postgres.pool import Pool
from adapters.postgres.schedule_fires import FIRST


class PostgresStatisticsRecords:
    """`StatisticsRecords` over the pool; what has ended is not looked at."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def work(self, now: datetime) -> RowCounts:
        runs = await self._pool.fetch(
            """
            SELECT status, count(*) AS found FROM runs
            WHERE status IN ('pending', 'running') GROUP BY status
            """
        )
        jobs = await self._pool.fetch(
            """
            SELECT topic,
                   count(*) FILTER (WHERE died_at IS NULL AND due_at <= $1) AS waiting,
                   count(*) FILTER (WHERE due_at > $1 AND token IS NOT NULL) AS held,
                   count(*) FILTER (
                       WHERE died_at IS NULL AND due_at > $1 AND token IS NULL) AS later,
                   count(*) FILTER (WHERE died_at IS NOT NULL) AS dead
            FROM jobs GROUP BY topic ORDER BY topic
            """,
            now,
        )
        oldest: datetime | None = await self._pool.fetchval(
            f"""
            SELECT least((SELECT min(next_run_at) FROM schedules),
                         (SELECT min(due_at) FROM ({FIRST}) f))
            """
        )
        counted = {"pending": 0, "running": 0} | {row["status"]: row["found"] for row in runs}
        return RowCounts(
            runs=counted,
            jobs=[JobCounts(**dict(row)) for row in jobs],
            schedule_lag=0.0 if oldest is None else max(0.0, (now - oldest).total_seconds()),
        )
