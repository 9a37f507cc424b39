import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import web

from appstrate.boot import Server
from appstrate.http.auth import Cookies, CookieSettings
from support.api import Api, new_owner, new_user
from support.sinks import database_of


async def test_signing_up_signs_in_and_out_ends_it(server: Server) -> None:
    api = await new_user(server.url)
    session = (await api.get("/api/auth/get-session")).json
    assert session["user"]["name"] == "Ada"
    assert (await api.get("/api/orgs")).json["data"] == []

    assert (await api.post("/api/auth/sign-out")).json == {"success": True}
    assert (await api.get("/api/auth/get-session")).json is None
    assert (await api.get("/api/orgs")).status == 401


async def test_a_session_is_an_http_only_cookie_and_nothing_else(server: Server) -> None:
    api = Api(server.url)
    email = f"{uuid4().hex}@Example.COM"
    made = await api.post(
        "/api/auth/sign-up/email", {"email": email, "password": "12345678", "name": "Ada"}
    )
    cookie = made.headers["Set-Cookie"]

    assert made.json["token"] is None
    assert made.json["user"]["email"] == email.lower()
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Secure" not in cookie


def test_over_https_a_cookie_is_for_https_alone() -> None:
    settings = CookieSettings(
        secrets=("s" * 32,), secure=True, domain="example.com", trusted_origins=frozenset()
    )
    response = web.Response()
    Cookies(settings).set(response, "token", datetime.now(UTC) + timedelta(days=7, seconds=1))
    [name, *rest] = response.headers["Set-Cookie"].split("; ")

    assert name.startswith("__Secure-appstrate.session=token.")
    assert rest == [
        *("Max-Age=604800", "Path=/", "HttpOnly", "SameSite=Lax"),
        *("Domain=example.com", "Secure", "Partitioned"),
    ]


async def test_signing_in_again_needs_the_password(server: Server) -> None:
    api = Api(server.url)
    user = {"email": f"{uuid4().hex}@example.com", "password": "correct horse", "name": "Ada"}
    await api.post("/api/auth/sign-up/email", user)
    wrong = await Api(server.url).post("/api/auth/sign-in/email", user | {"password": "wrong"})
    unknown = await Api(server.url).post(
        "/api/auth/sign-in/email", user | {"email": "nobody@example.com"}
    )
    right = Api(server.url)
    assert (await right.post("/api/auth/sign-in/email", user)).status == 200

    assert wrong.status == unknown.status == 401
    assert wrong.json["detail"] == unknown.json["detail"]
    assert (await right.get("/api/orgs")).status == 200


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"email": "nonsense"}, "email"),
        ({"password": "short"}, "password"),
        ({"password": "x" * 257}, "password"),
        ({"name": " "}, "name"),
        ({"email": None}, "email"),
    ],
)
async def test_a_bad_sign_up_names_its_field(
    server: Server, change: dict[str, str], field: str
) -> None:
    body = {"email": "a@example.com", "password": "12345678", "name": "Ada"} | change
    answer = await Api(server.url).post("/api/auth/sign-up/email", body)

    assert answer.status == 400
    assert answer.code == "validation_failed"
    assert field in answer.fields


async def test_an_address_is_taken_once_even_at_the_same_moment(server: Server) -> None:
    body = {"email": f"{uuid4().hex}@example.com", "password": "12345678", "name": "Ada"}
    answers = await asyncio.gather(
        *(Api(server.url).post("/api/auth/sign-up/email", body) for _ in range(4))
    )

    assert sorted(a.status for a in answers) == [200, 422, 422, 422]


async def test_a_made_up_cookie_is_refused_and_taken_back(server: Server) -> None:
    api = Api(server.url, headers={"Cookie": "appstrate.session=made.up"})
    answer = await api.get("/api/orgs")

    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert "Max-Age=0" in answer.headers["Set-Cookie"]


