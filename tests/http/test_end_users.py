"""The people an application serves, and runs on their behalf."""

from typing import Any

import pytest

from support.api import Answer, Api, Json, new_owner
from support.fake_model import FakeModel, Say
from support.files import FILE_INPUT, upload

USERS = "/api/end-users"
NOBODY = "eu_00000000-0000-4000-8000-000000000000"


async def new_end_user(api: Api, **body: Any) -> str:
    made = await api.post(USERS, body)
    assert made.status == 201, made.body
    return str(made.json["id"])


async def acting(owner: Api, end_user: str) -> Api:
    key = await owner.with_key()
    key.headers["Appstrate-User"] = end_user
    return key


async def change(api: Api, end_user: str, body: Json) -> Answer:
    return await api.request("PATCH", f"{USERS}/{end_user}", json=body)


async def test_an_end_user_is_made_changed_and_deleted(owner: Api) -> None:
    body = {
        "name": "Zoé",
        "email": "zoe@example.com",
        "externalId": "crm-1",
        "metadata": {"plan": "pro", "seats": 3, "vip": True, "none": None},
    }
    made = await owner.post(USERS, body)
    user = made.json["id"]
    changed = await change(owner, user, {"name": None, "metadata": {"seats": 2.5, "new": "x"}})
    read = await owner.get(f"{USERS}/{user}")
    deleted = await owner.delete(f"{USERS}/{user}")

    assert made.status == 201
    assert made.json == body | {
        "id": user,
        "object": "end_user",
        "applicationId": owner.application["id"],
        "createdAt": made.json["createdAt"],
        "updatedAt": made.json["updatedAt"],
    }
    assert user.startswith("eu_")
    assert changed.json["name"] == "Zoé"
    assert changed.json["metadata"] == body["metadata"] | {"seats": 2.5, "new": "x"}  # type: ignore[operator]
    assert read.json == changed.json
    assert deleted.status == 204
    assert (await owner.get(f"{USERS}/{user}")).status == 404
    assert (await change(owner, user, {})).status == 404
    assert (await owner.delete(f"{USERS}/{user}")).status == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "x" * 201}, "name"),
        ({"email": "nowhere"}, "email"),
        ({"externalId": "x" * 256}, "externalId"),
        ({"metadata": {str(n): n for n in range(51)}}, "metadata"),
        ({"metadata": {"k" * 41: 1}}, f"metadata.{'k' * 40}"),
        ({"metadata": {"k": "x" * 501}}, "metadata.k"),
    ],
)
async def test_what_cannot_be_told_is_refused(owner: Api, body: Json, field: str) -> None:
    refused = await owner.post(USERS, body)

    assert refused.status == 400
    assert refused.code == "validation_failed"
    assert list(refused.fields) == [field]


async def test_unknown_fields_and_nested_metadata_are_refused(owner: Api) -> None:
    for body in ({"nickname": "Z"}, {"metadata": {"a": {"b": 1}}}, {"metadata": {"a": [1]}}):
        refused = await owner.post(USERS, body)

        assert refused.status == 400, body
        assert refused.code == "validation_failed"


async def test_metadata_stays_within_its_bounds_when_it_is_merged(owner: Api) -> None:
    user = await new_end_user(owner, metadata={f"k{n}": n for n in range(50)})
    replaced = await change(owner, user, {"metadata": {"k0": "other"}})
    refused = await change(owner, user, {"metadata": {"k50": 1}})

    assert replaced.status == 200
    assert refused.status == 400
    assert list(refused.fields) == ["metadata"]


async def test_an_external_id_is_of_one_end_user_of_an_application(owner: Api, server: Any) -> None:
    first = await new_end_user(owner, externalId="one", email="a@example.com")
    second = await new_end_user(owner)
    taken = await owner.post(USERS, {"externalId": "one"})
    moved = await change(owner, second, {"externalId": "one"})
    same_address = await owner.post(USERS, {"email": "A@example.com"})
    elsewhere = await (await new_owner(server.url)).post(USERS, {"externalId": "one"})

    assert (taken.status, taken.code) == (409, "external_id_taken")
    assert (moved.status, moved.code) == (409, "external_id_taken")
    assert same_address.status == 409
    assert elsewhere.status == 201
    assert (await change(owner, first, {"externalId": "one"})).status == 200


async def test_an_address_is_of_one_end_user_of_an_application(owner: Api) -> None:
    await new_end_user(owner, email="zoe@example.com")
    second = await new_end_user(owner, email="max@example.com")
    taken = await change(owner, second, {"email": "Zoe@example.com"})

    assert (taken.status, taken.code, taken.json["param"]) == (409, "conflict", "email")


