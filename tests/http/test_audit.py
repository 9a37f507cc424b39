"""What administrators of the platform read of who changed what."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from appstrate.boot import Server, serving
from appstrate.http.routes import every_route
from appstrate.settings import read_settings
from support.api import PASSWORD, Api, Json, new_owner
from support.postgres import Postgres, url_of

TOKEN = "t" * 22
EMAIL = "root@example.com"


@pytest.fixture(scope="module")
async def platform(
    tmp_path_factory: pytest.TempPathFactory, postgres: Postgres
) -> AsyncIterator[Server]:
    environment = {
        "DATA_DIR": str(tmp_path_factory.mktemp("audited")),
        "DATABASE_URL": url_of(await postgres.fresh_database()),
        "PORT": "0",
        "APP_ENV": "test",
        "RATE_LIMIT_FACTOR": "1000",
        "SIDECAR_POOL_SIZE": "0",
        "AUTH_BOOTSTRAP_TOKEN": TOKEN,
    }
    async with serving(read_settings(environment)) as server:
        yield server


@pytest.fixture(scope="module")
async def root(platform: Server) -> Api:
    """Whoever claimed the platform."""
    api = Api(platform.url, email=EMAIL)
    body = {"token": TOKEN, "email": EMAIL, "name": "Root", "password": PASSWORD}
    redeemed = await api.post("/api/auth/bootstrap/redeem", body)
    assert redeemed.status == 200, redeemed.body
    api.org = {"id": redeemed.json["bootstrap"]["orgId"]}
    return api


@pytest.fixture
async def owner(platform: Server) -> Api:
    return await new_owner(platform.url)


async def changes(root: Api, **query: Any) -> list[Json]:
    answer = await root.get("/api/admin/audit", params=query)
    assert answer.status == 200, answer.body
    return list(answer.json["data"])


async def test_what_administrators_do_is_written_down(root: Api, owner: Api) -> None:
    agent = await owner.new_agent()
    key = (await owner.post("/api/api-keys", {"name": "ci", "scopes": ["agents:read"]})).json
    await owner.delete(f"/api/api-keys/{key['id']}")
    members = f"/api/orgs/{owner.org['id']}/members"
    invited = await owner.post(members, {"email": "eve@example.com", "role": "viewer"})
    credential = await owner.post(
        "/api/model-provider-credentials",
        {"label": "main", "providerId": "openai", "apiKey": "sk-" + "s" * 30},
    )
    await owner.delete(f"/api/packages/agents/{agent}")

    found = await changes(root, orgId=owner.org["id"])

    assert [(each["action"], each["resource_type"], each["resourceId"]) for each in found] == [
        ("delete_package", "agents", agent),
        ("create_credential", "model-provider-credentials", credential.json["id"]),
        ("invite", "members", invited.json["id"]),
        ("revoke_key", "api-keys", key["id"]),
        ("create_key", "api-keys", key["id"]),
        ("create_package", "agents", agent),
        ("create_organization", "platform", owner.org["id"]),
    ]
    assert found[4]["after"] == {"name": "ci", "scopes": ["agents:read"]}
    assert found[2]["after"] == {"email": "eve@example.com", "role": "viewer"}
    assert {each["actor_type"] for each in found} == {"user"}
    assert len({each["actorId"] for each in found}) == 1
    assert found[0]["applicationId"] == owner.application["id"]
    assert found[0]["ip"] == "127.0.0.1"
    assert found[0]["requestId"].startswith("req_")
    assert "sk-sss" not in str(found)


async def test_changes_outlive_what_they_tell_of(root: Api, owner: Api) -> None:
    assert (await owner.delete(f"/api/orgs/{owner.org['id']}")).status == 204

    found = await changes(root, orgId=owner.org["id"])

    assert [each["action"] for each in found] == ["delete_organization", "create_organization"]


async def test_what_is_refused_repeated_or_only_used_is_not_written_down(
    root: Api, owner: Api
) -> None:
    before = len(await changes(root, orgId=owner.org["id"]))
    await owner.post("/api/api-keys", {"name": ""})
    await owner.post("/api/models/test", {})
    await owner.get("/api/agents")
    for _ in range(2):
        await owner.post("/api/api-keys", {"name": "x"}, headers={"Idempotency-Key": "one"})

    assert len(await changes(root, orgId=owner.org["id"])) == before + 1


async def test_a_key_is_named_as_who_did_it(root: Api, owner: Api) -> None:
    key = await owner.with_key()
    made = (await owner.get("/api/api-keys")).json["data"][0]
    agent = await key.new_agent("by-key")

    found = await changes(root, actor=made["id"])

    assert [(each["actor_type"], each["resourceId"]) for each in found] == [("api_key", agent)]


async def test_the_claim_is_written_down(root: Api) -> None:
    (found,) = await changes(root, action="redeem")

    assert found["orgId"] == root.org["id"]
    assert found["after"] == {"email": EMAIL, "name": "Root"}
    assert PASSWORD not in str(found)
    assert TOKEN not in str(found)


async def test_changes_come_in_pages_and_are_filtered(root: Api, owner: Api) -> None:
    org = owner.org["id"]
    ids = [(await owner.post("/api/api-keys", {"name": str(n)})).json["id"] for n in range(3)]

    first = await root.get("/api/admin/audit", params={"orgId": org, "limit": "2"})
    second = await root.get(
        "/api/admin/audit",
        params={"orgId": org, "limit": "2", "startingAfter": str(first.json["data"][-1]["id"])},
    )

    assert [each["resourceId"] for each in first.json["data"]] == [ids[2], ids[1]]
    assert (first.json["hasMore"], second.json["hasMore"]) == (True, False)
    assert [each["resourceId"] for each in second.json["data"]] == [ids[0], org]
    assert [each["resourceId"] for each in await changes(root, resource=ids[1])] == [ids[1]]
    assert await changes(root, orgId=org, end_date="2020-01-01") == []
    assert len(await changes(root, orgId=org, start_date="2020-01-01")) == 4
    assert (await root.get("/api/admin/audit", params={"start_date": "soon"})).status == 400


async def test_only_administrators_of_the_platform_read_it(owner: Api) -> None:
    answers = [
        await owner.get("/api/admin/audit"),
        await (await owner.with_key()).get("/api/admin/audit"),
        await Api(owner.url).get("/api/admin/audit"),
    ]

    assert [answer.status for answer in answers] == [403, 403, 401]


def test_what_is_not_written_down_is_no_administration() -> None:
    subjects = ("/api/orgs", "/api/applications", "/api/api-keys")
    unsafe = [route for route in every_route() if route.method not in ("GET", "HEAD")]
    left_out = {
        f"{route.method} {route.path}"
        for route in unsafe
        if not route.is_audited and route.path.startswith(subjects)
    }

    assert left_out == set()
    assert sum(route.is_audited for route in unsafe) > 40
