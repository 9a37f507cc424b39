from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from actors.idempotency import ReleaseKey, ReserveKey, Slot
from actors.ids import InstanceId
from actors.runs import Identity
from actors.runtime import Conflict
from appstrate.boot import Server
from support.api import Answer, Api, Json, new_owner
from support.packages import agent_archive, agent_manifest
from support.sinks import database_of


def keyed() -> dict[str, str]:
    return {"Idempotency-Key": uuid4().hex}


async def add_model(api: Api, headers: dict[str, str], label: str = "one") -> Answer:
    body = {"providerId": "openai", "apiKey": "sk-secret", "label": label}
    return await api.post("/api/model-provider-credentials", body, headers=headers)


async def credentials(api: Api) -> list[Json]:
    return list((await api.get("/api/model-provider-credentials")).json["data"])


def slot_of(owner: Api, headers: dict[str, str], path: str, holder: str = "test") -> Slot:
    return Slot(
        scope=f"{owner.org['id']}/{owner.application['id']}",
        method="POST",
        path=path,
        key=headers["Idempotency-Key"],
        holder=holder,
    )


async def test_a_launch_sent_twice_is_one_run(owner: Api) -> None:
    agent = await owner.new_agent("once")
    headers, path = keyed(), f"/api/agents/{agent}/run"
    first = await owner.post(path, {"modelId": "demo"}, headers=headers)
    second = await owner.post(path, {"modelId": "demo"}, headers=headers)
    key = await owner.with_key()
    third = await key.post(path, {"modelId": "demo"}, headers=headers)

    assert first.status == 201
    assert "Idempotent-Replayed" not in first.headers
    for again in (second, third):
        assert (again.status, again.body) == (201, first.body)
        assert again.headers["Idempotent-Replayed"] == "true"
        assert again.headers["Content-Type"] == first.headers["Content-Type"]
        assert again.headers["Request-Id"] != first.headers["Request-Id"]
    assert (await owner.get(f"/api/agents/{agent}/runs")).json["total"] == 1


async def test_a_key_used_for_another_body_or_query_is_refused(owner: Api) -> None:
    agent = await owner.new_agent("other")
    headers, path = keyed(), f"/api/agents/{agent}/run"
    await owner.post(path, {"modelId": "demo"}, headers=headers)
    body = await owner.post(path, {"modelId": "demo", "input": {"x": 1}}, headers=headers)
    query = await owner.post(f"{path}?version=draft", {"modelId": "demo"}, headers=headers)

    for answer in (body, query):
        assert (answer.status, answer.code) == (422, "idempotency_conflict")
    assert (await owner.get(f"/api/agents/{agent}/runs")).json["total"] == 1


async def test_a_key_is_of_one_path_and_one_application(owner: Api, server: Server) -> None:
    headers = keyed()
    agents = [await owner.new_agent(name) for name in ("left", "right")]
    stranger = await new_owner(server.url)
    foreign = await stranger.new_agent("left")
    runs = [
        await api.post(f"/api/agents/{agent}/run", {"modelId": "demo"}, headers=headers)
        for api, agent in ((owner, agents[0]), (owner, agents[1]), (stranger, foreign))
    ]

    assert [run.status for run in runs] == [201, 201, 201]
    assert len({run.json["id"] for run in runs}) == 3


async def test_a_refusal_is_kept_as_well(owner: Api) -> None:
    headers = keyed()
    first = await owner.post("/api/models", {"modelId": "x", "credentialId": "no"}, headers=headers)
    again = await owner.post("/api/models", {"modelId": "x", "credentialId": "no"}, headers=headers)

    assert 400 <= first.status < 500
    assert (again.status, again.body) == (first.status, first.body)
    assert again.headers["Content-Type"] == "application/problem+json"
    assert again.headers["Idempotent-Replayed"] == "true"


async def test_a_key_that_is_held_says_so_and_is_free_when_let_go(
    owner: Api, server: Server
) -> None:
    path = "/api/model-provider-credentials"
    headers = keyed()
    # An organization's route has no application, so its keys are those of the caller.
    me = (await owner.get("/api/auth/get-session")).json["user"]["id"]
    slot = Slot(
        scope=f"{owner.org['id']}/{me}",
        method="POST",
        path=path,
        key=headers["Idempotency-Key"],
        holder="another",
    )
    await server.at.idempotency.ask(ReserveKey(slot=slot))
    held = await add_model(owner, headers)
    await server.at.idempotency.ask(ReleaseKey(slot=slot))
    free = await add_model(owner, headers)

    assert (held.status, held.code) == (409, "idempotency_in_progress")
    assert free.status == 201
    assert len(await credentials(owner)) == 1


@pytest.fixture
def records(server: Server) -> Any:
    keeper: Any = server.at.idempotency._actor
    return keeper._records