async def test_another_sites_page_cannot_use_the_cookie(owner: Api) -> None:
    evil = await owner.post("/api/orgs", {"name": "X"}, headers={"Origin": "https://evil.example"})
    same = await owner.post("/api/orgs", {"name": "X"}, headers={"Origin": owner.url})

    assert (evil.status, evil.code) == (403, "forbidden")
    assert same.status == 201


async def test_a_name_made_to_point_here_is_another_site(server: Server) -> None:
    """A page of evil.example may ask this server under its own name (DNS rebinding)."""
    body = {"email": f"{uuid4().hex}@example.com", "password": "12345678", "name": "Ada"}
    names = {"Host": "evil.example:3000", "Origin": "http://evil.example:3000"}
    answer = await Api(server.url).post("/api/auth/sign-up/email", body, headers=names)

    assert (answer.status, answer.code) == (403, "forbidden")
    broken = await Api(server.url).post(
        "/api/auth/sign-up/email", body, headers={"Origin": "http://["}
    )
    assert (broken.status, broken.code) == (403, "forbidden")


async def test_a_stream_leaves_the_renewal_to_whoever_can_give_the_cookie(
    owner: Api, server: Server
) -> None:
    age = "UPDATE sessions SET updated_at = now() - interval '2 days' WHERE user_id = $1"
    user = (await owner.get("/api/auth/get-session")).json["user"]["id"]
    await database_of(server).execute(age, user)
    accounts: Any = server.at.accounts._actor
    accounts._authenticator.forget()
    await owner.get("/api/auth/get-session")
    accounts._authenticator.forget()
    where = f"orgId={owner.org['id']}&applicationId={owner.application['id']}"
    assert (await owner.get(f"/api/realtime/runs/run_0?{where}")).status == 404
    accounts._authenticator.forget()
    renewed = await owner.get("/api/orgs")

    assert "Set-Cookie" in renewed.headers


async def test_an_organization_comes_with_an_application_and_a_starter_agent(owner: Api) -> None:
    assert owner.org["role"] == "owner"
    assert owner.application["isDefault"] is True
    agents = {agent["id"] for agent in (await owner.get("/api/agents")).json["data"]}

    assert f"{owner.scope}/hello-world" in agents


async def test_slugs_are_unique(owner: Api) -> None:
    taken = await owner.post("/api/orgs", {"name": "Acme", "slug": owner.org["slug"]})
    derived = [(await owner.post("/api/orgs", {"name": "Ünïque! Näme"})).json for _ in range(2)]

    assert (taken.status, taken.code) == (400, "slug_taken")
    assert derived[0]["slug"] != derived[1]["slug"]


async def test_the_context_headers_are_checked(owner: Api, server: Server) -> None:
    bare = Api(server.url, jar=owner.jar)
    other = await new_owner(server.url)
    org = {"X-Org-Id": owner.org["id"]}

    assert (await bare.get("/api/models")).status == 400
    assert (await bare.get("/api/models", headers={"X-Org-Id": other.org["id"]})).status == 403
    assert (await bare.get("/api/agents", headers=org)).status == 400
    foreign = org | {"X-App-Id": other.application["id"]}
    assert (await bare.get("/api/agents", headers=foreign)).status == 404
    good = org | {"X-App-Id": owner.application["id"]}
    assert (await bare.get("/api/agents", headers=good)).status == 200


async def test_headers_a_route_has_no_use_for_do_not_matter(owner: Api) -> None:
    """A client that sends what it remembers everywhere can still find its way back."""
    stale = {"X-Org-Id": "gone", "X-Application-Id": "app_gone"}

    assert (await owner.get("/api/orgs", headers=stale)).status == 200
    only_application = {"X-Application-Id": "app_gone"}
    assert (await owner.get("/api/applications", headers=only_application)).status == 200
    assert (await owner.get("/api/models", headers=only_application)).status == 200
    assert (await owner.get("/api/agents", headers=only_application)).status == 404