async def test_end_users_are_listed_in_pages_and_found(owner: Api) -> None:
    ids = [
        await new_end_user(owner, name=f"User {n}", externalId=f"x{n}", email=f"u{n}@a.example")
        for n in range(5)
    ]
    newest = ids[::-1]

    async def listed(query: str) -> tuple[list[str], bool]:
        page = (await owner.get(f"{USERS}?{query}")).json
        return [each["id"] for each in page["data"]], page["hasMore"]

    first = await owner.get(f"{USERS}?limit=2")
    both = await owner.get(f"{USERS}?startingAfter={ids[0]}&endingBefore={ids[1]}")

    assert await listed("limit=2") == (newest[:2], True)
    assert f"startingAfter={newest[1]}" in first.headers["Link"]
    assert await listed(f"limit=2&startingAfter={newest[1]}") == (newest[2:4], True)
    assert await listed(f"limit=2&startingAfter={newest[3]}") == (newest[4:], False)
    assert await listed(f"limit=2&endingBefore={newest[3]}") == (newest[1:3], True)
    assert await listed("search=uSeR 3") == ([ids[3]], False)
    assert await listed("email=U2@a.example") == ([ids[2]], False)
    assert await listed("externalId=x1") == ([ids[1]], False)
    assert both.status == 400
    assert (await owner.get(f"{USERS}?startingAfter={NOBODY}")).status == 404


async def test_acting_for_an_end_user_needs_a_key_and_one_of_its_application(
    owner: Api, server: Any
) -> None:
    stranger = await new_owner(server.url)
    foreign = await new_end_user(stranger)
    mine = await new_end_user(owner)
    key = await owner.with_key()

    async def runs(api: Api, end_user: str) -> Answer:
        return await api.get("/api/runs", headers={"Appstrate-User": end_user})

    by_session = await runs(owner, mine)
    malformed = await runs(key, "zoe")
    unknown = await runs(key, NOBODY)
    other = await runs(key, foreign)
    right = await runs(key, mine)
    await owner.delete(f"{USERS}/{mine}")
    gone = await runs(key, mine)

    assert (by_session.status, by_session.code) == (400, "header_not_allowed")
    assert (malformed.status, malformed.code) == (400, "invalid_end_user_id")
    assert (unknown.status, unknown.code) == (403, "invalid_end_user")
    assert (other.status, other.code) == (403, "invalid_end_user")
    assert right.status == 200
    assert gone.status == 403


async def test_runs_belong_to_their_end_user_and_are_not_there_for_others(
    owner: Api, fake: FakeModel
) -> None:
    await owner.new_model(fake, fake.script("end-users", Say("Done.")))
    agent = await owner.new_agent("end-users")
    zoe = await acting(owner, await new_end_user(owner, name="Zoé"))
    max_ = await acting(owner, await new_end_user(owner))
    hers = await zoe.finished(agent)
    owners = await owner.finished(agent)
    listed = (await zoe.get("/api/runs")).json
    of_agent = (await zoe.get(f"/api/agents/{agent}/runs")).json
    rerun = await max_.launch(agent, {"rerun_from": hers["id"]})

    assert hers["endUserId"] == zoe.headers["Appstrate-User"]
    assert hers["end_user_name"] == "Zoé"
    assert hers["userId"] is None
    assert owners["endUserId"] is None
    for found in (listed, of_agent):
        assert [run["id"] for run in found["data"]] == [hers["id"]]
        assert found["total"] == 1
    assert (await owner.get("/api/runs")).json["total"] == 2
    assert (await max_.get("/api/runs")).json["data"] == []
    assert (await zoe.get("/api/runs?user=me")).json["total"] == 1
    for someone, last in ((owner, owners["id"]), (zoe, hers["id"]), (max_, None)):
        shown = (await someone.get(f"/api/packages/agents/{agent}")).json["last_run"]
        assert (shown or {}).get("id") == last
    for path in ("", "/logs", "/why"):
        assert (await zoe.get(f"/api/runs/{hers['id']}{path}")).status == 200, path
        for run in (hers, owners):
            assert (await max_.get(f"/api/runs/{run['id']}{path}")).status == 404, path
    assert (await max_.post(f"/api/runs/{hers['id']}/cancel")).status == 404
    assert rerun.status == 404
    assert (await max_.delete(f"/api/runs/{hers['id']}")).status == 404
    assert (await max_.delete(f"/api/agents/{agent}/runs")).status == 403
    for someone, told in ((owner, [owners["id"]]), (zoe, [hers["id"]]), (max_, [])):
        notified = (await someone.get("/api/notifications")).json["data"]
        assert [each["run_id"] for each in notified] == told
    assert (await zoe.launch(agent, {"rerun_from": hers["id"]})).status == 201
    assert (await max_.get(f"/api/realtime/runs/{hers['id']}")).status == 404
    assert (await zoe.get("/api/realtime/runs")).status == 403


