"""Agents that run by themselves: in whose name, and what stands in their way."""

import asyncio
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from actors.ids import RunId, UserId
from actors.runs import Ended
from actors.schedules import DueFire, Firing, LookAgain
from adapters.postgres.schedule_fires import PostgresFireRecords
from adapters.postgres.schedules import PostgresScheduleRecords
from appstrate.boot import Server
from support.api import Api, Json, colleague, new_owner
from support.fake_model import FakeModel, Say
from support.schedules import first_run, ready, schedule
from support.sinks import database_of
from support.waiting import until


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


async def test_an_end_user_goes_whose_schedule_has_made_runs_that_published(
    owner: Api, fake: FakeModel
) -> None:
    write = {"bash": {"command": "mkdir outputs; echo a > outputs/a.csv"}}
    await owner.new_model(fake, fake.script(owner.email, Say("", write), Say("Done.")))
    agent = await owner.new_agent()
    end_user = (await owner.post("/api/end-users", {})).json["id"]
    made = await schedule(owner, agent, actor={"end_user_id": end_user})
    run = (await owner.post(f"/api/schedules/{made['id']}/run")).json["id"]
    await owner.wait(run)
    published = (await owner.get(f"/api/documents?run_id={run}")).json["data"]
    gone = await owner.delete(f"/api/end-users/{end_user}")
    left = (await owner.get(f"/api/runs/{run}")).json

    assert [each["name"] for each in published] == ["a.csv"]
    assert gone.status == 204, gone.body
    assert (left["endUserId"], left["scheduleId"]) == (None, None)
    assert (await owner.get(f"/api/documents?run_id={run}")).json["data"] == []


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
    database = database_of(server)
    found = await PostgresScheduleRecords(database).schedule(
        made["orgId"], made["applicationId"], made["id"]
    )
    assert found is not None
    fire = DueFire(schedule=replace(found, user_id=UserId("gone")), due_at=datetime.now(UTC))
    firing = Firing(
        PostgresFireRecords(database),
        server.at.pubsub,
        server.at.members,
        server.at.launcher,
        server.at.run_manager,
        now=lambda: datetime.now(UTC) - timedelta(hours=1),
    )
    async with asyncio.timeout(15):
        assert await firing.fire([fire]) == []


class Watched(PostgresFireRecords):
    """Knows when it was told of refusals."""

    at: datetime | None = None

    async def refuse(self, fire: DueFire, error: str, run: RunId, now: datetime) -> Ended | None:
        self.at = now
        return await super().refuse(fire, error, run, now)


async def test_nothing_is_fired_before_its_time_when_timers_end_early(
    owner: Api, fake: FakeModel, server: Server
) -> None:
    made = await schedule(owner, await ready(owner, fake), cron_expression="0 0 1 1 *")
    database = database_of(server)
    found = await PostgresScheduleRecords(database).schedule(
        made["orgId"], made["applicationId"], made["id"]
    )
    assert found is not None
    began = datetime.now(UTC)
    due = began + timedelta(seconds=0.4)
    records = Watched(database)
    firing = Firing(
        *(records, server.at.pubsub, server.at.members, server.at.launcher, server.at.run_manager),
        now=lambda: began + (datetime.now(UTC) - began) * 0.9,
    )

    await firing.fire([DueFire(schedule=replace(found, user_id=UserId("gone")), due_at=due)])

    assert records.at is not None
    assert records.at >= due


async def test_run_now_launches_at_once(owner: Api, fake: FakeModel) -> None:
    made = await schedule(owner, await ready(owner, fake))

    answer = await owner.post(f"/api/schedules/{made['id']}/run")

    assert answer.status == 201
    assert answer.json["status"] == "pending"
    runs = (await owner.get(f"/api/schedules/{made['id']}/runs")).json["data"]
    assert [run["id"] for run in runs] == [answer.json["id"]]
    assert (await owner.get(f"/api/schedules/{made['id']}")).json["last_run_at"] is not None
    assert (await owner.get(f"/api/schedules/{made['id']}/fires")).json["data"] == []
