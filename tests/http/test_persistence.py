"""What a run leaves for the runs after it, through the whole application."""

import asyncio
import json
from pathlib import Path
from typing import Any

from actors.ids import RunId
from actors.runs import RunSecrets
from actors.vault import Vault
from appstrate.boot import Server
from appstrate.settings import read_settings
from support.api import Api, Json, new_user
from support.fake_model import FakeModel, Hold, Say
from support.sinks import database_of
from support.waiting import eventually

TOOLS = ["note", "pin"]
DONE = Say("Done.")


async def test_a_second_run_goes_on_where_the_first_stopped(owner: Api, fake: FakeModel) -> None:
    name = fake.script(
        "goes-on",
        Say(
            "",
            [
                ("pin", {"key": "checkpoint", "content": {"page": 7}}),
                ("pin", {"key": "style", "content": "Be terse.", "scope": "shared"}),
                ("pin", {"key": "links", "content": ["```", None]}),
                ("note", {"content": "The Ärger with invoices is in March."}),
                ("note", {"content": "Unrelated."}),
            ],
        ),
        DONE,
        Say("", [("recall_memory", {"q": "ÄRGER"}), ("run_history", {})]),
        Say("", [("run_history", {"fields": ["result"], "limit": 1})]),
        DONE,
    )
    await owner.new_model(fake, name)
    agent = await owner.new_agent("goes-on", runtime_tools=TOOLS)
    first = await owner.finished(agent)
    second = await owner.finished(agent)
    requests = fake.requests_of(name)
    before, after = (json.dumps(requests[i]["messages"]) for i in (0, 2))

    assert first["status"] == second["status"] == "success"
    assert first["checkpoint"] == {"page": 7}
    assert second["checkpoint"] is None
    assert "## Checkpoint" not in before
    assert '\\"page\\": 7' in after
    assert "## Pinned Slots" in after
    assert "### style\\n\\nBe terse." in after
    assert "````json" in after
    assert "invoices" not in after
    recalled, history = _results(requests[3], 2)
    assert [each["content"] for each in recalled["memories"]] == [
        "The Ärger with invoices is in March."
    ]
    assert recalled["memories"][0]["actor_type"] == "user"
    assert [run["id"] for run in history["data"]] == [first["id"]]
    assert history["data"][0]["checkpoint"] == {"page": 7}
    assert history["hasMore"] is False
    assert "result" not in history["data"][0]
    (told,) = _results(requests[4], 1)
    assert "checkpoint" not in told["data"][0]
    assert "result" in told["data"][0]


async def test_what_is_shared_is_seen_by_all_and_the_rest_by_its_user(
    server: Server, owner: Api, fake: FakeModel
) -> None:
    pins: list[tuple[str, Json]] = [
        ("pin", {"key": "mine", "content": "of the owner"}),
        ("pin", {"key": "ours", "content": "of all", "scope": "shared"}),
        ("note", {"content": "secret note"}),
        ("note", {"content": "open note", "scope": "shared"}),
    ]
    name = fake.script(
        "shared",
        Say("", pins),
        DONE,
        Say("", [("recall_memory", {"q": "note"}), ("run_history", {})]),
        Say("", [("pin", {"key": "ours", "content": "of the member"})]),
        DONE,
    )
    await owner.new_model(fake, name)
    agent = await owner.new_agent("shared", runtime_tools=TOOLS)
    member = await _member(server, owner)
    first = await owner.finished(agent)
    await member.finished(agent)
    requests = fake.requests_of(name)
    prompt = json.dumps(requests[2]["messages"])
    recalled, history = _results(requests[3], 2)
    await owner.finished(agent)
    again = json.dumps(fake.requests_of(name)[-1]["messages"])
    seen = (await member.get(f"/api/agents/{agent}/persistence")).json
    others = f"/api/agents/{agent}/persistence?actor_type=user&actor_id={first['userId']}"
    narrowed = (await member.get(others)).json
    whole = (await owner.get(f"/api/agents/{agent}/persistence")).json
    refused = await member.delete(f"/api/agents/{agent}/persistence")

    assert "of all" in prompt
    assert "of the owner" not in prompt
    assert [each["content"] for each in recalled["memories"]] == ["open note"]
    assert history["data"] == []
    assert "of the owner" in again
    assert "of all" in again  # the member's own slot of that name is not the owner's
    assert {slot["content"] for slot in seen["pinned"]} == {"of all", "of the member"}
    assert [note["content"] for note in seen["memories"]] == ["open note"]
    assert narrowed == {"pinned": [], "memories": [], "hasMore": False}
    assert len(whole["pinned"]) == 3
    assert len(whole["memories"]) == 2
    assert refused.status == 403


