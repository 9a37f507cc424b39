"""What administrators of the platform read of who changed what."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from appstrate.boot import Server, serving
from appstrate.http.call import Scope
from appstrate.http.routes import every_route
from appstrate.settings import read_settings
from support.api import PASSWORD, Api, Json, new_owner, new_user
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


async def test_the_claim_is_written_down_and_other_sign_ups_are_not(root: Api) -> None:
    await new_user(root.url)
    (found,) = await changes(root, action="redeem")

    assert await changes(root, action="sign_up") == []
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


DOORS = [("GET", "/api/admin/actors")] + [
    (route.method, route.path.replace("{job}", "1"))
    for route in every_route()
    if route.scope is Scope.PLATFORM or route.path.startswith("/api/admin/")
]


@pytest.mark.parametrize(("method", "path"), DOORS)
async def test_only_administrators_of_the_platform_come_in_and_no_keys(
    owner: Api, root: Api, method: str, path: str
) -> None:
    callers = [owner, await owner.with_key(), Api(owner.url)]
    answers = [await each.request(method, path) for each in callers]
    welcome = await root.request(method, path)

    assert [answer.status for answer in answers] == [403, 403, 401]
    assert welcome.status in (200, 404)


async def test_a_key_of_the_platforms_owner_administers_nothing(root: Api) -> None:
    key = (await root.post("/api/api-keys", {"name": "all"}, headers=await context_of(root))).json
    holder = Api(root.url, headers={"Authorization": f"Bearer {key['key']}"})

    assert (await holder.get("/api/admin/audit")).status == 403


async def context_of(root: Api) -> dict[str, str]:
    org = {"X-Org-Id": root.org["id"]}
    (application,) = (await root.get("/api/applications", headers=org)).json["data"]
    return org | {"X-Application-Id": application["id"]}


async def test_what_was_changed_is_told_as_it_was(root: Api, owner: Api) -> None:
    org = f"/api/orgs/{owner.org['id']}"
    other = await new_user(owner.url)
    invited = await owner.post(f"{org}/members", {"email": other.email, "role": "viewer"})
    await owner.put(f"{org}/invitations/{invited.json['id']}", {"role": "member"})
    assert (await other.post(f"/invite/{invited.json['token']}/accept")).status == 200
    user = (await other.get("/api/auth/get-session")).json["user"]["id"]
    await owner.put(f"{org}/members/{user}", {"role": "admin"})
    await owner.put(org, {"name": "Anew"})
    key = (await owner.post("/api/api-keys", {"name": "ci", "scopes": ["agents:read"]})).json["id"]
    await owner.delete(f"/api/api-keys/{key}")
    application = (await owner.post("/api/applications", {"name": "Second"})).json["id"]
    await owner.request("PATCH", f"/api/applications/{application}", json={"name": "Third"})
    agent = await owner.new_agent()
    cron = {"cron_expression": "@yearly", "name": "New year"}
    schedule = (await owner.post(f"/api/agents/{agent}/schedules", cron)).json["id"]
    await owner.put(f"/api/schedules/{schedule}", {"enabled": False})
    await owner.delete(f"/api/schedules/{schedule}")
    found = {each["action"]: each for each in await changes(root, orgId=owner.org["id"])}

    def told(action: str) -> tuple[Json | None, Json]:
        return found[action]["before"], found[action]["after"]

    assert told("invite") == (None, {"email": other.email, "role": "viewer"})
    assert told("change_invitation") == ({"role": "viewer"}, {"role": "member"})
    assert told("change_role") == ({"role": "member"}, {"role": "admin"})
    assert told("rename_organization") == ({"name": owner.org["name"]}, {"name": "Anew"})
    assert told("change_application") == ({"name": "Second"}, {"name": "Third"})
    assert told("change_schedule") == ({"enabled": True}, {"enabled": False})
    gone, nothing = told("revoke_key")
    assert (gone, nothing) == ({"name": "ci", "scopes": ["agents:read"]}, {})
    deleted, _ = told("delete_schedule")
    assert deleted is not None
    assert (deleted["cron_expression"], deleted["enabled"]) == ("@yearly", False)


async def test_what_was_changed_is_named_wherever_its_request_named_it(
    root: Api, owner: Api
) -> None:
    agent = await owner.new_agent()
    of_agent, cron = f"/api/packages/agents/{agent}", {"cron_expression": "@yearly"}
    await owner.put(f"{of_agent}/dist-tags/stable", {"version": "1.0.0"})
    await owner.delete(f"{of_agent}/dist-tags/stable")
    schedule = (await owner.post(f"/api/agents/{agent}/schedules", cron)).json["id"]
    forked = (await owner.post("/api/packages/@appstrate/hello-world/fork", {"name": "mine"})).json
    application = (await owner.post("/api/applications", {"name": "Second"})).json["id"]
    installed = f"/api/applications/{application}/packages"
    await owner.post(installed, {"packageId": agent})
    await owner.delete(f"{installed}/{agent}")
    found = {each["action"]: each for each in await changes(root, orgId=owner.org["id"])}

    def told(action: str) -> tuple[str, Json]:
        return found[action]["resourceId"], found[action]["after"]

    assert told("tag_version") == (agent, {"tag": "stable", "version": "1.0.0"})
    assert told("delete_tag") == (agent, {"tag": "stable"})
    assert told("create_schedule")[0] == schedule
    assert told("create_schedule")[1]["package"] == agent
    assert told("fork_package")[0] == forked["id"]
    assert told("fork_package")[1]["package"] == "@appstrate/hello-world"
    assert told("uninstall_package") == (agent, {"application": application})


async def test_a_change_that_fails_is_not_read_before_for_others(owner: Api, root: Api) -> None:
    stranger = await new_owner(owner.url)
    key = (await owner.post("/api/api-keys", {"name": "hers"})).json["id"]
    before = len(await changes(root, orgId=stranger.org["id"]))

    assert (await stranger.delete(f"/api/api-keys/{key}")).status == 404
    assert len(await changes(root, orgId=stranger.org["id"])) == before


RUNS = "the run has a log of its own, and is a row that names who launched it"
OWN_LOG = "a run does it, and its log tells"
TRIES = "it tries something out and changes nothing"
READS = "it reads"
OWN = "it is about nobody but who does it"
FILES = "files are for runs, which name them"
SESSIONS = "the log tells of it, and sessions are rows; whoever fails could fill the table"

WHY_NOT = {
    "POST /api/auth/sign-in/email": SESSIONS,
    "POST /api/auth/sign-out": SESSIONS,
    "PATCH /api/profile": OWN,
    "POST /api/welcome/setup": OWN,
    "POST /api/profiles/batch": READS,
    "POST /api/model-provider-credentials/test": TRIES,
    "POST /api/model-provider-credentials/{credential}/test": TRIES,
    "POST /api/models/test": TRIES,
    "POST /api/models/{model}/test": TRIES,
    "POST /api/agents/{scope}/{name}/run": RUNS,
    "POST /api/runs/inline": RUNS,
    "POST /api/runs/inline/validate": TRIES,
    "POST /api/runs/{run}/cancel": RUNS,
    "POST /api/runs/remote": RUNS,
    "PATCH /api/runs/{run}/sink/extend": RUNS,
    "POST /api/schedules/{schedule}/run": RUNS,
    "POST /api/schedules/preview": READS,
    "POST /api/runs/{run}/events": OWN_LOG,
    "POST /api/runs/{run}/events/finalize": OWN_LOG,
    "POST /api/runs/{run}/events/heartbeat": OWN_LOG,
    "POST /api/runs/{run}/documents": OWN_LOG,
    "POST /api/webhooks/{webhook}/test": "every attempt to deliver is a row",
    "POST /api/webhooks/{webhook}/deliveries/{delivery}/redeliver": "so is this one",
    "PUT /api/notifications/read-all": OWN,
    "PUT /api/notifications/read/{run}": OWN,
    "PUT /api/notifications/{notification}/read": OWN,
    "POST /api/uploads": FILES,
    "PUT /api/uploads/_content": FILES,
    "POST /api/documents/{document}/keep": FILES,
}


def test_every_route_that_changes_something_writes_it_down_or_has_a_reason() -> None:
    """A new route is written down if its permission is administrative or it says `audit=True`;
    else it needs a line in `WHY_NOT`.
    """
    unsafe = [route for route in every_route() if route.method not in ("GET", "HEAD")]
    silent = {f"{route.method} {route.path}" for route in unsafe if not route.is_audited}

    assert silent == WHY_NOT.keys()
    assert all(route.is_audited for route in unsafe if route.scope is Scope.PLATFORM)