async def test_documents_belong_to_their_end_user_and_are_not_there_for_others(
    owner: Api, fake: FakeModel
) -> None:
    write = Say("", {"bash": {"command": "mkdir outputs; echo out > outputs/out.txt"}})
    script = [step for _ in range(5) for step in (write, Say("Done."))]
    await owner.new_model(fake, fake.script("end-user-files", *script))
    agent = await owner.new_agent("end-user-files", **FILE_INPUT)
    zoe = await acting(owner, await new_end_user(owner))
    max_ = await acting(owner, await new_end_user(owner))
    given = await upload(zoe, b"a,b\n")
    hers = (await zoe.finished(agent, {"input": {"report": given}}))["id"]
    owners = (await owner.finished(agent, {"input": {"report": await upload(owner, b"c,d\n")}}))[
        "id"
    ]
    seen = (await zoe.get("/api/documents")).json["data"]

    assert sorted(each["purpose"] for each in seen) == ["agent_output", "user_upload"]
    assert {each["run_id"] for each in seen} == {hers}
    for query in ("", f"?run_id={hers}", f"?run_id={owners}"):
        assert (await max_.get(f"/api/documents{query}")).json["data"] == [], query
    for each in seen:
        path, inputs = f"/api/documents/{each['id']}", {"input": {"extras": [each["uri"]]}}
        for someone, status, launched in ((zoe, 200, 201), (max_, 404, 400)):
            assert (await someone.get(path)).status == status
            assert (await someone.get(f"{path}/content")).status == status
            assert (await someone.post(f"{path}/keep")).status == status
            assert (await someone.launch(agent, inputs)).status == launched
        assert (await max_.delete(path)).status == 404
    # What came in is for who brought it; what came out, for whoever sees the run.
    readable = {
        each["purpose"]: each["downloadable"]
        for each in (await owner.get(f"/api/documents?run_id={hers}")).json["data"]
    }
    assert readable == {"agent_output": True, "user_upload": False}
    assert (await max_.launch(agent, {"input": {"report": given}})).status == 400


async def test_end_users_keep_no_schedules(owner: Api) -> None:
    agent = await owner.new_agent("scheduled")
    zoe = await acting(owner, await new_end_user(owner))
    refused = await zoe.post(f"/api/agents/{agent}/schedules", {"cron_expression": "@daily"})

    assert (refused.status, refused.json["param"]) == (403, "Appstrate-User")
    assert (await zoe.get("/api/schedules")).status == 403


async def test_a_kept_answer_is_not_for_another_end_user(owner: Api, fake: FakeModel) -> None:
    await owner.new_model(fake, fake.script("kept-for-one", Say("Done.")))
    agent = await owner.new_agent("kept-for-one")
    key = await owner.with_key()
    first, second = await new_end_user(owner), await new_end_user(owner)

    async def launch(end_user: str) -> Answer:
        headers = {"Appstrate-User": end_user, "Idempotency-Key": "once"}
        return await key.post(f"/api/agents/{agent}/run", {}, headers=headers)

    one, again, other = await launch(first), await launch(first), await launch(second)

    assert one.json["id"] == again.json["id"] != other.json["id"]
    assert other.json["endUserId"] == second


async def test_an_agent_keeps_something_for_each_end_user(owner: Api, fake: FakeModel) -> None:
    pins: list[tuple[str, Json]] = [
        ("pin", {"key": "checkpoint", "content": "half way"}),
        ("note", {"content": "likes tea"}),
    ]
    name = fake.script("keeps-each", Say("", pins), Say("Done."))
    await owner.new_model(fake, name)
    agent = await owner.new_agent("keeps-each", runtime_tools=["note", "pin"])
    user = await new_end_user(owner)
    zoe, max_ = await acting(owner, user), await acting(owner, await new_end_user(owner))
    kept = f"/api/agents/{agent}/persistence"
    for someone in (zoe, max_, owner, zoe):
        await someone.finished(agent)
    prompts = [str(request["messages"]) for request in fake.requests_of(name)]
    of_zoe = (await owner.get(f"{kept}?actor_type=end_user&actor_id={user}")).json
    await owner.delete(f"{USERS}/{user}")
    afterwards = (await owner.get(kept)).json

    assert ["half way" in prompt for prompt in (prompts[0], *prompts[2:])] == [
        *(False, False, False, True),
    ]
    assert [slot["content"] for slot in of_zoe["pinned"]] == ["half way"]
    assert [note["actor_type"] for note in of_zoe["memories"]] == ["end_user"]
    assert afterwards == {"pinned": [], "memories": [], "hasMore": False}
