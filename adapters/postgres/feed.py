"""The logs of many runs in PostgreSQL."""

from datetime import timedelta

from actors.ids import ApplicationId, OrgId, PackageId, RunId
from actors.runs import LogLine, Run
from adapters.postgres.pool import Pool
from adapters.postgres.run_rows import COLUMNS, NAMES, read_run

MOST_OVERLAPPING = 100_000


class PostgresFeedRecords:
    """`FeedRecords` over the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def runs(self, org: OrgId, application: ApplicationId, runs: list[RunId]) -> list[Run]:
        rows = await self._pool.fetch(
            f"""
            SELECT {COLUMNS} FROM runs r {NAMES}
            WHERE r.org_id = $1 AND r.application_id = $2 AND r.id = ANY ($3)
            ORDER BY r.started_at, r.id
            """,
            *(org, application, runs),
        )
        return [read_run(row) for row in rows]

    async def newest(self) -> int:
        found: int | None = await self._pool.fetchval("SELECT max(id) FROM run_logs")
        return found or 0

    async def overlapping(self, since: int, overlap: timedelta) -> int:
        # By id, for no index knows the times; the bound is far above what 30 seconds can bring.
        found: int | None = await self._pool.fetchval(
            """
            SELECT min(l.id) - 1 FROM run_logs l, run_logs s
            WHERE s.id = $1 AND l.id <= $1 AND l.id > $1 - $3::bigint
              AND l.created_at >= s.created_at - $2::interval
            """,
            *(since, overlap, MOST_OVERLAPPING),
        )
        return since if found is None else found

    async def lines(
        self,
        org: OrgId,
        application: ApplicationId,
        package: PackageId | None,
        since: int,
        limit: int,
    ) -> list[LogLine]:
        rows = await self._pool.fetch(
            f"""
            SELECT {", ".join(f"l.{name}" for name in LogLine.__struct_fields__)}
            FROM run_logs l JOIN runs r ON r.id = l.run_id
            WHERE l.org_id = $1 AND r.application_id = $2 AND l.id > $4
              AND ($3::text IS NULL OR r.package_id = $3)
            ORDER BY l.id LIMIT $5
            """,
            *(org, application, package, since, limit),
        )
        return [LogLine(*row) for row in rows]
