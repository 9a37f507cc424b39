"""Schedules as people make, read and change them."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from appstrate.boot import Server
from support.api import Api, Json, new_owner
from support.fake_model import FakeModel, Say
from support.packages import typed_agent_manifest
from support.schedules import ready, schedule

TYPED = {
    key: value
    for key, value in typed_agent_manifest().items()
    if key in ("input", "output", "runtime_tools")
}


async def test_a_schedule_is_made_as_the_contract_says(owner: Api, fake: FakeModel) -> None:
    agent = await ready(owner, fake)

    made = await schedule(owner, agent, name="Monday")

    assert made["id"].startswith("sched_")
    assert (made["name"], made["enabled"], made["packageId"]) == ("Monday", True, agent)
    assert datetime.fromisoformat(made["next_run_at"]).weekday() == 0
    shown = {
        key: made[key]
        for key in ("last_run_at", "actor_type", "running_runs", "unread_count", "last_run_number")
    }
    assert shown == {
        "last_run_at": None,
        "actor_type": "user",
        "running_runs": 0,
        "unread_count": 0,
        "last_run_number": 0,
    }
    assert (await owner.get(f"/api/schedules/{made['id']}")).json["id"] == made["id"]
    for path in ("/api/schedules", f"/api/agents/{agent}/schedules"):
        assert [each["id"] for each in (await owner.get(path)).json["data"]] == [made["id"]]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"cron_expression": "whenever"}, "cron_expression"),
        ({"cron_expression": "0 0 30 2 *"}, "cron_expression"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"actor": {"user_id": "nobody"}}, "actor.user_id"),
        ({"actor": {"end_user_id": "nobody"}}, "actor.end_user_id"),
        ({"actor": {}}, "actor"),
        ({"actor": {"user_id": "nobody", "end_user_id": "nobody"}}, "actor"),
        ({"input": {"unknown": 1}}, None),
    ],
)
async def test_what_would_never_fire_or_launch_is_refused(
    owner: Api, fake: FakeModel, fields: dict[str, Any], param: str | None
) -> None:
    await owner.new_model(fake, fake.script("never", Say("Done.")))
    agent = await owner.new_agent(**TYPED)
    body = {"cron_expression": "@daily", "input": {"topic": "churn"}} | fields

    answer = await owner.post(f"/api/agents/{agent}/schedules", body)

    assert answer.status == 400, answer.body
    assert param is None or answer.json["param"] == param


async def test_a_model_that_is_not_there_is_refused(owner: Api, fake: FakeModel) -> None:
    agent = await ready(owner, fake)
    body = {"cron_expression": "@daily", "model_id_override": "no-such-model"}

    answer = await owner.post(f"/api/agents/{agent}/schedules", body)

    assert (answer.status, answer.json["param"]) == (404, "model_id_override")


async def test_an_agent_that_takes_files_cannot_be_scheduled(owner: Api) -> None:
    file = {"type": "string", "format": "uri", "contentMediaType": "text/csv"}
    table = {"schema": {"type": "object", "properties": {"table": file}}}
    agent = await owner.new_agent(input=table)

    answer = await owner.post(f"/api/agents/{agent}/schedules", {"cron_expression": "@daily"})

    assert (answer.status, answer.json["param"]) == (400, "input")


async def test_changing_keeps_what_is_not_given(owner: Api, fake: FakeModel) -> None:
    made = await schedule(owner, await ready(owner, fake), name="Monday", overlap_policy="skip")

    changed = await owner.put(f"/api/schedules/{made['id']}", {"timezone": "UTC"})

    assert changed.status == 200
    assert changed.json["name"] == "Monday"
    assert changed.json["overlap_policy"] == "skip"
    assert datetime.fromisoformat(changed.json["next_run_at"]).hour == 7
    off = await owner.put(f"/api/schedules/{made['id']}", {"enabled": False})
    assert (off.json["enabled"], off.json["next_run_at"]) == (False, None)
    on = await owner.put(f"/api/schedules/{made['id']}", {"enabled": True})
    assert on.json["next_run_at"] == changed.json["next_run_at"]
    wrong = await owner.put(f"/api/schedules/{made['id']}", {"cron_expression": "x"})
    assert wrong.status == 400


async def test_any_key_of_the_application_reads_schedules(owner: Api, fake: FakeModel) -> None:
    agent = await ready(owner, fake)
    made = await schedule(owner, agent)
    key = await owner.with_key(scopes=["agents:run"])
    paths = ("/api/schedules", f"/api/agents/{agent}/schedules", f"/api/schedules/{made['id']}")

    for path in (*paths, f"{paths[-1]}/runs"):
        assert (await key.get(path)).status == 200, path
    assert (await key.delete(paths[-1])).status == 403


async def test_a_deleted_schedule_is_gone(owner: Api, fake: FakeModel) -> None:
    made = await schedule(owner, await ready(owner, fake))

    assert (await owner.delete(f"/api/schedules/{made['id']}")).status == 204
    assert (await owner.delete(f"/api/schedules/{made['id']}")).status == 404
    assert (await owner.get(f"/api/schedules/{made['id']}/runs")).status == 404


async def test_changes_made_at_once_keep_each_other(owner: Api, fake: FakeModel) -> None:
    path = f"/api/schedules/{(await schedule(owner, await ready(owner, fake)))['id']}"
    changes: list[Json] = [
        {"name": "Monday"},
        {"enabled": False},
        {"timezone": "UTC"},
        {"overlap_policy": "skip"},
        {"misfire_policy": "once"},
    ]

    answers = await asyncio.gather(*(owner.put(path, change) for change in changes))

    assert [answer.status for answer in answers] == [200] * len(changes)
    found = (await owner.get(path)).json
    for change in changes:
        assert found | change == found


async def test_one_that_cannot_be_launched_any_more_can_still_be_paused(
    owner: Api, fake: FakeModel
) -> None:
    agent = await ready(owner, fake)
    model = (await owner.new_model(fake, fake.script("gone", Say("Done."))))["id"]
    made = await schedule(owner, agent, model_id_override=model)
    path = f"/api/schedules/{made['id']}"
    assert (await owner.delete(f"/api/models/{model}")).status == 204

    paused = await owner.put(path, {"enabled": False, "name": "Later", "timezone": "UTC"})
    resumed = await owner.put(path, {"enabled": True})
    other = await owner.put(path, {"input": {"unknown": 1}})
    mended = await owner.put(path, {"enabled": True, "model_id_override": None})

    assert (paused.status, paused.json["enabled"], paused.json["name"]) == (200, False, "Later")
    assert (resumed.status, resumed.json["param"]) == (404, "model_id_override")
    assert (other.status, other.json["param"]) == (404, "model_id_override")
    assert (mended.status, mended.json["enabled"]) == (200, True)


async def test_an_end_user_of_another_application_has_no_schedule_here(
    owner: Api, fake: FakeModel, server: Server
) -> None:
    agent = await ready(owner, fake)
    stranger = await new_owner(server.url)
    theirs = (await stranger.post("/api/end-users", {})).json["id"]
    body = {"cron_expression": "@daily", "actor": {"end_user_id": theirs}}
    refused = await owner.post(f"/api/agents/{agent}/schedules", body)

    assert (refused.status, refused.json["param"]) == (400, "actor.end_user_id")


async def test_the_next_due_times_are_previewed(owner: Api) -> None:
    body = {"cron_expression": "30 2 * * *", "timezone": "Europe/Paris"}

    answer = await owner.post("/api/schedules/preview", body)

    due = [datetime.fromisoformat(each) for each in answer.json["due"]]
    assert len(due) == 5
    assert due == sorted(due)
    assert due[0] > datetime.now(UTC)


async def test_another_application_of_the_organization_sees_nothing_of_it(
    owner: Api, fake: FakeModel
) -> None:
    made = await schedule(owner, await ready(owner, fake))
    other = await new_owner(owner.url)

    assert (await other.get(f"/api/schedules/{made['id']}")).status == 404
    assert (await other.post(f"/api/schedules/{made['id']}/run")).status == 404
