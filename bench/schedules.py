"""A trial of schedules: many due at once, and one every second over the death of the server."""

import asyncio
import os
import signal
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg

from bench.figures import Figure, percentile, table
from bench.measures import connect, served
from bench.system import System, Tenant, model

AT_ONCE = 200
TICKING = 120.0
FIGURES = {
    "at once p50": Figure(f"{AT_ONCE} due in one second: due to run created, p50", "ms", ""),
    "at once p99": Figure("  p99", "ms", "≤ 100"),
    "at once max": Figure("  max", "ms", ""),
    "ticking p50": Figure("one every second, killed midway: due to run created, p50", "ms", ""),
    "ticking p99": Figure("  p99, what came due while it was dead apart", "ms", "≤ 100"),
    "ticking max": Figure("  max, with what came due while it was dead", "ms", ""),
    "lost": Figure("  due times without a row", "", "0"),
    "doubled": Figure("  due times with two runs", "", "0"),
}
LATENESS = """
    SELECT extract(epoch FROM r.started_at - f.due_at)::float8 * 1000 AS late, f.due_at
    FROM schedule_fires f JOIN runs r ON r.id = f.run_id WHERE f.schedule_id = ANY ($1::text[])
    ORDER BY f.due_at
"""


async def trial() -> None:
    """Run both and print."""
    async with model() as serving:
        with tempfile.TemporaryDirectory(prefix="appstrate-bench-") as folder:
            system = System(Path(folder) / "data")
            async with served(system, serving) as (_, tenant):
                await _at_once(system, tenant)
                await _ticking(system, tenant)
    print(table(list(FIGURES.values())))


async def _at_once(system: System, tenant: Tenant) -> None:
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=15)
    cron = f"{due.second} {due.minute} {due.hour} * * *"
    made = [await _schedule(tenant, cron) for _ in range(AT_ONCE)]
    late = await _lateness(system, made, AT_ONCE)
    FIGURES["at once p50"].samples.append(percentile(late, 0.5))
    FIGURES["at once p99"].samples.append(percentile(late, 0.99))
    FIGURES["at once max"].samples.append(max(late))
    assert tenant.session is not None
    for schedule in made:
        await tenant.session.delete(f"/api/schedules/{schedule}")


async def _ticking(system: System, tenant: Tenant) -> None:
    schedule = await _schedule(tenant, "* * * * * *")
    await asyncio.sleep(TICKING / 2)
    died = datetime.now(UTC)
    os.kill(system.pid, signal.SIGKILL)
    await system.start()
    back = datetime.now(UTC)
    await asyncio.sleep(TICKING / 2)
    database = await connect(system)
    rows = await database.fetch(LATENESS, [schedule])
    due = [
        row["due_at"]
        for row in await database.fetch(
            "SELECT due_at FROM schedule_fires WHERE schedule_id = $1", schedule
        )
    ]
    runs = await database.fetchval("SELECT count(*) FROM runs WHERE schedule_id = $1", schedule)
    await database.close()
    alive = [row["late"] for row in rows if not died - timedelta(seconds=1) < row["due_at"] < back]
    FIGURES["ticking p50"].samples.append(percentile(alive, 0.5))
    FIGURES["ticking p99"].samples.append(percentile(alive, 0.99))
    FIGURES["ticking max"].samples.append(max(row["late"] for row in rows))
    seconds = int((max(due) - min(due)).total_seconds()) + 1
    FIGURES["lost"].samples.append(seconds - len(due))
    FIGURES["doubled"].samples.append(runs - len(rows))


async def _schedule(tenant: Tenant, cron: str) -> str:
    assert tenant.session is not None
    body: dict[str, Any] = {"cron_expression": cron, "input": {"mark": "mark:schedule "}}
    path = f"/api/agents/{tenant.agent}/schedules"
    async with tenant.session.post(path, json=body) as answer:
        found = await answer.json()
        assert answer.status == 201, found
        return str(found["id"])


async def _lateness(system: System, schedules: list[str], count: int) -> list[float]:
    """How late the runs of schedules were created, in ms, once there are so many."""
    database: asyncpg.Connection = await connect(system)
    deadline = time.monotonic() + 60
    try:
        while True:
            rows = await database.fetch(LATENESS, schedules)
            if len(rows) >= count or time.monotonic() > deadline:
                return [row["late"] for row in rows]
            await asyncio.sleep(0.2)
    finally:
        await database.close()
