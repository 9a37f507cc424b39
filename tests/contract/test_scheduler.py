"""What every Scheduler promises, in a platform whose variables have picked it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from actors.schedules import Scheduler
from appstrate.boot import Server, serving
from appstrate.settings import read_settings
from support.api import Api, Json, new_owner
from support.postgres import Postgres, url_of
from support.waiting import until

EVERY_SECOND = "* * * * * *"
ONCE_A_YEAR = "0 0 1 1 *"


@dataclass
class Platform:
    """A server, and an agent of somebody on it."""

    server: Server
    owner: Api
    agent: str

    async def schedule(self, cron: str) -> str:
        body = {"cron_expression": cron, "model_id_override": "demo"}
        made = await self.owner.post(f"/api/agents/{self.agent}/schedules", body)
        assert made.status == 201, made.body
        return str(made.json["id"])

    async def change(self, schedule: str, **fields: Any) -> None:
        changed = await self.owner.put(f"/api/schedules/{schedule}", fields)
        assert changed.status == 200, changed.body

    async def fires(self, schedule: str) -> list[Json]:
        return list((await self.owner.get(f"/api/schedules/{schedule}/fires")).json["data"])

    async def fired(self, schedule: str, count: int) -> None:
        async def enough() -> bool:
            fired = [fire for fire in await self.fires(schedule) if fire["state"] == "fired"]
            return len(fired) >= count

        await until(enough, 15)

    async def crash(self) -> None:
        scheduler = self.server.at.scheduler
        before = scheduler.metrics.restarts
        actor: Any = scheduler._actor
        actor.own(_fail(), "trial")
        async with asyncio.timeout(10):
            while scheduler.metrics.restarts == before:  # noqa: ASYNC110 - nobody sets an event
                await asyncio.sleep(0.01)


async def _fail() -> None:
    raise RuntimeError("crashed on purpose")


@pytest.fixture(scope="module", params=[pytest.param("local_scheduler", id="local")])
async def platform(
    request: pytest.FixtureRequest, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Platform]:
    kind, chosen = request.getfixturevalue(request.param)
    folder: Path = tmp_path_factory.mktemp("scheduler")
    database = {"DATABASE_URL": url_of(await postgres.fresh_database())}
    fixed = {"DATA_DIR": str(folder), "PORT": "0", "APP_ENV": "test", "SIDECAR_POOL_SIZE": "0"}
    async with serving(read_settings(fixed | database | chosen)) as server:
        actor: Scheduler | None = server.at.scheduler._actor
        assert type(actor) is kind
        owner = await new_owner(server.url)
        yield Platform(server, owner, await owner.new_agent())


async def test_each_due_time_is_one_run(platform: Platform) -> None:
    schedule = await platform.schedule(EVERY_SECOND)
    await platform.fired(schedule, 2)
    await platform.change(schedule, enabled=False)
    fires = await platform.fires(schedule)
    runs = (await platform.owner.get(f"/api/schedules/{schedule}/runs")).json["data"]
    due = [fire["due_at"] for fire in fires]

    assert len(due) == len(set(due))
    assert {run["id"] for run in runs} == {f["runId"] for f in fires if f["state"] == "fired"}
    assert {run["scheduleId"] for run in runs} == {schedule}


async def test_a_change_is_noticed_at_once(platform: Platform) -> None:
    schedule = await platform.schedule(ONCE_A_YEAR)
    assert await platform.fires(schedule) == []

    await platform.change(schedule, cron_expression=EVERY_SECOND)
    await platform.fired(schedule, 1)
    await platform.owner.delete(f"/api/schedules/{schedule}")
    assert (await platform.owner.get(f"/api/schedules/{schedule}/fires")).status == 404


async def test_a_crash_loses_and_doubles_nothing(platform: Platform) -> None:
    schedule = await platform.schedule(EVERY_SECOND)
    await platform.fired(schedule, 1)
    await platform.crash()
    await platform.fired(schedule, 2)
    await platform.change(schedule, enabled=False)
    fires = [fire for fire in await platform.fires(schedule) if fire["state"] == "fired"]
    runs = (await platform.owner.get(f"/api/schedules/{schedule}/runs")).json["data"]

    assert len({fire["due_at"] for fire in fires}) == len(fires) == len(runs)
