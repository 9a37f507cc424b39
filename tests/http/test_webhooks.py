"""Webhooks as people keep them: whose they are, where they may lead, and their secrets."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from appstrate.boot import Server
from support.api import Api, Json
from support.hooks import ENDS, hook
from support.receiver import Receiver
from support.sinks import database_of

DEMO: Json = {"modelId": "demo"}


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
