"""Schedules over the death of a server: every due time has one row, and at most one run."""

import sys
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from support.api import new_owner
from support.fake_model import Say, fake_model
from support.postgres import Postgres, url_of
from support.processes import ServerProcess
from support.waiting import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")

SECOND = timedelta(seconds=1)


async def test_no_due_time_is_lost_or_doubled_when_the_server_is_killed(
    tmp_path: Path, postgres: Postgres
) -> None:
    connect = await postgres.fresh_database()
    server = ServerProcess(
        tmp_path / "data", DATABASE_URL=url_of(connect), SHUTDOWN_TIMEOUT_SECONDS="1"
    )
    async with fake_model() as fake:
        await server.start()
        owner = await new_owner(server.url)
        await owner.new_model(fake, fake.script("tick", *[Say("Done.")] * 100))
        made = await owner.post(
            f"/api/agents/{await owner.new_agent()}/schedules",
            {"cron_expression": "* * * * * *", "overlap_policy": "allow"},
        )
        schedule = made.json["id"]
        path = f"/api/schedules/{schedule}/fires?limit=100"

        async def fired(count: int) -> bool:
            found = (await owner.get(path)).json["data"]
            return len([fire for fire in found if fire["state"] == "fired"]) >= count

        await until(lambda: fired(3))
        await server.kill()
        await server.start()
        owner.url = server.url
        await until(lambda: fired(8))
        await owner.put(f"/api/schedules/{schedule}", {"enabled": False})

        await server.stop()
    database = await asyncpg.connect(**connect)
    fires = await database.fetch(
        """
        SELECT due_at, state, run_id FROM schedule_fires WHERE schedule_id = $1 ORDER BY due_at
        """,
        schedule,
    )
    runs = await database.fetchval("SELECT count(*) FROM runs WHERE schedule_id = $1", schedule)
    await database.close()

    due = [fire["due_at"] for fire in fires]
    assert due == [due[0] + n * SECOND for n in range(len(due))], "a due time has no row"
    made_runs = [fire["run_id"] for fire in fires if fire["state"] == "fired"]
    assert None not in made_runs
    assert len(set(made_runs)) == len(made_runs) == runs, "a due time made two runs"
