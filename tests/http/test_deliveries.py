"""What happens to runs is told, signed, to whoever wants to know, until they take it."""

import asyncio
from datetime import UTC, datetime, timedelta

from actors.accounts import Caller
from actors.events import DELIVERIES
from actors.ids import OrgId, UserId, WebhookId
from actors.queue import WakeQueue
from actors.webhooks import TestWebhook as Sample
from actors.webhooks.webhooks import AT_ONCE_BY_HAND, AT_ONCE_OF_ORGANIZATION
from appstrate.boot import Server
from support.api import Api, Json, new_owner
from support.fake_model import Fail, FakeModel, Hang
from support.hooks import ALL, deliveries, hook
from support.packages import agent_manifest
from support.receiver import Receiver, receiving
from support.sinks import database_of
from support.waiting import until

DEMO: Json = {"modelId": "demo"}
HURRY = """
    WITH waiting AS (
        SELECT id, due_at FROM jobs
        WHERE payload ->> 'event' = $1 AND token IS NULL AND due_at > now() FOR UPDATE
    )
    UPDATE jobs SET due_at = now() FROM waiting WHERE jobs.id = waiting.id
    RETURNING waiting.due_at
"""


async def test_the_life_of_a_run_is_told_and_signed(owner: Api, receiver: Receiver) -> None:
    made = await hook(owner, receiver, events=ALL)
    run = await owner.finished(await owner.new_agent(), DEMO | {"input": {"topic": "tea"}})
    told = {each.type: each for each in await receiver.received(2)}
    kept = await deliveries(owner, made["id"], 2)

    assert set(told) == {"run.started", "run.success"}
    started, ended = (told[kind].json["data"]["object"] for kind in ("run.started", "run.success"))
    assert (started["id"], started["status"]) == (run["id"], "running")
    assert (ended["object"], ended["status"]) == ("run", "success")
    assert (ended["packageId"], ended["input"]) == (run["packageId"], {"topic": "tea"})
    assert ended.get("result") == run["result"]
    for each in told.values():
        assert each.signed_by(made["secret"])
        assert each.headers["webhook-attempt"] == "1"
        assert each.json["id"] == each.headers["webhook-id"]
        assert (each.json["object"], each.json["apiVersion"]) == ("event", "2026-03-21")
        assert abs(each.json["created"] - datetime.now(UTC).timestamp()) < 60
    assert len({each.json["id"] for each in told.values()}) == 2
    assert {d["eventId"] for d in kept} == {each.json["id"] for each in told.values()}
    assert {(d["status"], d["statusCode"], d["attempt"], d["error"]) for d in kept} == {
        ("success", 200, 1, None)
    }


async def test_every_end_has_an_event_of_its_own(
    owner: Api, receiver: Receiver, fake: FakeModel
) -> None:
    await hook(owner, receiver)
    failing = await owner.new_model(fake, fake.script("told-failing", Fail(401, "no")))
    hanging = await owner.new_model(fake, fake.script("told-hanging", Hang()))
    agent = await owner.new_agent()
    failed = await owner.finished(agent, {"modelId": failing["id"]})
    cancelled = (await owner.launch(agent, {"modelId": hanging["id"]})).json["id"]
    await owner.post(f"/api/runs/{cancelled}/cancel")
    inline = {"manifest": agent_manifest("@inline/x"), "prompt": "Do it."} | DEMO
    assert (await owner.post("/api/runs/inline", inline)).status == 201
    told = {each.type: each.json["data"]["object"] for each in await receiver.received(3)}

    assert set(told) == {"run.failed", "run.cancelled", "run.success"}
    assert (told["run.failed"]["id"], told["run.failed"]["error"]) == (
        failed["id"],
        failed["error"],
    )
    assert told["run.cancelled"]["id"] == cancelled
    assert told["run.success"]["packageId"].startswith("@inline/")


