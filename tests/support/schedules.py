"""Agents that run by themselves, as their owners make them over HTTP."""

from typing import Any

from support.api import Api
from support.fake_model import FakeModel, Say
from support.waiting import until


async def ready(owner: Api, fake: FakeModel) -> str:
    """An agent without input that always succeeds, with a model."""
    await owner.new_model(fake, fake.script(owner.email, *[Say("Done.")] * 20))
    return await owner.new_agent()


async def first_run(owner: Api, schedule: str, status: str | None = None) -> dict[str, Any]:
    """The first run a schedule has made, once there is one."""
    found: list[dict[str, Any]] = []

    async def there() -> bool:
        runs = (await owner.get(f"/api/schedules/{schedule}/runs")).json["data"]
        found[:] = [run for run in runs if status in (None, run["status"])]
        return bool(found)

    await until(there)
    return found[-1]


async def schedule(owner: Api, agent: str, **fields: Any) -> dict[str, Any]:
    """Have an agent run every Monday, unless `fields` say otherwise."""
    body = {"cron_expression": "0 7 * * 1", "timezone": "Europe/Paris"} | fields
    answer = await owner.post(f"/api/agents/{agent}/schedules", body)
    assert answer.status == 201, answer.body
    made: dict[str, Any] = answer.json
    return made