async def test_a_key_held_by_the_dead_is_free(owner: Api, server: Server, records: Any) -> None:
    slot = slot_of(owner, keyed(), "/api/x")
    dead = Identity(instance=InstanceId("gone"), boot="long ago")
    assert (await records.reserve(slot, dead, datetime.now(UTC))).held

    assert await server.at.idempotency.ask(ReserveKey(slot=slot)) is None
    with pytest.raises(Conflict, match="carried out"):
        await server.at.idempotency.ask(ReserveKey(slot=slot))


async def test_a_key_is_held_for_no_longer_than_any_request_takes(
    owner: Api, server: Server, records: Any
) -> None:
    keeper: Any = server.at.idempotency._actor
    slot, now = slot_of(owner, keyed(), "/api/x"), datetime.now(UTC)

    assert (await records.reserve(slot, keeper._who, now)).held
    assert not (await records.reserve(slot, keeper._who, now + timedelta(minutes=9))).held
    assert (await records.reserve(slot, keeper._who, now + timedelta(minutes=11))).held


async def test_whoever_lost_a_key_neither_answers_nor_frees_it(
    owner: Api, server: Server, records: Any
) -> None:
    keeper: Any = server.at.idempotency._actor
    headers, now = keyed(), datetime.now(UTC)
    slow = slot_of(owner, headers, "/api/x", "slow")
    quick = slot_of(owner, headers, "/api/x", "quick")
    await records.reserve(slow, keeper._who, now)
    await records.reserve(quick, keeper._who, now + timedelta(minutes=11))
    await records.keep(slow, "stale")
    await records.release(slow)

    found = await records.reserve(slow, keeper._who, now + timedelta(minutes=12))
    assert not found.held
    assert found.answer_encrypted is None


async def test_an_answer_is_kept_for_a_day_and_swept(
    owner: Api, server: Server, records: Any
) -> None:
    keeper: Any = server.at.idempotency._actor
    slot, now = slot_of(owner, keyed(), "/api/x"), datetime.now(UTC)
    await records.reserve(slot, keeper._who, now)
    await records.keep(slot, "sealed")

    known = await records.reserve(slot, keeper._who, now + timedelta(hours=23))
    assert (known.held, known.answer_encrypted) == (False, "sealed")
    await records.sweep(now + timedelta(hours=23))
    assert not (await records.reserve(slot, keeper._who, now)).held
    # Only this one is old enough: what other tests keep is younger.
    await records.sweep(now + timedelta(hours=24))
    assert (await records.reserve(slot, keeper._who, now)).held


async def test_answers_are_kept_encrypted(owner: Api, server: Server) -> None:
    headers = keyed()
    issued = await owner.post("/api/api-keys", {"name": "x"}, headers=headers)
    async with database_of(server).connection() as connection:
        kept = await connection.fetchval(
            "SELECT answer_encrypted FROM idempotency_keys WHERE key = $1",
            headers["Idempotency-Key"],
        )

    assert kept.startswith("v1:")
    assert issued.json["key"] not in kept


async def test_an_upload_sent_again_is_known_by_its_file(owner: Api) -> None:
    headers = keyed()
    manifest = agent_manifest(f"{owner.scope}/sent")
    content = agent_archive(manifest)
    first = await owner.upload(content, headers=headers)
    again = await owner.upload(content, headers=headers)
    other = await owner.upload(agent_archive(manifest, "Another."), headers=headers)

    assert first.status == 201, first.body
    assert (again.status, again.body) == (201, first.body)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (other.status, other.code) == (422, "idempotency_conflict")


@pytest.mark.parametrize("key", ["", "k" * 256])
async def test_a_key_has_a_length(owner: Api, key: str) -> None:
    answer = await add_model(owner, {"Idempotency-Key": key})

    assert (answer.status, answer.code) == (400, "invalid_idempotency_key")


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", "/api/models/default"), ("DELETE", "/api/api-keys/x")]
)
async def test_only_posts_honour_keys(owner: Api, method: str, path: str) -> None:
    answer = await owner.request(method, path, json={"modelId": None}, headers=keyed())

    assert (answer.status, answer.code) == (400, "idempotency_not_supported")


async def test_signing_in_and_reading_look_at_no_key(owner: Api) -> None:
    headers = keyed()
    body = {"email": owner.email, "password": "correct horse"}
    answers = [await owner.post("/api/auth/sign-in/email", body, headers=headers) for _ in "12"]
    answers.append(await owner.get("/api/runs", headers=headers))

    assert [answer.status for answer in answers] == [200, 200, 200]
    assert not any("Idempotent-Replayed" in answer.headers for answer in answers)


async def test_nobody_reads_a_kept_answer_without_the_permission(owner: Api) -> None:
    headers, agent = keyed(), await owner.new_agent("guarded")
    path = f"/api/agents/{agent}/run"
    await owner.post(path, {"modelId": "demo"}, headers=headers)
    narrow = await owner.with_key(scopes=["agents:read"])
    answer = await narrow.post(path, {"modelId": "demo"}, headers=headers)

    assert (answer.status, answer.code) == (403, "forbidden")
