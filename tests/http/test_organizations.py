"""Organizations, their settings and their end; applications; profiles."""

from typing import Any

import pytest

from actors.accounts import (
    ApplicationSettings,
    Caller,
    CreateApiKey,
    CreateApplication,
    Invite,
    ReadOrganizationSettings,
    RenameOrganization,
    ShowOrganization,
)
from actors.ids import ApplicationId, OrgId
from actors.runtime import Conflict, NotFound
from appstrate.boot import Server
from appstrate.http import versions
from support.api import PASSWORD, Api, new_owner, new_user
from support.fake_model import FakeModel, Hang
from support.foreign import new_things
from support.sinks import database_of


async def test_an_organization_is_renamed_and_keeps_its_slug(owner: Api) -> None:
    path = f"/api/orgs/{owner.org['id']}"
    renamed = await owner.put(path, {"name": " Globex "})
    nameless = await owner.put(path, {"name": " "})

    assert renamed.json == owner.org | {"name": "Globex"}
    assert (nameless.status, nameless.fields) == (400, {"name": "out_of_range"})
    assert (await owner.get(path)).json["slug"] == owner.org["slug"]


async def test_settings_change_one_by_one(owner: Api) -> None:
    path = f"/api/orgs/{owner.org['id']}/settings"
    assert (await owner.get(path)).json == {}
    both = {"api_version": "2026-03-21", "dashboard_sso_enabled": True}

    assert (await owner.put(path, {"dashboard_sso_enabled": True})).status == 200
    assert (await owner.put(path, {"api_version": "2026-03-21"})).json == both
    assert (await owner.put(path, {"dashboard_sso_enabled": None})).status == 200
    assert (await owner.get(path)).json == {"api_version": "2026-03-21"}
    wrong = await owner.put(path, {"api_version": "tomorrow"})
    unknown = await owner.put(path, {"api_version": "2020-01-01"})
    empty = await owner.put(path, {"api_version": ""})
    assert (empty.status, empty.code) == (400, "invalid_api_version")
    assert (wrong.status, wrong.code) == (400, "invalid_api_version")
    assert (unknown.status, unknown.code) == (400, "unsupported_api_version")


async def test_an_organization_goes_with_everything_in_it_but_not_while_it_runs(
    server: Server, fake: FakeModel
) -> None:
    owner = await new_owner(server.url)
    things = await new_things(owner, fake)
    key = await owner.with_key()
    path = f"/api/orgs/{owner.org['id']}"
    model = await owner.new_model(fake, fake.script("endless", Hang()))
    run = await owner.launch(things.packages["agents"], {"modelId": model["id"]})
    refused = await owner.delete(path)
    assert (refused.status, refused.code) == (400, "delete_failed")
    assert (await owner.post(f"/api/runs/{run.json['id']}/cancel")).status == 200

    assert (await owner.delete(path)).status == 204
    assert (await owner.get(path)).code == "org_not_found"
    assert (await owner.get("/api/orgs")).json["data"] == []
    assert (await key.get("/api/agents")).code == "unauthorized"
    assert (await owner.get("/api/agents")).status == 403
    left = await database_of(server).fetchval(
        "SELECT count(*) FROM packages WHERE org_id = $1", owner.org["id"]
    )
    assert left == 0
    again = await owner.post("/api/orgs", {"name": "Acme", "slug": owner.org["slug"]})
    assert again.status == 201  # its name and the names of its packages are free


async def test_applications_come_and_go(owner: Api) -> None:
    settings = {"allowedRedirectDomains": ["example.com"]}
    made = await owner.post("/api/applications", {"name": "Shop", "settings": settings})
    path = f"/api/applications/{made.json['id']}"
    there = owner.headers | {"X-Application-Id": made.json["id"]}
    assert (made.status, made.json["isDefault"], made.json["settings"]) == (201, False, settings)
    assert made.json["id"].startswith("app_")
    assert (await owner.get(path)).json == made.json
    names = [a["name"] for a in (await owner.get("/api/applications")).json["data"]]
    assert names == ["Default", "Shop"]

    renamed = (await owner.request("PATCH", path, json={"name": "Store"})).json
    assert (renamed["name"], renamed["settings"]) == ("Store", settings)
    many = {"settings": {"allowedRedirectDomains": ["x"] * 21}}
    assert (await owner.request("PATCH", path, json=many)).status == 400
    assert (await owner.get("/api/runs", headers=there)).status == 200

    assert (await owner.delete(path)).status == 204
    assert (await owner.get(path)).status == 404
    assert (await owner.get("/api/runs", headers=there)).status == 404
    default = await owner.delete(f"/api/applications/{owner.application['id']}")
    assert (default.status, default.code) == (400, "invalid_request")


async def test_an_application_that_runs_stays(owner: Api, fake: FakeModel) -> None:
    made = (await owner.post("/api/applications", {"name": "Shop"})).json
    model = await owner.new_model(fake, fake.script("still", Hang()))
    owner.headers["X-Application-Id"] = made["id"]
    run = await owner.launch(await owner.new_agent("slow"), {"modelId": model["id"]})
    refused = await owner.delete(f"/api/applications/{made['id']}")
    assert (refused.status, refused.code) == (400, "delete_failed")
    await owner.post(f"/api/runs/{run.json['id']}/cancel")

    assert (await owner.delete(f"/api/applications/{made['id']}")).status == 204


