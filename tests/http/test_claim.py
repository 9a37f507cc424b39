"""Who may come in: the claim of the platform, and the policies of sign-up."""

import asyncio
import html
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from appstrate.boot import serving
from appstrate.settings import Settings, read_settings
from support.api import PASSWORD, Answer, Api, Json, new_owner, new_user
from support.postgres import Postgres, url_of

TOKEN = "t" * 22
ADA: Json = {"name": "Ada", "email": "Ada@Example.com", "password": PASSWORD}
TAG = re.compile(r"<[^>]+>")


@pytest.fixture
def platform(
    tmp_path: Path, postgres: Postgres
) -> Callable[..., AbstractAsyncContextManager[tuple[Api, Settings]]]:
    """A server of one's own, with an empty database, and somebody who is not signed in."""

    @asynccontextmanager
    async def serve(**variables: str) -> AsyncIterator[tuple[Api, Settings]]:
        fixed = {"DATA_DIR": str(tmp_path), "PORT": "0", "APP_ENV": "test"}
        fixed["RATE_LIMIT_FACTOR"] = "1000"
        database = {"DATABASE_URL": url_of(await postgres.fresh_database())}
        settings = read_settings(fixed | database | variables)
        async with serving(settings) as server:
            yield Api(server.url), settings

    return serve


async def redeem(api: Api, token: str, **changes: str) -> Answer:
    return await api.post("/api/auth/bootstrap/redeem", ADA | {"token": token} | changes)


async def sign_up(url: str, email: str) -> Answer:
    body = {"email": email, "password": PASSWORD, "name": "Ada"}
    return await Api(url).post("/api/auth/sign-up/email", body)


async def test_whoever_brings_the_token_owns_the_platform_once(platform: Any) -> None:
    async with platform(AUTH_DISABLE_SIGNUP="true", AUTH_DISABLE_ORG_CREATION="true") as (
        api,
        settings,
    ):
        token = settings.claim.token
        assert (await api.get("/api/auth/bootstrap")).json == {"pending": True}
        wrong = await redeem(api, "x" * 22)
        assert (wrong.status, wrong.code) == (401, "token_invalid")
        weak = await redeem(api, token, password="short")
        assert (weak.status, weak.fields) == (400, {"password": "out_of_range"})
        made = await redeem(api, token)
        [org] = (await api.get("/api/orgs")).json["data"]

        assert made.status == 200, made.body
        assert made.json["user"]["email"] == "ada@example.com"
        assert made.json["bootstrap"] == {"orgId": org["id"], "orgSlug": "default"}
        assert org["role"] == "owner"
        api.headers["X-Org-Id"] = org["id"]
        [application] = (await api.get("/api/applications")).json["data"]
        api.headers["X-Application-Id"] = application["id"]
        agents = [agent["id"] for agent in (await api.get("/api/agents")).json["data"]]
        assert "@default/hello-world" in agents
        assert (await api.post("/api/orgs", {"name": "Second"})).status == 201

        again = await redeem(Api(api.url), token, email="eve@example.com")
        assert (again.status, again.code) == (410, "token_unavailable")
        assert (await api.get("/api/auth/bootstrap")).json == {"pending": False}
        assert (await sign_up(api.url, "eve@example.com")).code == "signup_disabled"


async def test_the_claim_outlives_users_and_organizations_that_are_not_its_owners(
    platform: Any,
) -> None:
    async with platform() as (api, settings):
        demo = await new_owner(api.url)
        taken = await redeem(api, settings.claim.token, email=demo.email)
        assert (taken.status, taken.code) == (409, "user_exists")
        assert (await redeem(api, settings.claim.token)).status == 200
        assert len((await demo.get("/api/orgs")).json["data"]) == 1


async def test_of_several_claims_at_once_one_wins(platform: Any) -> None:
    async with platform() as (api, settings):
        answers = await asyncio.gather(
            *(
                redeem(Api(api.url), settings.claim.token, email=f"{n}@example.com")
                for n in range(4)
            )
        )

        lost = {(a.status, a.code) for a in answers if a.status != 200}
        assert lost <= {(409, "redeem_in_progress"), (410, "token_unavailable")}
        assert sum(answer.status == 200 for answer in answers) == 1


async def test_the_form_claims_without_a_script(platform: Any) -> None:
    async with platform() as (api, settings):
        shown = await api.get(f"/claim?token={settings.claim.token}")
        text = shown.body.decode()
        policy = shown.headers["Content-Security-Policy"]
        assert shown.status == 200
        assert f'<input type="hidden" name="token" value="{settings.claim.token}">' in text
        assert "script" not in text
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "form-action 'self'" in policy
        hostile = (await api.get("/claim?token=%22%3E%3Cb%3E")).body.decode()
        assert 'value="&quot;&gt;&lt;b&gt;"' in hostile

        form = ADA | {"token": settings.claim.token}
        short = await api.request("POST", "/claim", data=form | {"password": "short"})
        assert (short.status, words(short)["refused"]) == (
            400,
            "password must have 8 to 256 characters",
        )
        assert 'value="Ada@Example.com"' in short.body.decode()
        assert "short" not in short.body.decode()
        evil = {"Origin": "https://evil.example"}
        foreign = await api.request("POST", "/claim", data=form, headers=evil)
        assert foreign.status == 403
        done = await api.request("POST", "/claim", data=form, headers={"Origin": api.url})
        assert (done.status, words(done)["title"]) == (200, "This platform is yours")
        assert (await api.get("/api/profile")).json["email"] == "ada@example.com"
        closed = await api.get(f"/claim?token={settings.claim.token}")
        assert (closed.status, words(closed)["title"]) == (410, "Nothing to claim")
        assert (await api.request("POST", "/claim", data=form)).status == 410