async def test_what_is_kept_can_be_chosen_and_forgotten(owner: Api, fake: FakeModel) -> None:
    pins: list[tuple[str, Json]] = [
        ("pin", {"key": "a", "content": None}),
        ("pin", {"key": "b", "content": 2, "scope": "shared"}),
        ("note", {"content": "one"}),
        ("note", {"content": "two"}),
    ]
    await owner.new_model(fake, fake.script("forgets", Say("", pins), DONE))
    agent = await owner.new_agent("forgets", runtime_tools=TOOLS)
    run = await owner.finished(agent)
    path = f"/api/agents/{agent}/persistence"

    async def kept(query: str = "") -> tuple[list[Any], list[Any]]:
        found = (await owner.get(f"{path}{query}")).json
        return [e["key"] for e in found["pinned"]], [e["content"] for e in found["memories"]]

    slot = (await owner.get(f"{path}?actor_type=user&kind=pinned")).json["pinned"][0]
    note = (await owner.get(path)).json["memories"][0]

    assert slot == {
        "id": slot["id"],
        "key": "a",
        "content": None,
        "pinned": True,
        "runId": run["id"],
        "actor_type": "user",
        "actor_id": run["userId"],
        "createdAt": slot["createdAt"],
        "updatedAt": slot["updatedAt"],
    }
    assert await kept() == (["b", "a"], ["two", "one"])
    assert await kept("?kind=memory") == ([], ["two", "one"])
    assert await kept("?actor_type=shared") == (["b"], [])
    assert await kept("?runId=run_none") == ([], [])
    assert (await owner.get(f"{path}?kind=all")).status == 400
    for mistake in ("run_id=run_none", "actorId=x", "actor_id=", "kind=memory&runId="):
        refused = await owner.delete(f"{path}?{mistake}")
        wrong = mistake.split("&")[-1].partition("=")[0]
        assert (refused.status, refused.json["param"]) == (400, wrong)
    assert await kept() == (["b", "a"], ["two", "one"])
    assert (await owner.delete(f"{path}/memories/{slot['id']}")).status == 404
    assert (await owner.delete(f"{path}/memories/{note['id']}")).status == 204
    assert (await owner.delete(f"{path}/memories/{note['id']}")).status == 404
    assert (await owner.delete(f"{path}/pinned/x")).status == 404
    assert (await owner.delete(f"{path}/pinned/{slot['id']}")).status == 204
    assert await kept() == (["b"], ["one"])
    assert (await owner.delete(f"{path}?kind=memory")).json == {"deleted_count": 1}
    assert await kept() == (["b"], [])


async def test_what_is_too_much_to_be_told_at_once_is_told_by_user(
    owner: Api, server: Server
) -> None:
    agent = await owner.new_agent("much")
    users = []
    for size, count in ((65_000, 300), (10, 1001), (10, 1000)):
        users.append((await owner.post("/api/end-users", {})).json["id"])
        await database_of(server).execute(
            """
            INSERT INTO package_persistence (org_id, application_id, package_id, end_user_id,
                                             pinned, content)
            SELECT org_id, application_id, $1, id, false, to_json(repeat('x', $3))
            FROM end_users, generate_series(1, $4) WHERE id = $2
            """,
            *(agent, users[-1], size, count),
        )
    path = f"/api/agents/{agent}/persistence"
    large, many, few = [(await owner.get(f"{path}?actor_id={user}")).json for user in users]
    together = (await owner.get(path)).json
    none = (await owner.get(f"{path}?kind=pinned")).json

    assert [large["hasMore"], many["hasMore"], few["hasMore"]] == [True, True, False]
    assert len(large["memories"]) == 16 * 1024 * 1024 // 65_002 + 1
    assert [len(each["memories"]) for each in (many, few)] == [1000, 1000]
    assert {note["actor_id"] for note in together["memories"]} == {users[2]}
    assert (len(together["memories"]), together["hasMore"]) == (1000, True)
    assert none == {"pinned": [], "memories": [], "hasMore": False}


async def test_notes_find_room_for_a_hundred(owner: Api, fake: FakeModel) -> None:
    notes: list[tuple[str, Json]] = [("note", {"content": f"note {n}"}) for n in range(70)]
    await owner.new_model(fake, fake.script("full", Say("", notes), DONE, Say("", notes), DONE))
    agent = await owner.new_agent("full", runtime_tools=TOOLS)
    await owner.finished(agent)
    run = await owner.finished(agent)
    kept = (await owner.get(f"/api/agents/{agent}/persistence")).json["memories"]
    told = [line for line in await owner.logs(run["id"]) if line["event"] == "memories_dropped"]

    assert run["status"] == "success"
    assert len(kept) == 100
    assert [line["message"][:2] for line in told] == ["40"]