async def test_scopes_are_what_a_key_may_get(owner: Api) -> None:
    scopes = (await owner.get("/api/api-keys/available-scopes")).json["data"]
    key = (await owner.post("/api/api-keys", {"name": "all"})).json

    assert key["scopes"] == scopes
    assert {"agents:run", "runs:read", "webhooks:write"} <= set(scopes)
    resources = {scope.partition(":")[0] for scope in scopes}
    assert not resources & {"org", "members", "persistence", "api-keys", "chat"}
    listed = (await owner.get("/api/api-keys")).json["data"][0]
    assert listed["created_by_name"] == "Ada"
    assert set(listed) == {
        *("id", "name", "keyPrefix", "scopes", "created_by", "created_by_name"),
        *("expiresAt", "lastUsedAt", "revokedAt", "createdAt"),
    }


async def test_a_profile_is_shown_to_whom_one_works_with(owner: Api, server: Server) -> None:
    first = (await owner.get("/api/profile")).json
    assert first == {
        "id": first["id"],
        "displayName": "Ada",
        "language": "fr",
        "email": owner.email,
        "name": "Ada",
    }
    assert (await owner.post("/api/welcome/setup", {"displayName": " Ada L. "})).status == 204
    changed = (await owner.request("PATCH", "/api/profile", json={"language": "en"})).json
    assert changed == first | {"displayName": "Ada L.", "language": "en"}
    for wrong in ({"language": "de"}, {"displayName": " "}, {"displayName": "x" * 101}):
        answer = await owner.request("PATCH", "/api/profile", json=wrong)
        assert (answer.status, list(answer.fields)) == (400, list(wrong))

    stranger = await new_user(server.url)
    theirs = (await stranger.get("/api/profile")).json["id"]
    asked = {"ids": [first["id"], theirs, "nobody"]}
    seen = (await owner.post("/api/profiles/batch", asked)).json["data"]
    assert seen == [{"id": first["id"], "displayName": "Ada L."}]
    too_many = await owner.post("/api/profiles/batch", {"ids": ["x"] * 101})
    assert too_many.status == 400


async def test_a_first_password_is_set_once(server: Server) -> None:
    person = await new_user(server.url)
    user = (await person.get("/api/profile")).json["id"]
    taken = await person.post("/api/profile/password", {"password": "another one"})
    await database_of(server).execute("DELETE FROM login_methods WHERE user_id = $1", user)
    short = await person.post("/api/profile/password", {"password": "short"})
    given = await person.post("/api/profile/password", {"password": PASSWORD})
    signed_in = await Api(server.url).post(
        "/api/auth/sign-in/email", {"email": person.email, "password": PASSWORD}
    )

    assert (taken.status, taken.code) == (409, "password_already_set")
    assert (short.status, short.fields) == (400, {"password": "out_of_range"})
    assert (given.status, signed_in.status) == (204, 200)


async def test_the_version_an_organization_chose_is_spoken_where_a_request_names_none(
    owner: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = "2025-01-01"
    monkeypatch.setattr(versions, "VERSIONS", versions.VERSIONS | {old})
    key = await owner.with_key()
    path = f"/api/orgs/{owner.org['id']}/settings"
    assert (await key.get("/api/agents")).headers["Appstrate-Version"] == versions.API_VERSION

    assert (await owner.put(path, {"api_version": old})).status == 200
    for somebody in (owner, key):
        assert (await somebody.get("/api/agents")).headers["Appstrate-Version"] == old
    named = {"Appstrate-Version": versions.API_VERSION}
    answer = await key.get("/api/agents", headers=named)
    assert answer.headers["Appstrate-Version"] == versions.API_VERSION


async def test_the_last_use_of_a_key_is_written_in_batches(owner: Api, server: Server) -> None:
    key = await owner.with_key()
    for _ in range(3):
        assert (await key.get("/api/agents")).status == 200
    before = (await owner.get("/api/api-keys")).json["data"][0]["lastUsedAt"]
    accounts: Any = server.at.accounts._actor
    await accounts._authenticator.write_uses()
    after = (await owner.get("/api/api-keys")).json["data"][0]["lastUsedAt"]

    assert before is None
    assert after is not None


async def test_what_is_added_to_what_is_gone_is_refused(owner: Api, server: Server) -> None:
    """A request that was let in a moment before its organization was deleted."""
    caller = Caller(
        user=(await owner.get("/api/profile")).json["id"],
        email=owner.email,
        org=OrgId(owner.org["id"]),
        role="owner",
        application=ApplicationId(owner.application["id"]),
        permissions=frozenset({"members:invite"}),
    )
    assert (await owner.delete(f"/api/orgs/{owner.org['id']}")).status == 204
    at, settings = server.at, ApplicationSettings()
    for asking in (
        at.applications.ask(CreateApiKey(caller=caller, name="late")),
        at.applications.ask(CreateApplication(caller=caller, name="late", settings=settings)),
        at.members.ask(Invite(caller=caller, email="late@example.com", role="viewer")),
    ):
        with pytest.raises(Conflict):
            await asking
    for reading in (
        at.organizations.ask(ShowOrganization(caller=caller)),
        at.organizations.ask(RenameOrganization(caller=caller, name="late")),
        at.organizations.ask(ReadOrganizationSettings(caller=caller)),
    ):
        with pytest.raises(NotFound):
            await reading
