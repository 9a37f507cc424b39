"""`GET /api/me/context`: what whoever calls finds here."""

from support.api import Api, Json
from support.packages import skill_archive, skill_manifest

DEMO: Json = {"modelId": "demo"}
CONTEXT = "/api/me/context"


async def context(api: Api) -> Json:
    answer = await api.get(CONTEXT)
    assert answer.status == 200, answer.body
    return dict(answer.json)


async def test_it_tells_who_calls_and_what_there_is(owner: Api) -> None:
    agent = await owner.new_agent("known")
    tone = f"{owner.scope}/tone"
    assert (await owner.upload(skill_archive(skill_manifest(tone)))).status == 201
    run = await owner.finished(agent, DEMO)
    profile = (await owner.get("/api/profile")).json
    found = await context(owner)

    assert set(found) == {"user", "org", "connections", "recent_runs", "agents", "skills"}
    assert found["user"] == profile
    assert found["org"] == owner.org
    assert found["connections"] == []
    assert found["recent_runs"] == (await owner.get("/api/runs?user=me")).json["data"]
    assert [each["id"] for each in found["recent_runs"]] == [run["id"]]
    assert agent in [each["id"] for each in found["agents"]]
    assert tone in [each["id"] for each in found["skills"]]
    assert set(found["agents"][0]) == set((await owner.get("/api/agents")).json["data"][0])


async def test_it_shows_the_first_agents_only(owner: Api) -> None:
    for number in range(16):
        await owner.new_agent(f"agent-{number:02}")

    assert len((await context(owner))["agents"]) == 15
    assert len((await owner.get("/api/agents")).json["data"]) > 15


async def test_a_key_sees_what_its_scopes_and_its_end_user_allow(owner: Api) -> None:
    agent = await owner.new_agent("keyed")
    assert (await owner.upload(skill_archive(skill_manifest(f"{owner.scope}/tone")))).status == 201
    await owner.finished(agent, DEMO)
    key = await owner.with_key(scopes=["agents:run", "end-users:write"])
    end_user = (await key.post("/api/end-users", {})).json["id"]
    acting = Api(owner.url, headers=key.headers | {"Appstrate-User": end_user}, org=owner.org)
    theirs = await acting.finished(agent, DEMO)

    assert (await context(key))["skills"] == []
    assert len((await context(key))["recent_runs"]) == 1
    assert [each["id"] for each in (await context(acting))["recent_runs"]] == [theirs["id"]]


async def test_it_needs_an_organization_and_an_application(owner: Api) -> None:
    headers = {"X-Org-Id": owner.org["id"]}
    without = await Api(owner.url, headers=headers, jar=owner.jar).get(CONTEXT)
    nobody = await Api(owner.url).get(CONTEXT)

    assert (without.status, without.json["param"]) == (400, "X-Application-Id")
    assert nobody.status == 401
