"""Agents that run by themselves."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from actors.ids import UserId
from actors.schedules import DueFire, Firing, LookAgain
from adapters.postgres.schedules import PostgresScheduleRecords
from appstrate.boot import Server
from support.api import Api, Json, colleague, new_owner
from support.fake_model import FakeModel, Say
from support.packages import typed_agent_manifest
from support.sinks import database_of
from support.waiting import until

TYPED = {
    key: value
    for key, value in typed_agent_manifest().items()
    if key in ("input", "output", "runtime_tools")
}


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
    body = {"cron_expression": "0 7 * * 1", "timezone": "Europe/Paris"} | fields
    answer = await owner.post(f"/api/agents/{agent}/schedules", body)
    assert answer.status == 201, answer.body
    made: dict[str, Any] = answer.json
    return made


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


async def test_it_fires_by_itself_and_its_run_names_it(owner: Api, fake: FakeModel) -> None:
    made = await schedule(owner, await ready(owner, fake), cron_expression="* * * * * *", name="x")

    run = await first_run(owner, made["id"])

    await owner.put(f"/api/schedules/{made['id']}", {"enabled": False})
    assert run["scheduleId"] == made["id"]
    assert run["schedule_name"] == "x"
    fires = (await owner.get(f"/api/schedules/{made['id']}/fires")).json["data"]
    assert run["id"] in {fire["runId"] for fire in fires if fire["state"] == "fired"}
    late = datetime.fromisoformat(run["started_at"]) - min(
        datetime.fromisoformat(fire["due_at"]) for fire in fires if fire["runId"] == run["id"]
    )
    assert timedelta(0) <= late < timedelta(seconds=5)


async def test_a_refused_fire_leaves_a_failed_run_with_the_reason(
    owner: Api, fake: FakeModel, server: Server
) -> None:
    agent = await ready(owner, fake)
    made = await schedule(owner, agent, cron_expression="* * * * * *")
    told: Json = {"level": "org", "url": "https://127.0.0.1:9/", "events": ["run.failed"]}
    webhook = (await owner.post("/api/webhooks", told)).json["id"]
    default = await owner.put("/api/models/default", {"modelId": None})
    assert default.status == 204

    run = await first_run(owner, made["id"], "failed")

    await owner.put(f"/api/schedules/{made['id']}", {"enabled": False})
    assert "model" in run["error"]
    assert run["completed_at"] is not None
    why = (await owner.get(f"/api/runs/{run['id']}/why")).json
    assert (why["cause"], "schedules edit" in why["remedy"]) == ("launch_refused", True)
    fires = (await owner.get(f"/api/schedules/{made['id']}/fires")).json["data"]
    assert any(f["state"] == "refused" and f["runId"] == run["id"] for f in fires)
    assert (await owner.get(f"/api/schedules/{made['id']}")).json["unread_count"] >= 1
    events = "SELECT type FROM webhook_events WHERE webhook_id = $1 AND run_id = $2"
    found = await database_of(server).fetch(events, webhook, run["id"])
    assert [row["type"] for row in found] == ["run.failed"]


async def test_a_schedule_whose_user_has_left_is_disabled_and_says_why(
    owner: Api, fake: FakeModel, server: Server
) -> None:
    made = await schedule(owner, await ready(owner, fake), cron_expression="0 0 1 1 *")
    stranger = await new_owner(server.url)
    user = (await stranger.get("/api/auth/get-session")).json["user"]["id"]
    await database_of(server).execute(
        "UPDATE schedules SET user_id = $2, next_run_at = now() WHERE id = $1", made["id"], user
    )
    server.at.scheduler.tell(LookAgain())

    run = await first_run(owner, made["id"], "failed")

    assert "disabled" in run["error"]

    async def disabled() -> bool:
        shown = (await owner.get(f"/api/schedules/{made['id']}")).json
        return not shown["enabled"] and "no member" in shown["disabled_reason"]

    await until(disabled)


async def test_who_is_removed_leaves_disabled_schedules_also_when_they_come_back(
    owner: Api, fake: FakeModel, server: Server
) -> None:
    agent = await ready(owner, fake)
    other = await colleague(owner)
    theirs, mine = [await schedule(each, agent, name=each.email) for each in (other, owner)]
    await database_of(server).execute(
        """
        INSERT INTO schedule_fires (schedule_id, due_at, state, lease_until)
        SELECT id, now(), 'due', now() + interval '1 hour' FROM schedules WHERE id = ANY ($1)
        """,
        [theirs["id"], mine["id"]],
    )
    user = theirs["userId"]
    removed = await owner.delete(f"/api/orgs/{owner.org['id']}/members/{user}")
    shown = (await owner.get(f"/api/schedules/{theirs['id']}")).json
    kept = (await owner.get(f"/api/schedules/{mine['id']}")).json
    fires = [
        (await owner.get(f"/api/schedules/{each['id']}/fires")).json["data"][0]["state"]
        for each in (theirs, mine)
    ]
    again = {"email": other.email, "role": "admin"}
    invited = await owner.post(f"/api/orgs/{owner.org['id']}/members", again)
    assert (await other.post(f"/invite/{invited.json['token']}/accept")).status == 200

    assert removed.status == 204
    assert (shown["enabled"], shown["next_run_at"]) == (False, None)
    assert "no member" in shown["disabled_reason"]
    assert kept == mine
    assert fires == ["skipped", "due"]
    assert (await owner.get(f"/api/schedules/{theirs['id']}")).json["enabled"] is False
    enabled = await other.request("PUT", f"/api/schedules/{theirs['id']}", json={"enabled": True})
    assert enabled.json["next_run_at"] is not None


async def test_it_runs_for_an_end_user_and_goes_with_them(
    owner: Api, fake: FakeModel, server: Server
) -> None:
    agent = await ready(owner, fake)
    end_user = (await owner.post("/api/end-users", {"name": "Zoé"})).json["id"]
    key = await owner.with_key()
    zoe = Api(owner.url, headers=key.headers | {"Appstrate-User": end_user}, org=owner.org)
    made = await schedule(owner, agent, actor={"end_user_id": end_user})
    by_hand = await owner.post(f"/api/schedules/{made['id']}/run")
    await zoe.wait(by_hand.json["id"])
    refused = await schedule(owner, agent, actor={"end_user_id": end_user})
    for each, override in ((made, None), (refused, "gone")):
        await database_of(server).execute(
            "UPDATE schedules SET next_run_at = now(), model_id_override = $2 WHERE id = $1",
            *(each["id"], override),
        )
    server.at.scheduler.tell(LookAgain())
    failed = await first_run(owner, refused["id"], "failed")

    async def both() -> bool:
        runs = (await owner.get(f"/api/schedules/{made['id']}/runs")).json["data"]
        return [run["status"] for run in runs] == ["success"] * 2

    await until(both)
    told = {each["run_id"] for each in (await zoe.get("/api/notifications")).json["data"]}

    assert (made["userId"], made["endUserId"]) == (None, end_user)
    assert (made["actor_type"], made["actor_name"]) == ("end_user", "Zoé")
    assert by_hand.json["endUserId"] == end_user
    assert (failed["endUserId"], failed["userId"]) == (end_user, None)
    assert (await zoe.get("/api/runs")).json["total"] == 3
    assert {by_hand.json["id"], failed["id"]} <= told
    assert (await owner.get("/api/notifications")).json["data"] == []

    path, user = f"/api/schedules/{refused['id']}", (await owner.get("/api/profile")).json["id"]
    moved = await owner.put(path, {"actor": {"user_id": user}, "model_id_override": None})
    assert (moved.json["userId"], moved.json["endUserId"]) == (user, None)
    assert (await owner.delete(f"/api/end-users/{end_user}")).status == 204
    assert (await owner.get(f"/api/schedules/{made['id']}")).status == 404
    assert (await owner.get(path)).status == 200


async def test_an_end_user_of_another_application_has_no_schedule_here(
    owner: Api, fake: FakeModel, server: Server
) -> None:
    agent = await ready(owner, fake)
    stranger = await new_owner(server.url)
    theirs = (await stranger.post("/api/end-users", {})).json["id"]
    body = {"cron_expression": "@daily", "actor": {"end_user_id": theirs}}
    refused = await owner.post(f"/api/agents/{agent}/schedules", body)

    assert (refused.status, refused.json["param"]) == (400, "actor.end_user_id")


async def test_many_due_at_once_are_launched_together_and_bad_ones_harm_no_other(
    owner: Api, fake: FakeModel, server: Server
) -> None:
    agent = await ready(owner, fake)
    made = [await schedule(owner, agent, model_id_override="demo") for _ in range(12)]
    database = database_of(server)
    ids = [each["id"] for each in made]
    await database.execute("UPDATE schedules SET model_id_override = 'gone' WHERE id = $1", ids[3])
    before = server.at.run_manager.metrics.served
    moment = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)
    await database.execute(
        "UPDATE schedules SET next_run_at = $2 WHERE id = ANY ($1::text[])", ids, moment
    )
    server.at.scheduler.tell(LookAgain())

    async def all_of_them() -> bool:
        states = "SELECT count(*) FROM schedule_fires WHERE due_at = $1 AND state <> 'due'"
        return bool(await database.fetchval(states, moment) == 12)

    await until(all_of_them)
    rows = await database.fetch(
        """
        SELECT f.schedule_id, f.state, r.run_number, r.started_at FROM schedule_fires f
        JOIN runs r ON r.id = f.run_id WHERE f.due_at = $1
        """,
        moment,
    )
    assert [row["schedule_id"] for row in rows if row["state"] == "refused"] == [ids[3]]
    assert sorted(row["run_number"] for row in rows) == list(range(1, 13))
    assert min(row["started_at"] for row in rows) >= moment, "launched before its time"
    assert server.at.run_manager.metrics.served == before + 1


async def test_a_clock_that_is_put_back_holds_nothing_up(
    owner: Api, fake: FakeModel, server: Server
) -> None:
    made = await schedule(owner, await ready(owner, fake), cron_expression="0 0 1 1 *")
    records = PostgresScheduleRecords(database_of(server))
    found = await records.schedule(made["orgId"], made["applicationId"], made["id"])
    assert found is not None
    fire = DueFire(schedule=replace(found, user_id=UserId("gone")), due_at=datetime.now(UTC))
    firing = Firing(
        records,
        server.at.pubsub,
        server.at.members,
        server.at.launcher,
        server.at.run_manager,
        now=lambda: datetime.now(UTC) - timedelta(hours=1),
    )
    async with asyncio.timeout(15):
        assert await firing.fire([fire]) == []


async def test_run_now_launches_at_once(owner: Api, fake: FakeModel) -> None:
    made = await schedule(owner, await ready(owner, fake))

    answer = await owner.post(f"/api/schedules/{made['id']}/run")

    assert answer.status == 201
    assert answer.json["status"] == "pending"
    runs = (await owner.get(f"/api/schedules/{made['id']}/runs")).json["data"]
    assert [run["id"] for run in runs] == [answer.json["id"]]
    assert (await owner.get(f"/api/schedules/{made['id']}")).json["last_run_at"] is not None
    assert (await owner.get(f"/api/schedules/{made['id']}/fires")).json["data"] == []


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