async def test_a_key_acts_in_its_application_until_it_is_revoked(owner: Api) -> None:
    made = (await owner.post("/api/api-keys", {"name": "ci"})).json
    key = Api(owner.url, headers={"Authorization": f"Bearer {made['key']}"})
    assert (await key.get("/api/agents")).status == 200
    listed = (await owner.get("/api/api-keys")).json["data"]
    assert [k["id"] for k in listed] == [made["id"]]
    assert "key" not in listed[0]
    assert listed[0]["keyPrefix"] == made["key"][:8]

    assert (await owner.delete(f"/api/api-keys/{made['id']}")).status == 204
    dead = await key.get("/api/agents")
    assert (dead.status, dead.code) == (401, "unauthorized")


async def test_a_key_that_is_being_read_as_it_is_revoked_is_not_remembered(
    owner: Api, server: Server
) -> None:
    made = (await owner.post("/api/api-keys", {"name": "short"})).json
    key = Api(owner.url, headers={"Authorization": f"Bearer {made['key']}"})
    accounts: Any = server.at.accounts._actor
    authenticator = accounts._authenticator
    records, read, go_on = authenticator._records, asyncio.Event(), asyncio.Event()

    class Slow:
        async def key(self, *asked: object) -> object:
            found = await records.key(*asked)
            read.set()
            await go_on.wait()
            return found

    authenticator._records = Slow()
    reading = asyncio.create_task(key.get("/api/agents"))
    async with asyncio.timeout(10):
        await read.wait()
    authenticator._records = records
    assert (await owner.delete(f"/api/api-keys/{made['id']}")).status == 204
    go_on.set()

    assert (await reading).status == 200
    assert (await key.get("/api/agents")).status == 401


async def test_a_key_holds_its_scopes_and_never_administers(owner: Api) -> None:
    reader = await owner.with_key(scopes=["agents:read", "api-keys:create", "nonsense"])
    agent = await owner.new_agent()

    assert (await reader.get(f"/api/packages/agents/{agent}")).status == 200
    assert (await reader.launch(agent)).code == "forbidden"
    assert (await reader.post("/api/api-keys", {"name": "more"})).code == "forbidden"
    assert (await reader.get("/api/orgs")).code == "forbidden"
    assert (await reader.get("/api/agents", headers={"X-Org-Id": "elsewhere"})).status == 403


async def test_an_expired_or_unknown_key_is_refused(owner: Api) -> None:
    past = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    soon = datetime.now(UTC) + timedelta(milliseconds=300)
    refused = await owner.post("/api/api-keys", {"name": "old", "expiresAt": past})
    assert refused.fields == {"expiresAt": "invalid_value"}
    somewhere = await owner.post(
        "/api/api-keys", {"name": "old", "expiresAt": "2030-01-01T00:00:00"}
    )
    assert (somewhere.status, somewhere.fields) == (400, {"expiresAt": "invalid_format"})
    key = await owner.with_key(expiresAt=soon.isoformat())
    await asyncio.sleep(0.4)

    assert (await key.get("/api/agents")).status == 401
    unknown = Api(owner.url, headers={"Authorization": "Bearer ask_" + "0" * 48})
    assert (await unknown.get("/api/agents")).status == 401
    strange = Api(owner.url, headers={"Authorization": "Bearer eyJhbGciOi"})
    assert (await strange.get("/api/agents")).status == 401


async def test_other_organizations_things_are_not_there(owner: Api, server: Server) -> None:
    agent = await owner.new_agent()
    run = (await owner.launch(agent, {"modelId": "demo"})).json["id"]
    key = (await owner.post("/api/api-keys", {"name": "mine"})).json["id"]
    await owner.wait(run)
    stranger = await new_owner(server.url)
    for path in (
        f"/api/packages/agents/{agent}",
        f"/api/runs/{run}",
        f"/api/runs/{run}/logs",
    ):
        assert (await stranger.get(path)).status == 404, path

    assert (await stranger.launch(agent)).status == 404
    assert (await stranger.post(f"/api/runs/{run}/cancel")).status == 404
    assert (await stranger.delete(f"/api/api-keys/{key}")).status == 404
    assert (await stranger.get("/api/runs")).json["data"] == []
    assert (await stranger.get("/api/api-keys")).json["data"] == []