async def test_a_webhook_hears_what_it_chose(
    owner: Api, receiver: Receiver, server: Server
) -> None:
    one, other = await owner.new_agent("one"), await owner.new_agent("other")
    second = (await owner.post("/api/applications", {"name": "Second"})).json["id"]
    here = {"level": "application", "applicationId": owner.application["id"]}
    wanted = await hook(owner, receiver, packageId=one, payloadMode="summary", **here)
    for fields in (
        {"packageId": other},
        {"enabled": False},
        {"events": ["run.failed"]},
        {"level": "application", "applicationId": second},
    ):
        await hook(owner, receiver, **fields)
    run = await owner.finished(one, DEMO | {"input": {"topic": "tea"}})
    (told,) = await receiver.received(1)
    events = await database_of(server).fetch(
        "SELECT webhook_id FROM webhook_events WHERE run_id = $1", run["id"]
    )

    assert [row["webhook_id"] for row in events] == [wanted["id"]]
    assert told.json["data"]["object"]["duration"] == run["duration"]
    assert not {"input", "result"} & told.json["data"]["object"].keys()


async def test_what_fails_is_tried_again_with_the_same_event(
    owner: Api, receiver: Receiver, server: Server
) -> None:
    receiver.answers = [503, 302, 200]
    made = await hook(owner, receiver)
    await owner.finished(await owner.new_agent(), DEMO)
    pool = database_of(server)
    for attempt in (1, 2):
        failed = await receiver.received(attempt)
        due = await hurried(server, failed[0].json["id"])
        assert timedelta(0) < due - datetime.now(UTC) <= timedelta(seconds=331)
    told = await receiver.received(3)
    kept = await deliveries(owner, made["id"], 3)
    jobs = "SELECT count(*) FROM jobs WHERE payload ->> 'event' = $1"

    async def done() -> bool:
        return not await pool.fetchval(jobs, told[0].json["id"])

    await until(done)
    assert [each.headers["webhook-attempt"] for each in told] == ["1", "2", "3"]
    assert len({each.body for each in told}) == 1
    assert len({each.headers["webhook-id"] for each in told}) == 1
    assert [(d["attempt"], d["statusCode"]) for d in kept] == [(3, 200), (2, 302), (1, 503)]
    assert "redirects are not followed" in kept[1]["error"]
    assert set(receiver.paths) == {"/hook"}


async def hurried(server: Server, event: str) -> datetime:
    """Make an event that waits to be delivered due at once; when it would have been."""
    due: list[datetime] = []

    async def some() -> bool:
        rows = await database_of(server).fetch(HURRY, event)
        due[:] = [row["due_at"] for row in rows]
        return bool(due)

    await until(some)
    server.at.queue.tell(WakeQueue(topic=DELIVERIES))
    return min(due)


async def test_a_receiver_that_refuses_for_good_is_not_asked_again(
    owner: Api, receiver: Receiver, server: Server
) -> None:
    receiver.answers = [410]
    made = await hook(owner, receiver)
    await owner.finished(await owner.new_agent(), DEMO)
    (told,) = await receiver.received(1)
    (kept,) = await deliveries(owner, made["id"], 1)
    again = await owner.post(f"/api/webhooks/{made['id']}/deliveries/{kept['id']}/redeliver")
    _, second = await receiver.received(2)

    assert (kept["status"], kept["statusCode"]) == ("failed", 410)
    assert "410" in kept["error"]
    assert (again.status, again.json["status"], again.json["attempt"]) == (200, "success", 2)
    assert (second.body, second.headers["webhook-attempt"]) == (told.body, "2")
    assert second.signed_by(made["secret"])
    dead = await database_of(server).fetchval(
        "SELECT died_at FROM jobs WHERE payload ->> 'event' = $1", told.json["id"]
    )
    assert dead is not None


