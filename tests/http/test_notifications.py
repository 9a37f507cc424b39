"""Notifications of runs that have ended, and deleting runs."""

from support.api import Api, Json, colleague
from support.fake_model import FakeModel, Hang
from support.packages import agent_manifest

DEMO: Json = {"modelId": "demo"}
NOTIFICATIONS = "/api/notifications"


async def count(api: Api) -> int:
    return int((await api.get(f"{NOTIFICATIONS}/unread-count")).json["count"])


async def test_a_user_is_notified_of_their_runs_until_they_read_it(owner: Api) -> None:
    agent = await owner.new_agent("told")
    first, second = [await owner.finished(agent, DEMO) for _ in range(2)]
    listed = (await owner.get(NOTIFICATIONS)).json
    unread = [run["unread"] for run in (await owner.get("/api/runs")).json["data"]]
    counts = (await owner.get(f"{NOTIFICATIONS}/unread-counts-by-agent")).json

    assert [each["run_id"] for each in listed["data"]] == [second["id"], first["id"]]
    assert set(listed["data"][0]) == {"id", "type", "run_id", "payload", "read_at", "created_at"}
    assert listed["data"][0]["type"] == "run_completed"
    assert listed["data"][0]["payload"] == {"agent_id": agent, "status": "success"}
    assert unread == [True, True]
    assert counts == {"counts": {agent: 2}}

    read = await owner.put(f"{NOTIFICATIONS}/{listed['data'][0]['id']}/read", None)
    assert (read.status, await count(owner)) == (204, 1)
    assert (await owner.get(f"/api/runs/{second['id']}")).json["unread"] is False
    left = (await owner.get(f"{NOTIFICATIONS}?unread=true")).json["data"]
    assert [each["run_id"] for each in left] == [first["id"]]
    assert (await owner.put(f"{NOTIFICATIONS}/read/{first['id']}", None)).status == 204
    assert await count(owner) == 0


async def test_all_are_read_at_once_and_listed_in_pages(owner: Api) -> None:
    agent = await owner.new_agent("many")
    runs = [await owner.finished(agent, DEMO) for _ in range(3)]
    page = await owner.get(f"{NOTIFICATIONS}?limit=2")
    rest = (await owner.get(page.headers["Link"].split(">")[0].strip("<"))).json

    assert page.json["has_more"] is True
    assert [each["run_id"] for each in rest["data"]] == [runs[0]["id"]]
    assert rest["has_more"] is False

    last = page.json["data"][-1]
    assert (await owner.delete(f"/api/runs/{last['run_id']}")).status == 204
    other = await colleague(owner)
    for someone, after in ((owner, last["id"]), (owner, "none"), (other, rest["data"][0]["id"])):
        gone = await someone.get(f"{NOTIFICATIONS}?startingAfter={after}")
        assert (gone.status, gone.code) == (404, "not_found")
    assert (await owner.put(f"{NOTIFICATIONS}/read-all", None)).json == {"updated_count": 2}
    assert (await owner.put(f"{NOTIFICATIONS}/read-all", None)).json == {"updated_count": 0}


async def test_inline_runs_and_the_runs_of_others_notify_nobody(owner: Api) -> None:
    other = await colleague(owner)
    mine = await owner.finished(await owner.new_agent("mine"), DEMO)
    inline = {"manifest": agent_manifest("@inline/x"), "prompt": "Do it."} | DEMO
    launched = await owner.post("/api/runs/inline", inline)
    await owner.wait(launched.json["id"])
    (told,) = (await owner.get(NOTIFICATIONS)).json["data"]

    assert told["run_id"] == mine["id"]
    assert await count(other) == 0
    assert (await other.put(f"{NOTIFICATIONS}/{told['id']}/read", None)).status == 404
    assert (await other.get(f"/api/runs/{mine['id']}")).json["unread"] is False
    assert await count(owner) == 1


async def test_who_leaves_leaves_their_notifications(owner: Api) -> None:
    other = await colleague(owner)
    await other.finished(await owner.new_agent("left"), DEMO)
    user = (await other.get("/api/auth/get-session")).json["user"]["id"]
    members = f"/api/orgs/{owner.org['id']}/members"
    assert await count(other) == 1
    assert (await owner.delete(f"{members}/{user}")).status in (200, 204)
    invited = await owner.post(members, {"email": other.email, "role": "admin"})
    if "token" in invited.json:
        await other.post(f"/invite/{invited.json['token']}/accept")

    assert await count(other) == 0


async def test_a_run_is_deleted_once_it_has_ended(owner: Api, fake: FakeModel) -> None:
    agent = await owner.new_agent("deleted")
    hanging = await owner.new_model(fake, fake.script("deleted", Hang()))
    run = (await owner.launch(agent, {"modelId": hanging["id"]})).json["id"]
    early = await owner.delete(f"/api/runs/{run}")
    all_early = await owner.delete(f"/api/agents/{agent}/runs")
    await owner.post(f"/api/runs/{run}/cancel")
    gone = await owner.delete(f"/api/runs/{run}")

    assert (early.status, early.code) == (409, "run_in_progress")
    assert (all_early.status, all_early.code) == (409, "run_in_progress")
    assert gone.status == 204
    for path in (f"/api/runs/{run}", f"/api/runs/{run}/logs"):
        assert (await owner.get(path)).status == 404
    assert (await owner.delete(f"/api/runs/{run}")).status == 404
    assert await count(owner) == 0


async def test_the_runs_of_an_agent_are_deleted_together(owner: Api) -> None:
    agent, other = await owner.new_agent("these"), await owner.new_agent("those")
    for _ in range(2):
        await owner.finished(agent, DEMO)
    kept = await owner.finished(other, DEMO)
    deleted = await owner.delete(f"/api/agents/{agent}/runs")
    left = (await owner.get("/api/runs")).json["data"]
    following = await owner.finished(agent, DEMO)

    assert (deleted.status, deleted.json) == (200, {"deleted_count": 2})
    assert [run["id"] for run in left] == [kept["id"]]
    assert following["runNumber"] == 3
    assert (await owner.delete(f"/api/agents/{owner.scope}/none/runs")).status == 404


async def test_members_do_not_delete_runs(owner: Api) -> None:
    run = await owner.finished(await owner.new_agent("kept"), DEMO)
    member = await colleague(owner, "member")
    refused = await member.delete(f"/api/runs/{run['id']}")

    assert (refused.status, refused.code) == (403, "forbidden")


async def test_end_users_are_notified_of_their_runs_and_nobody_else_is(owner: Api) -> None:
    agent = await owner.new_agent("served")
    for_owner = await owner.finished(agent, DEMO)
    end_user = (await owner.post("/api/end-users", {"name": "Zoe"})).json["id"]
    key = await owner.with_key()
    key.headers["Appstrate-User"] = end_user
    theirs = await key.finished(agent, DEMO)
    (told,) = (await key.get(NOTIFICATIONS)).json["data"]

    assert (told["run_id"], theirs["unread"]) == (theirs["id"], True)
    assert (await count(owner), await count(key)) == (1, 1)
    assert (await owner.put(f"{NOTIFICATIONS}/{told['id']}/read", None)).status == 404
    assert (await key.put(f"{NOTIFICATIONS}/read/{for_owner['id']}", None)).status == 404
    assert (await key.put(f"{NOTIFICATIONS}/read/{theirs['id']}", None)).status == 204
    assert (await count(owner), await count(key)) == (1, 0)
