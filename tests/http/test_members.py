"""Who is in an organization, as what, and what that lets them do."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from appstrate.boot import Server
from support.api import Api, Json, new_owner, new_user
from support.sinks import database_of
from support.waiting import until

WAITING = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
ROLES = ("owner", "admin", "member", "viewer")


@dataclass
class Team:
    """An organization with one person of each role."""

    owner: Api
    admin: Api
    member: Api
    viewer: Api

    def __getitem__(self, role: str) -> Api:
        return getattr(self, role)  # type: ignore[no-any-return]

    @property
    def path(self) -> str:
        return f"/api/orgs/{self.owner.org['id']}"


async def join(owner: Api, role: str) -> Api:
    """Somebody new, invited by the owner, acting in the default application."""
    person = await new_user(owner.url)
    invited = await invite(owner, person.email, role)
    joined = await person.post(f"/invite/{invited['token']}/accept")
    assert (joined.status, joined.json["role"]) == (200, role)
    person.org, person.application = owner.org, owner.application
    person.headers |= owner.headers
    return person


async def invite(owner: Api, email: str, role: str) -> Json:
    made = await owner.post(f"/api/orgs/{owner.org['id']}/members", {"email": email, "role": role})
    assert made.status == 201, made.body
    return dict(made.json)


async def user_of(person: Api) -> str:
    return str((await person.get("/api/profile")).json["id"])


@pytest.fixture(scope="module")
async def team(server: Server) -> Team:
    owner = await new_owner(server.url)
    return Team(owner, *[await join(owner, role) for role in ROLES[1:]])


# A representative route of each kind, with the least role that may use it. Whoever may is answered
# with something else than 403, be it that the thing does not exist.
LEAST: list[tuple[str, str, Any, str]] = [
    ("GET", "{org}", None, "viewer"),
    ("GET", "{org}/settings", None, "viewer"),
    ("PUT", "{org}/settings", {}, "admin"),
    ("PUT", "{org}", {"name": "Acme"}, "owner"),
    ("POST", "{org}/members", {"email": "nonsense", "role": "viewer"}, "admin"),
    ("PUT", "{org}/members/nobody", {"role": "viewer"}, "admin"),
    ("DELETE", "{org}/members/nobody", None, "admin"),
    ("DELETE", "{org}/invitations/none", None, "admin"),
    ("GET", "/api/applications", None, "viewer"),
    ("POST", "/api/applications", {"name": ""}, "admin"),
    ("DELETE", "/api/applications/none", None, "admin"),
    ("GET", "/api/api-keys", None, "admin"),
    ("GET", "/api/api-keys/available-scopes", None, "admin"),
    ("POST", "/api/api-keys", {"name": ""}, "admin"),
    ("DELETE", "/api/api-keys/none", None, "admin"),
    ("GET", "/api/agents", None, "viewer"),
    ("GET", "/api/runs", None, "viewer"),
    ("GET", "/api/packages/skills", None, "viewer"),
    ("POST", "/api/packages/agents", {"manifest": {}}, "admin"),
    ("POST", "/api/agents/@x/none/run", {}, "member"),
    ("POST", "/api/runs/run_none/cancel", None, "member"),
    ("GET", "/api/models", None, "viewer"),
    ("PUT", "/api/models/default", {"modelId": "none"}, "admin"),
    ("GET", "/api/model-provider-credentials", None, "admin"),
]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("use", LEAST, ids=[f"{method} {path}" for method, path, _, _ in LEAST])
async def test_a_role_may_do_so_much(team: Team, role: str, use: tuple[str, str, Any, str]) -> None:
    method, path, body, least = use
    answer = await team[role].request(method, path.format(org=team.path), json=body)

    assert answer.status < 500
    assert (answer.status != 403) == (ROLES.index(role) <= ROLES.index(least)), answer.body


async def test_an_organization_shows_its_members_and_to_some_its_invitations(team: Team) -> None:
    invited = await invite(team.owner, "New@Example.com", "member")
    shown = (await team.admin.get(team.path)).json
    seen = (await team.viewer.get(team.path)).json

    assert [member["role"] for member in shown["members"]] == list(ROLES)
    assert shown["members"][0]["displayName"] == "Ada"
    assert set(shown["members"][1]) == {"userId", "role", "joinedAt", "displayName", "email"}
    assert shown["storage"] == {
        "used_bytes": 0,
        "limit_bytes": None,
        "effective_limit_bytes": None,
    }
    assert shown["invitations"] == [invited]
    assert invited["email"] == "new@example.com"
    assert len(invited["token"]) == 64
    assert (seen["members"], seen["invitations"]) == (shown["members"], [])
    gone = await team.admin.delete(f"{team.path}/invitations/{invited['id']}")
    assert gone.status == 204


async def test_what_was_taken_is_gone_with_the_next_request(server: Server) -> None:
    owner = await new_owner(server.url)
    admin = await join(owner, "admin")
    path = f"/api/orgs/{owner.org['id']}/members/{await user_of(admin)}"
    key = await admin.with_key(scopes=["models:read", "models:write"])
    change: Json = {"modelId": None}
    assert (await key.put("/api/models/default", change)).status == 204
    assert (await admin.put("/api/models/default", change)).status == 204

    assert (await owner.put(path, {"role": "viewer"})).json["role"] == "viewer"
    assert (await admin.put("/api/models/default", change)).status == 403
    assert (await key.put("/api/models/default", change)).status == 403
    assert (await key.get("/api/models")).status == 200

    assert (await owner.delete(path)).status == 204
    assert (await key.get("/api/models")).code == "unauthorized"
    assert (await admin.get("/api/models")).code == "forbidden"
    assert (await admin.get(f"/api/orgs/{owner.org['id']}")).code == "org_not_found"
    assert (await owner.delete(path)).status == 404

    # Whoever comes back does not bring old keys to life.
    invited = await invite(owner, admin.email, "admin")
    assert (await admin.post(f"/invite/{invited['token']}/accept")).status == 200
    assert (await admin.get("/api/models")).status == 200
    assert (await key.get("/api/models")).code == "unauthorized"


async def test_of_many_who_do_the_same_at_once_one_succeeds(server: Server) -> None:
    owner, person = await new_owner(server.url), await new_user(server.url)
    invited = await invite(owner, person.email, "member")
    accepted = await asyncio.gather(
        *(person.post(f"/invite/{invited['token']}/accept") for _ in range(8))
    )
    path = f"/api/orgs/{owner.org['id']}/members/{await user_of(person)}"
    changed = await asyncio.gather(*(owner.put(path, {"role": "viewer"}) for _ in range(8)))
    removed = await asyncio.gather(*(owner.delete(path) for _ in range(8)))
    again = await asyncio.gather(*(invite(owner, person.email, "viewer") for _ in range(4)))
    taken = [await person.post(f"/invite/{each['token']}/accept") for each in again]

    assert [each.status for each in accepted].count(200) == 1
    assert {each.status for each in accepted} <= {200, 409, 410}
    assert {each.status for each in changed} <= {200, 409}
    assert [each.status for each in removed].count(204) == 1
    assert {each.status for each in removed} <= {204, 404, 409}
    assert sorted(each.status for each in taken) == [200, 410, 410, 410]


async def test_who_accepts_waits_for_whoever_deletes_the_organization(server: Server) -> None:
    owner, person = await new_owner(server.url), await new_user(server.url)
    invited, database = await invite(owner, person.email, "member"), database_of(server)

    async def waits() -> bool:
        return bool(await database.fetch(WAITING))

    async with database.transaction() as deletion:
        await deletion.execute(
            "SELECT FROM organizations WHERE id = $1 FOR UPDATE", owner.org["id"]
        )
        accepting = asyncio.create_task(person.post(f"/invite/{invited['token']}/accept"))
        await until(waits)
        await deletion.execute("DELETE FROM organizations WHERE id = $1", owner.org["id"])

    assert (await accepting).status == 409
    assert (await person.get("/api/orgs")).json["data"] == []


async def test_nobody_manages_themselves_or_the_owner_and_admins_only_those_below(
    server: Server,
) -> None:
    owner = await new_owner(server.url)
    admin, peer, member = [await join(owner, role) for role in ("admin", "admin", "member")]
    members = f"/api/orgs/{owner.org['id']}/members"
    of_owner, of_admin, of_peer, of_member = [
        f"{members}/{await user_of(person)}" for person in (owner, admin, peer, member)
    ]
    for path, role in (
        (of_owner, "viewer"),
        (of_admin, "viewer"),
        (of_peer, "viewer"),
        (of_member, "admin"),
    ):
        assert (await admin.put(path, {"role": role})).code == "forbidden", path
    for path in (of_owner, of_admin, of_peer):
        assert (await admin.delete(path)).code == "forbidden", path
    assert (await owner.put(of_owner, {"role": "viewer"})).code == "forbidden"
    assert (await owner.delete(of_owner)).code == "forbidden"
    ruler = await owner.put(of_member, {"role": "owner"})
    assert (ruler.status, ruler.fields) == (400, {"role": "invalid_value"})
    await _invitations_are_managed_alike(owner, admin)

    assert (await admin.put(of_member, {"role": "viewer"})).status == 200
    assert (await admin.delete(of_member)).status == 204
    assert (await owner.delete(of_peer)).status == 204


async def _invitations_are_managed_alike(owner: Api, admin: Api) -> None:
    path = f"/api/orgs/{owner.org['id']}"
    own = await admin.post(f"{path}/members", {"email": "a@example.com", "role": "admin"})
    high = await invite(owner, "b@example.com", "admin")
    low = await invite(owner, "c@example.com", "viewer")

    assert own.code == "forbidden"
    assert (await admin.delete(f"{path}/invitations/{high['id']}")).code == "forbidden"
    raised = await admin.put(f"{path}/invitations/{low['id']}", {"role": "admin"})
    assert raised.code == "forbidden"
    changed = await admin.put(f"{path}/invitations/{low['id']}", {"role": "member"})
    assert changed.json == low | {"role": "member"}
    assert (await owner.delete(f"{path}/invitations/{high['id']}")).status == 204


async def test_an_invitation_is_read_by_its_holder_and_accepted_by_its_address(
    owner: Api, server: Server
) -> None:
    person = await new_user(server.url)
    invited = await invite(owner, person.email, "member")
    link = f"/invite/{invited['token']}"
    nobody, stranger = Api(server.url), await new_user(server.url)
    shown = (await nobody.get(f"{link}/info")).json

    assert shown == {
        "email": person.email,
        "org_name": "Acme",
        "role": "member",
        "inviter_name": "Ada",
        "expiresAt": invited["expiresAt"],
        "is_new_user": False,
    }
    assert (await nobody.post(f"{link}/accept")).code == "authentication_required"
    refused = await stranger.post(f"{link}/accept")
    assert (refused.status, refused.code) == (403, "email_mismatch")
    joined = await person.post(f"{link}/accept")
    assert (joined.json["id"], joined.json["role"]) == (owner.org["id"], "member")
    assert [o["id"] for o in (await person.get("/api/me/orgs")).json["data"]] == [owner.org["id"]]
    again = await person.post(f"{link}/accept")
    assert (again.status, again.code) == (410, "invitation_accepted")
    known = {"email": person.email, "role": "viewer"}
    twice = await owner.post(f"/api/orgs/{owner.org['id']}/members", known)
    assert (twice.status, twice.code) == (409, "conflict")


async def test_an_invitation_that_is_over_says_how(owner: Api, server: Server) -> None:
    nobody = Api(server.url)
    first = await invite(owner, "late@example.com", "viewer")
    second = await invite(owner, "late@example.com", "member")
    shown = (await nobody.get(f"/invite/{second['token']}/info")).json
    replaced = await nobody.get(f"/invite/{first['token']}/info")
    await database_of(server).execute(
        "UPDATE org_invitations SET expires_at = now() WHERE id = $1", second["id"]
    )
    expired = await nobody.get(f"/invite/{second['token']}/info")
    path = f"/api/orgs/{owner.org['id']}"

    assert shown["is_new_user"] is True
    assert (replaced.status, replaced.code) == (410, "invitation_cancelled")
    assert (expired.status, expired.code) == (410, "invitation_expired")
    assert (await owner.delete(f"{path}/invitations/{second['id']}")).code == "invitation_expired"
    unknown = await nobody.get(f"/invite/{'0' * 64}/info")
    assert (unknown.status, unknown.code) == (404, "invitation_not_found")
    assert (await owner.get(path)).json["invitations"] == []