async def test_slots_find_room_for_a_hundred(owner: Api, fake: FakeModel) -> None:
    def pins(first: int, last: int) -> list[tuple[str, Json]]:
        return [("pin", {"key": f"k{n}", "content": n}) for n in range(first, last)]

    second = [*pins(90, 120), ("pin", {"key": "k1", "content": "over"})]
    second.append(("pin", {"key": "checkpoint", "content": {"at": 1}}))
    script = (Say("", pins(0, 101)), DONE, Say("", second), DONE)
    await owner.new_model(fake, fake.script("slots", *script))
    agent = await owner.new_agent("slots", runtime_tools=TOOLS)
    first = await owner.finished(agent)
    path = f"/api/agents/{agent}/persistence"
    last = next(e["id"] for e in (await owner.get(path)).json["pinned"] if e["key"] == "k50")
    assert (await owner.delete(f"{path}/pinned/{last}")).status == 204
    run = await owner.finished(agent)
    kept = {each["key"]: each["content"] for each in (await owner.get(path)).json["pinned"]}
    refused = [line for line in await owner.logs(first["id"]) if line["data"] is not None]
    told = [line for line in await owner.logs(run["id"]) if line["event"] == "memories_dropped"]

    assert "this run has pinned 100 slots" in str(refused)
    assert len(kept) == 100
    assert kept["k1"] == "over"
    assert kept["checkpoint"] == {"at": 1}
    assert [line["message"].partition(" were")[0] for line in told] == ["20 pinned slots"]


async def test_only_a_running_run_may_look_back(
    server: Server, data_folder: Path, owner: Api, fake: FakeModel
) -> None:
    hold = Hold(DONE)
    name = fake.script("looks", hold)
    await owner.new_model(fake, name)
    launched = await owner.launch(await owner.new_agent("looks"))
    await eventually(lambda: fake.requests_of(name))
    run = RunId(launched.json["id"])
    secrets = _secrets(data_folder)
    token = secrets.token(run)

    async def ask(path: str, token: str) -> Any:
        return await Api(server.url).get(path, headers={"Authorization": f"Bearer {token}"})

    paths = ("/internal/run-history", "/internal/memories")
    while_running = await asyncio.gather(*(ask(path, token) for path in paths))
    forged = await asyncio.gather(*(ask(path, token[:-1] + "x") for path in paths))
    nobody = await asyncio.gather(*(Api(server.url).get(path) for path in paths))
    unknown = await ask(paths[0], secrets.token(RunId("run_none")))
    too_long = await ask(f"{paths[1]}?q={'x' * 2001}", token)
    hold.go.set()
    await owner.wait(run)
    afterwards = await asyncio.gather(*(ask(path, token) for path in paths))

    assert [answer.status for answer in while_running] == [200, 200]
    assert [answer.status for answer in forged] == [401, 401]
    assert [answer.status for answer in nobody] == [401, 401]
    assert unknown.status == 404
    assert too_long.status == 400
    assert [answer.status for answer in afterwards] == [403, 403]


async def test_a_run_whose_end_user_is_gone_sees_no_runs_of_others_who_are(
    data_folder: Path, owner: Api, fake: FakeModel
) -> None:
    hold, pin = Hold(DONE), Say("", {"pin": {"key": "checkpoint", "content": "of hers"}})
    name = fake.script("forgotten", pin, DONE, hold)
    await owner.new_model(fake, name)
    agent = await owner.new_agent("forgotten", runtime_tools=TOOLS)
    key = await owner.with_key()
    hers, his = [(await owner.post("/api/end-users", {})).json["id"] for _ in range(2)]
    key.headers["Appstrate-User"] = hers
    await key.finished(agent)
    key.headers["Appstrate-User"] = his
    run = RunId((await key.launch(agent)).json["id"])
    await eventually(lambda: len(fake.requests_of(name)) == 3)
    gone = [await owner.delete(f"/api/end-users/{each}") for each in (hers, his)]
    token = {"Authorization": f"Bearer {_secrets(data_folder).token(run)}"}
    seen = await Api(owner.url).get("/internal/run-history", headers=token)
    hold.go.set()

    assert [answer.status for answer in gone] == [204, 204]
    assert (seen.status, seen.json["data"]) == (200, [])


def _secrets(data_folder: Path) -> RunSecrets:
    keys = read_settings({"DATA_DIR": str(data_folder)}).keys
    return RunSecrets(Vault(keys.encryption, keys.encryption_active), keys.run_tokens)


def _results(request: Json, count: int) -> list[Any]:
    """The last tool results of a request, decoded."""
    texts = [message["content"] for message in request["messages"] if message["role"] == "tool"]
    return [json.loads(text) for text in texts[-count:]]


async def _member(server: Server, owner: Api) -> Api:
    member = await new_user(server.url)
    invited = await owner.post(
        f"/api/orgs/{owner.org['id']}/members", {"email": member.email, "role": "member"}
    )
    accepted = await member.post(f"/invite/{invited.json['token']}/accept")
    assert accepted.status < 300, accepted.body
    member.headers |= owner.headers
    return member