def words(answer: Answer) -> dict[str, str]:
    """The heading of a page, and what it refuses."""
    text = answer.body.decode()
    found = {"title": text.partition("<h1>")[2].partition("</h1>")[0]}
    found["refused"] = text.partition('role="alert">')[2].partition("</p>")[0]
    return {name: html.unescape(TAG.sub("", words)) for name, words in found.items()}


async def test_a_closed_door_opens_for_who_is_invited_or_named(platform: Any) -> None:
    async with platform(
        AUTH_DISABLE_SIGNUP="true", AUTH_PLATFORM_ADMIN_EMAILS="Ops@example.com, b@example.com"
    ) as (api, settings):
        assert settings.claim is None
        assert (await api.get("/claim")).status == 410
        assert (await redeem(api, TOKEN)).code == "token_unavailable"
        refused = await sign_up(api.url, "eve@example.com")
        assert (refused.status, refused.code) == (403, "signup_disabled")

        body = {"email": "ops@example.com", "password": PASSWORD, "name": "Ops"}
        assert (await api.post("/api/auth/sign-up/email", body)).status == 200
        org = (await api.post("/api/orgs", {"name": "Ops"})).json["id"]
        invited = {"email": "eve@example.com", "role": "viewer"}
        assert (await api.post(f"/api/orgs/{org}/members", invited)).status == 201
        assert (await sign_up(api.url, "eve@example.com")).status == 200


async def test_addresses_of_other_domains_stay_outside(platform: Any) -> None:
    async with platform(
        AUTH_ALLOWED_SIGNUP_DOMAINS="example.com,Example.ORG",
        AUTH_PLATFORM_ADMIN_EMAILS="ops@elsewhere.net",
        AUTH_DISABLE_ORG_CREATION="true",
    ) as (api, _):
        refused = await sign_up(api.url, "eve@evil-example.com")
        assert (refused.status, refused.code) == (403, "signup_domain_not_allowed")
        assert (await sign_up(api.url, "bob@example.org")).status == 200
        person = await new_user(api.url)
        assert (await person.post("/api/orgs", {"name": "X"})).code == "forbidden"

        body = {"email": "ops@elsewhere.net", "password": PASSWORD, "name": "Ops"}
        assert (await api.post("/api/auth/sign-up/email", body)).status == 200
        org = (await api.post("/api/orgs", {"name": "Ops"})).json["id"]
        path = f"/api/orgs/{org}/members"
        outside = await api.post(path, {"email": "eve@evil.net", "role": "viewer"})
        assert (outside.status, outside.code) == (403, "signup_domain_not_allowed")
        inside = await api.post(path, {"email": "eve@example.com", "role": "viewer"})
        assert inside.status == 201


async def test_an_owner_who_was_named_gets_their_organization_with_their_account(
    platform: Any,
) -> None:
    async with platform(
        AUTH_DISABLE_SIGNUP="true",
        AUTH_DISABLE_ORG_CREATION="true",
        AUTH_BOOTSTRAP_OWNER_EMAIL="Ada@example.com",
        AUTH_BOOTSTRAP_ORG_NAME="Ada & Co",
    ) as (api, settings):
        assert settings.claim is None
        body = {"email": "ada@example.com", "password": PASSWORD, "name": "Ada"}
        signed_up = await api.post("/api/auth/sign-up/email", body)
        again = await Api(api.url).post("/api/auth/sign-up/email", body)
        [org] = (await api.get("/api/orgs")).json["data"]

        assert signed_up.status == 200
        assert (again.status, again.code) == (422, "user_already_exists")
        assert (org["name"], org["slug"], org["role"]) == ("Ada & Co", "ada-co", "owner")
        assert (await api.post("/api/orgs", {"name": "Second"})).status == 201
        made, named = (await api.get("/api/admin/audit")).json["data"]
        assert made["action"] == "create_organization"
        assert (named["action"], named["orgId"]) == ("sign_up", org["id"])
        assert named["after"] == {"email": "ada@example.com", "name": "Ada"}


async def test_a_token_of_ones_own_is_for_who_knows_it(platform: Any) -> None:
    async with platform(
        AUTH_BOOTSTRAP_TOKEN=TOKEN, AUTH_PLATFORM_ADMIN_EMAILS="ops@example.com"
    ) as (api, settings):
        assert settings.claim.link(api.url) == f"{api.url}/claim"
        assert TOKEN not in settings.claim.link(api.url)
        assert 'name="token" value=""' in (await api.get("/claim")).body.decode()
        assert (await redeem(api, TOKEN)).status == 200


def test_the_token_is_the_same_at_every_start_of_one_server(tmp_path: Path) -> None:
    first, second, other = (
        read_settings({"DATA_DIR": str(tmp_path / name), "APP_ENV": "test"}).claim
        for name in ("one", "one", "other")
    )

    assert first is not None
    assert other is not None
    assert first == second
    assert first.token != other.token
