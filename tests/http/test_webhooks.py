"""Webhooks: what happens to runs is told, signed, to whoever wants to know, until they take it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from actors.events import DELIVERIES
from actors.queue import WakeQueue
from actors.webhooks.webhooks import AT_ONCE_BY_HAND, AT_ONCE_OF_ORGANIZATION
from appstrate.boot import Server
from support.api import Api, Json, new_owner
from support.fake_model import Fail, FakeModel, Hang
from support.packages import agent_manifest
from support.receiver import Receiver, receiving
from support.sinks import database_of
from support.waiting import until

ALL = ["run.started", "run.success", "run.failed", "run.timeout", "run.cancelled"]
ENDS = ALL[1:]
DEMO: Json = {"modelId": "demo"}
HURRY = """
    WITH waiting AS (
        SELECT id, due_at FROM jobs
        WHERE payload ->> 'event' = $1 AND token IS NULL AND due_at > now() FOR UPDATE
    )
    UPDATE jobs SET due_at = now() FROM waiting WHERE jobs.id = waiting.id
    RETURNING waiting.due_at
"""


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


async def hook(api: Api, receiver: Receiver, **fields: Any) -> Json:
    body: Json = {"level": "org", "url": f"{receiver.url}/hook", "events": ENDS} | fields
    made = await api.post("/api/webhooks", body)
    assert made.status == 201, made.body
    return dict(made.json)


async def deliveries(api: Api, webhook: str, count: int) -> list[Json]:
    """The deliveries of a webhook, once there are so many."""
    found: list[Json] = []

    async def enough() -> bool:
        found[:] = (await api.get(f"/api/webhooks/{webhook}/deliveries")).json["data"]
        return len(found) >= count

    await until(enough)
    return found


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


async def test_while_a_secret_is_rotated_both_sign(owner: Api, receiver: Receiver) -> None:
    made = await hook(owner, receiver)
    where = f"/api/webhooks/{made['id']}"
    rotated = (await owner.post(f"{where}/rotate")).json
    await owner.post(f"{where}/test")
    (both,) = await receiver.received(1)
    wrong = await owner.post(f"{where}/rotate", {"windowSeconds": 0})
    capped = (await owner.post(f"{where}/rotate", {"windowSeconds": 10**9})).json
    ends = datetime.fromisoformat(capped["rotationWindowEndsAt"])

    assert rotated["secretPrevious"] == made["secret"] != rotated["secret"]
    assert both.signed_by(rotated["secret"])
    assert both.signed_by(made["secret"])
    assert wrong.status == 400
    assert timedelta(days=29) < ends - datetime.now(UTC) <= timedelta(days=30)


async def test_after_the_window_the_previous_secret_is_of_no_use(
    owner: Api, receiver: Receiver, server: Server
) -> None:
    made = await hook(owner, receiver)
    rotated = (await owner.post(f"/api/webhooks/{made['id']}/rotate")).json
    await database_of(server).execute(
        "UPDATE webhooks SET previous_until = now() WHERE id = $1", made["id"]
    )
    await owner.post(f"/api/webhooks/{made['id']}/test")
    (told,) = await receiver.received(1)

    assert told.signed_by(rotated["secret"])
    assert not told.signed_by(made["secret"])


async def test_a_secret_rotated_twice_signs_until_its_window_ends(
    owner: Api, receiver: Receiver, server: Server
) -> None:
    made = await hook(owner, receiver)
    where, database = f"/api/webhooks/{made['id']}", database_of(server)
    over = "UPDATE webhooks SET {}_until = now() WHERE id = $1"

    async def signing() -> list[int]:
        """Which of the secrets, in the order they were made, sign what is told now."""
        receiver.delivered.clear()
        await owner.post(f"{where}/test")
        (told,) = await receiver.received(1)
        return [n for n, secret in enumerate(secrets) if told.signed_by(secret)]

    rotated = [(await owner.post(f"{where}/rotate")).json for _ in range(2)]
    secrets = [made["secret"], *(each["secret"] for each in rotated)]
    within = await signing()
    await database.execute(over.format("previous"), made["id"])
    shorter = await signing()
    secrets.append((await owner.post(f"{where}/rotate")).json["secret"])
    kept = await signing()
    secrets.append((await owner.post(f"{where}/rotate")).json["secret"])
    three = await signing()
    await database.execute(over.format("older"), made["id"])

    assert within == [0, 1, 2]
    assert shorter == [0, 2]
    assert kept == [0, 2, 3]
    assert three == [2, 3, 4]
    assert await signing() == [3, 4]


async def test_secrets_are_shown_once_and_kept_encrypted(
    owner: Api, receiver: Receiver, server: Server
) -> None:
    made = await hook(owner, receiver)
    shown = await owner.get(f"/api/webhooks/{made['id']}")
    listed = await owner.get("/api/webhooks")
    row = await database_of(server).fetchrow("SELECT * FROM webhooks WHERE id = $1", made["id"])

    assert made["secret"].startswith("whsec_")
    assert made["secret"].encode() not in shown.body + listed.body
    assert made["secret"] not in str(dict(row))
    assert {k: v for k, v in made.items() if k != "secret"} == shown.json


async def test_webhooks_are_changed_and_deleted(owner: Api, receiver: Receiver) -> None:
    made = await hook(owner, receiver, packageId=await owner.new_agent())
    where = f"/api/webhooks/{made['id']}"
    changed = await owner.put(
        where, {"events": ["run.failed", "run.failed"], "packageId": None, "enabled": False}
    )
    wrong = await owner.put(where, {"url": "ftp://example.com"})
    unknown = await owner.put(where, {"events": ["run.exploded"]})
    nameless = await owner.put(where, {"packageId": ""})
    gone = await owner.delete(where)

    assert (nameless.status, nameless.json["param"]) == (404, "packageId")
    assert (changed.json["events"], changed.json["packageId"]) == (["run.failed"], None)
    assert (changed.json["enabled"], changed.json["url"]) == (False, made["url"])
    assert (wrong.status, wrong.code) == (400, "blocked_url")
    assert (unknown.status, unknown.code) == (400, "validation_failed")
    assert gone.status == 204
    assert (await owner.get(where)).status == 404
    assert (await owner.get("/api/webhooks?all=true")).json["data"] == []


async def test_who_changes_a_webhook_leaves_what_others_change_meanwhile(
    owner: Api, receiver: Receiver
) -> None:
    made = await hook(owner, receiver)
    where = f"/api/webhooks/{made['id']}"
    changes: list[Json] = [
        {"url": f"{receiver.url}/other"},
        {"events": ["run.failed"]},
        {"payloadMode": "summary"},
        {"enabled": False},
    ]
    changed = await asyncio.gather(*(owner.put(where, each) for each in changes * 3))
    now = (await owner.get(where)).json

    assert [each.status for each in changed] == [200] * 12
    assert {name: now[name] for each in changes for name in each} == {
        name: value for each in changes for name, value in each.items()
    }


async def test_one_whose_address_is_closed_by_now_can_be_switched_off(
    owner: Api, receiver: Receiver, server: Server
) -> None:
    made = await hook(owner, receiver)
    where, closed = f"/api/webhooks/{made['id']}", "https://10.0.0.1/hook"
    await database_of(server).execute(
        "UPDATE webhooks SET url = $2 WHERE id = $1", *(made["id"], closed)
    )
    off = await owner.put(where, {"enabled": False})
    again = await owner.put(where, {"enabled": True, "url": closed})

    assert (off.status, off.json["enabled"], off.json["url"]) == (200, False, closed)
    assert (again.status, again.code) == (400, "blocked_url")


async def test_lists_are_of_one_scope_or_of_all(owner: Api, receiver: Receiver) -> None:
    here = owner.application["id"]
    of_org = await hook(owner, receiver)
    of_application = await hook(owner, receiver, level="application", applicationId=here)

    async def listed(query: str) -> list[str]:
        found = (await owner.get(f"/api/webhooks{query}")).json["data"]
        return [each["id"] for each in found]

    assert await listed("") == [of_org["id"]]
    assert await listed(f"?applicationId={here}") == [of_application["id"]]
    assert await listed("?all=true") == [of_org["id"], of_application["id"]]
    assert (await owner.get("/api/webhooks?applicationId=app_odd")).status == 404


async def test_a_key_has_webhooks_of_its_application_alone(owner: Api, receiver: Receiver) -> None:
    key = await owner.with_key()
    of_org = await hook(owner, receiver)
    second = (await owner.post("/api/applications", {"name": "Second"})).json["id"]
    body: Json = {"url": receiver.url, "events": ENDS}
    mine = await key.post("/api/webhooks", body | {"level": "application"})
    at_org = await key.post("/api/webhooks", body | {"level": "org"})
    elsewhere = await key.post(
        "/api/webhooks", body | {"level": "application", "applicationId": second}
    )
    listed = (await key.get("/api/webhooks?all=true")).json["data"]

    assert (mine.status, mine.json["applicationId"]) == (201, owner.application["id"])
    assert (at_org.status, at_org.code) == (403, "forbidden")
    assert elsewhere.status == 404
    assert [each["id"] for each in listed] == [mine.json["id"]]
    assert (await key.get(f"/api/webhooks/{of_org['id']}")).status == 404
    assert (await key.get(f"/api/webhooks?applicationId={second}")).status == 404


async def test_a_scope_has_twenty_webhooks_at_most(owner: Api, receiver: Receiver) -> None:
    for _ in range(20):
        await hook(owner, receiver)
    body: Json = {"level": "org", "url": receiver.url, "events": ENDS}
    refused = await owner.post("/api/webhooks", body)
    here = await hook(owner, receiver, level="application", applicationId=owner.application["id"])

    assert (refused.status, refused.code) == (400, "webhook_limit_reached")
    assert here["level"] == "application"


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/hook",
        "https://10.0.0.1/",
        "https://[::ffff:169.254.169.254]/",
        "https://[fd00::1]/",
        "https://167772161/",
        "https://0xa9fea9fe/",
        "https://metadata.google.internal/",
        "https://user:secret@example.com/",
        "file:///etc/passwd",
        "https://",
    ],
)
async def test_addresses_that_lead_inside_are_refused(owner: Api, url: str) -> None:
    body: Json = {"level": "org", "url": url, "events": ENDS}
    refused = await owner.post("/api/webhooks", body)

    assert (refused.status, refused.json["param"]) == (400, "url")


async def test_what_was_told_goes_with_its_run(owner: Api, receiver: Receiver) -> None:
    made = await hook(owner, receiver)
    run = await owner.finished(await owner.new_agent(), DEMO)
    (kept,) = await deliveries(owner, made["id"], 1)
    assert (await owner.delete(f"/api/runs/{run['id']}")).status == 204
    again = await owner.post(f"/api/webhooks/{made['id']}/deliveries/{kept['id']}/redeliver")

    assert (again.status, again.code) == (409, "conflict")
    assert await deliveries(owner, made["id"], 1) == [kept]