async def test_an_organization_whose_receiver_hangs_holds_up_no_other(
    owner: Api, receiver: Receiver, server: Server
) -> None:
    """Even when it has more to be told than are told at once, and was first."""
    receiver.answers = [None] * 40
    hanging = await new_owner(server.url)
    for _ in range(10):
        await hook(hanging, receiver, events=ALL)
    agent = await hanging.new_agent()
    for _ in range(2):
        await hanging.finished(agent, DEMO)
    began = await receiver.received(AT_ONCE_OF_ORGANIZATION)
    async with receiving() as good:
        await hook(owner, good)
        await owner.finished(await owner.new_agent(), DEMO)
        async with asyncio.timeout(5):
            await good.received(1)
    assert len(began) == AT_ONCE_OF_ORGANIZATION
    waiting = await database_of(server).fetchval(
        "SELECT count(*) FROM jobs WHERE group_id = $1", hanging.org["id"]
    )
    assert waiting == 40


async def test_a_test_really_delivers(owner: Api, receiver: Receiver) -> None:
    made = await hook(owner, receiver, enabled=False)
    tested = await owner.post(f"/api/webhooks/{made['id']}/test")
    (told,) = await receiver.received(1)
    receiver.answers = [500]
    failed = await owner.post(f"/api/webhooks/{made['id']}/test")

    assert (tested.status, tested.json["delivery"]["status"]) == (200, "success")
    assert told.signed_by(made["secret"])
    assert told.json == {k: v for k, v in tested.json.items() if k != "delivery"}
    assert (failed.status, failed.json["delivery"]["statusCode"]) == (200, 500)


async def test_an_organization_tests_few_webhooks_at_once(
    owner: Api, receiver: Receiver, server: Server
) -> None:
    receiver.answers = [None] * AT_ONCE_BY_HAND
    hanging = await new_owner(server.url)
    made = await hook(hanging, receiver)
    where = f"/api/webhooks/{made['id']}/test"
    waiting = [asyncio.ensure_future(hanging.post(where)) for _ in range(AT_ONCE_BY_HAND)]
    await receiver.received(AT_ONCE_BY_HAND)
    one_more = await hanging.post(where)
    theirs = await owner.post(f"/api/webhooks/{(await hook(owner, receiver))['id']}/test")
    await receiver.close()
    await asyncio.gather(*waiting)
    afterwards = await hanging.post(where)

    assert (one_more.status, one_more.code) == (429, "rate_limited")
    assert "Retry-After" in one_more.headers
    assert theirs.json["delivery"]["status"] == "success"
    assert afterwards.json["delivery"]["status"] == "success"


async def test_tests_that_are_broken_off_do_not_count(
    owner: Api, receiver: Receiver, server: Server
) -> None:
    receiver.answers = [None] * AT_ONCE_BY_HAND
    made = await hook(owner, receiver)
    caller = Caller(user=UserId("u"), email="", org=OrgId(owner.org["id"]))
    testing = Sample(caller=caller, webhook=WebhookId(made["id"]))
    asking = [asyncio.ensure_future(server.at.webhooks.ask(testing)) for _ in receiver.answers]
    await receiver.received(AT_ONCE_BY_HAND)
    for each in asking:
        each.cancel()
    await asyncio.wait(asking)

    async def tested() -> bool:
        return (await owner.post(f"/api/webhooks/{made['id']}/test")).status == 200

    await until(tested)


async def test_what_was_told_goes_with_its_run(owner: Api, receiver: Receiver) -> None:
    made = await hook(owner, receiver)
    run = await owner.finished(await owner.new_agent(), DEMO)
    (kept,) = await deliveries(owner, made["id"], 1)
    assert (await owner.delete(f"/api/runs/{run['id']}")).status == 204
    again = await owner.post(f"/api/webhooks/{made['id']}/deliveries/{kept['id']}/redeliver")

    assert (again.status, again.code) == (409, "conflict")
    assert await deliveries(owner, made["id"], 1) == [kept]
