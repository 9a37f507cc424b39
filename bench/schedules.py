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
    "at once p50": Figure(
        f"{AT_ONCE} of 20 agents due in one second: to run created, p50", "ms", ""
    ),
    "at once p99": Figure("  p99", "ms", "≤ 100"),
    "at once max": Figure("  max", "ms", ""),
    "at once cpu": Figure("  CPU of server and database until then", "ms", ""),
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
    agents = [f"{tenant.agent[:-1]}{n % 20}" for n in range(AT_ONCE)]
    made = [await _schedule(tenant, agent, cron, f"at-once-{n}") for n, agent in enumerate(agents)]
    late = await _lateness(system, due)
    FIGURES["at once p50"].samples.append(percentile(late, 0.5))
    FIGURES["at once p99"].samples.append(percentile(late, 0.99))
    FIGURES["at once max"].samples.append(max(late))
    assert tenant.session is not None
    for schedule in made:
        await tenant.session.delete(f"/api/schedules/{schedule}")


async def _ticking(system: System, tenant: Tenant) -> None:
    schedule = await _schedule(tenant, tenant.agent, "* * * * * *", "ticking")
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


async def _schedule(tenant: Tenant, agent: str, cron: str, mark: str) -> str:
    assert tenant.session is not None
    body: dict[str, Any] = {"cron_expression": cron, "input": {"mark": f"mark:{mark} "}}
    path = f"/api/agents/{agent}/schedules"
    async with tenant.session.post(path, json=body) as answer:
        found = await answer.json()
        assert answer.status == 201, found
        return str(found["id"])


async def _lateness(system: System, due: datetime) -> list[float]:
    """How late the runs of a due time could be seen by somebody else, in ms, once all can."""
    database: asyncpg.Connection = await connect(system)
    late: list[float] = []
    fired = "SELECT count(*) FROM schedule_fires WHERE due_at = $1 AND state = 'fired'"
    await database.fetchval(fired, due)  # so that it is prepared
    try:
        await asyncio.sleep((due - datetime.now(UTC)).total_seconds() - 0.2)
        before = system.cpu()
        deadline = time.monotonic() + 60
        while len(late) < AT_ONCE and time.monotonic() < deadline:
            count = await database.fetchval(fired, due)
            moment = (datetime.now(UTC) - due).total_seconds() * 1000
            late += [moment] * (count - len(late))
            await asyncio.sleep(0.004)
        FIGURES["at once cpu"].samples.append((system.cpu() - before) * 1000)
    finally:
        await database.close()
    return late
