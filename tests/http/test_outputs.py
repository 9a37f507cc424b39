"""What a run publishes and reads, played by the test over HTTP as an agent would."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from actors.files import SweepFiles
from actors.files.run_files import PUBLISHING
from actors.limiter import TakeTurn
from actors.packages.content import blob_key, integrity_of
from actors.storage import DeleteBlob, FindBlob, ListBlobs
from adapters.postgres.retention import PostgresRetentionRecords
from appstrate.boot import Server
from support.api import Answer, Api, Json, new_owner
from support.fake_model import FakeModel, Hang, Say
from support.files import FILE_INPUT, announce, digest, publish, send, signature, signed, upload
from support.packages import agent_archive, agent_manifest
from support.sinks import database_of, secret_of
from support.waiting import eventually, until


@dataclass
class Played:
    """A run whose program hangs, so that the test can speak for it."""

    api: Api
    id: str
    secret: str

    @property
    def url(self) -> str:
        return f"{self.api.url}/api/runs/{self.id}"

    async def publish(self, content: object, name: str = "out.txt", **headers: str) -> Answer:
        return await publish(self.url, self.secret, content, name, **headers)

    async def now(self) -> Json:
        return dict((await self.api.get(f"/api/runs/{self.id}")).json)


@pytest.fixture
async def played(owner: Api, server: Server, fake: FakeModel) -> AsyncIterator[Played]:
    name = fake.script(f"hang-{owner.org['slug']}", Hang())
    await owner.new_model(fake, name)
    agent = await owner.new_agent("played", **FILE_INPUT)
    sent = await upload(owner, b"a,b\n")
    run = (await owner.launch(agent, {"input": {"report": sent}})).json["id"]
    await eventually(lambda: fake.requests_of(name))
    yield Played(owner, run, await secret_of(server, run))
    await owner.post(f"/api/runs/{run}/cancel")


async def test_a_published_file_is_a_document_at_once(played: Played) -> None:
    made = await played.publish(
        b"one", "..%2Fr%C3%A9sum%C3%A9.html", **{"Content-Type": "text/html"}
    )
    again = await played.publish(
        b"one", "r%C3%A9sum%C3%A9.html", **{"X-Document-Presentation": "primary"}
    )
    other = await played.publish(b"two", "x.bin", **{"X-Document-Presentation": "primary"})
    run = await played.now()

    assert made.status == 201, made.body
    assert made.json == {
        "id": made.json["id"],
        "uri": f"document://{made.json['id']}",
        "name": "résumé.html",
        "mime": "text/html",
        "size": 3,
        "sha256": digest(b"one"),
        "presentation": None,
    }
    assert (again.status, again.json["id"]) == (200, made.json["id"])
    assert again.json["presentation"] == "primary"
    assert run["document_counts"] == {"input": 1, "output": 2}
    assert run["primary_document_id"] == other.json["id"], "the last one leads"


async def test_a_message_id_publishes_once(played: Played) -> None:
    headers = signature(played.secret, "m-1") | {"X-Document-Name": "a"}
    for expected in (201, 409):
        answer = await Api(played.url).request("POST", "/documents", data=b"x", headers=headers)
        assert answer.status == expected
    assert answer.code == "message_replayed"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X-Document-Name": ""}, 400),
        ({"X-Document-Name": "a/b"}, 400),
        ({"X-Document-Presentation": "secondary"}, 400),
        ({"Content-Length": str(100 * 2**20 + 1)}, 413),
    ],
)
async def test_what_cannot_be_published_is_refused(
    played: Played, headers: dict[str, str], status: int
) -> None:
    async def nothing() -> AsyncIterator[bytes]:
        yield b""

    content = nothing() if "Content-Length" in headers else b"x"
    refused = await signed(
        "POST",
        f"{played.url}/documents",
        played.secret,
        content,
        {"X-Document-Name": "a"} | headers,
    )

    assert refused.status == status, refused.body
    assert (await played.now())["document_counts"]["output"] == 0


async def test_only_the_run_itself_reads_and_publishes(
    played: Played, server: Server, fake: FakeModel
) -> None:
    other = await new_owner(server.url)
    name = fake.script(f"hang-{other.org['slug']}", Hang())
    await other.new_model(fake, name)
    theirs = (await other.launch(await other.new_agent())).json["id"]
    secret = await secret_of(server, theirs)
    refused = [
        await publish(played.url, secret, b"x"),
        await signed("GET", f"{played.url}/documents", secret),
        await signed("GET", f"{played.url}/documents/data.csv", secret),
    ]
    await other.post(f"/api/runs/{theirs}/cancel")

    assert [(each.status, each.code) for each in refused] == [(401, "invalid_signature")] * 3


async def test_a_run_reads_its_own_files_by_their_names(played: Played) -> None:
    listed = await signed("GET", f"{played.url}/documents", played.secret)
    read = await signed("GET", f"{played.url}/documents/data.csv", played.secret)
    tricks = [
        await signed("GET", f"{played.url}/documents/{name}", played.secret)
        for name in ("..%2F..%2Fdata.csv", "%2e%2e", "other", "data.csv%00")
    ]

    assert listed.json == {
        "documents": [{"name": "data.csv", "workspace_name": "data.csv", "size": 4}]
    }
    assert read.body == b"a,b\n"
    assert {each.status for each in tricks} <= {400, 404}


async def test_an_ended_run_publishes_nothing(played: Played) -> None:
    await played.api.post(f"/api/runs/{played.id}/cancel")
    refused = await played.publish(b"late")

    # The server may still know the run by heart; then its row says that it has ended.
    assert refused.code in ("run_sink_closed", "run_not_running")
    assert (await played.now())["document_counts"]["output"] == 0


async def test_slow_uploads_hold_up_no_run(played: Played) -> None:
    begun, gate = asyncio.Semaphore(0), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"a"
        begun.release()
        await gate.wait()
        yield b"b"

    announced = [await announce(played.api, b"ab") for _ in range(16)]
    sending = [asyncio.create_task(send(each, slow())) for each in announced]
    for _ in sending:
        await begun.acquire()
    made = await asyncio.wait_for(played.publish(b"one"), 10)
    gate.set()

    assert made.status == 201
    assert {each.status for each in await asyncio.gather(*sending)} == {204}


async def test_a_run_that_publishes_too_fast_is_told_to_wait(
    played: Played, server: Server
) -> None:
    await server.at.limiter.ask(TakeTurn(rule=PUBLISHING, key=played.id, cost=PUBLISHING.limit))
    refused = await played.publish(b"x")

    assert (refused.status, refused.code) == (429, "rate_limited")
    assert 1 <= int(refused.headers["Retry-After"]) <= 6


async def test_a_document_that_is_read_is_not_deleted(played: Played, server: Server) -> None:
    owner = played.api
    given = (await played.now())["input"]["report"].removeprefix("document://")
    made = (await played.publish(b"one")).json
    used = (await owner.get(f"/api/orgs/{owner.org['id']}")).json["storage"]["used_bytes"]
    in_use = await owner.delete(f"/api/documents/{given}")
    deleted = await owner.delete(f"/api/documents/{made['id']}")
    left = (await owner.get(f"/api/orgs/{owner.org['id']}")).json["storage"]["used_bytes"]

    assert (in_use.status, in_use.code) == (409, "document_in_use")
    assert deleted.status == 204
    assert (used, left) == (7, 4)
    assert (await played.now())["document_counts"] == {"input": 1, "output": 0}
    assert (await owner.get(f"/api/documents/{made['id']}")).status == 404
    folder = f"documents/{owner.application['id']}"
    for _ in range(200):
        blobs = await server.at.storage.ask(ListBlobs(key=folder))
        if [blob.key for blob in blobs] == [f"{folder}/{given}"]:
            break
        await _tick(server)
    else:
        pytest.fail(f"the blob was not deleted: {blobs}")


async def test_what_has_expired_goes_but_not_what_is_read(played: Played, server: Server) -> None:
    pool = database_of(server)
    given = (await played.now())["input"]["report"].removeprefix("document://")
    made = (await played.publish(b"one")).json["id"]
    kept = (await played.publish(b"two", "kept")).json["id"]
    past = datetime.now(UTC) - timedelta(days=1)
    await pool.execute(
        "UPDATE documents SET expires_at = $1 WHERE id = ANY ($2)", past, [given, made, kept]
    )
    assert (await played.api.post(f"/api/documents/{kept}/keep")).json["expiresAt"] is None
    await server.at.file_sweeper.ask(SweepFiles(now=datetime.now(UTC)))
    found = {e["id"] for e in (await played.api.get("/api/documents")).json["data"]}

    assert found == {given, kept}


async def test_outputs_past_the_quota_are_refused(played: Played, server: Server) -> None:
    pool = database_of(server)
    await pool.execute(
        "UPDATE organizations SET documents_bytes_limit = 10 WHERE id = $1", played.api.org["id"]
    )
    fits, refused = await played.publish(b"123456", "a"), await played.publish(b"7", "b")

    assert fits.status == 201
    assert (refused.status, refused.code) == (403, "storage_limit_exceeded")
    storage = (await played.api.get(f"/api/orgs/{played.api.org['id']}")).json["storage"]
    assert storage == {"used_bytes": 10, "limit_bytes": 10, "effective_limit_bytes": 10}


async def test_outputs_that_come_at_once_exceed_no_quota(played: Played, server: Server) -> None:
    organization = played.api.org["id"]
    await database_of(server).execute(
        "UPDATE organizations SET documents_bytes_limit = 13 WHERE id = $1", organization
    )
    answers = await asyncio.gather(*(played.publish(b"123%d" % n, f"{n}.txt") for n in range(6)))
    storage = (await played.api.get(f"/api/orgs/{organization}")).json["storage"]

    assert sorted(each.status for each in answers) == [201, 201, 403, 403, 403, 403]
    assert storage["used_bytes"] == 12
    folder = f"documents/{played.api.application['id']}"
    await until(lambda: _are(server, folder, 3))


async def _are(server: Server, folder: str, number: int) -> bool:
    return len(await server.at.storage.ask(ListBlobs(key=folder))) == number


async def test_a_blob_whose_row_never_came_goes_a_day_later(
    played: Played, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(*_: object) -> None:
        raise RuntimeError("as if the server had died here")

    kept = (await played.publish(b"one", "kept")).json["id"]
    with monkeypatch.context() as patch:
        patch.setattr("adapters.postgres.run_files.PostgresRunFileRecords.add_output", die)
        assert (await played.publish(b"two", "lost")).status == 500
    folder = f"documents/{played.api.application['id']}"
    assert await _are(server, folder, 3)
    rows = await database_of(server).fetch(
        """
        UPDATE jobs j SET due_at = now() FROM jobs old
        WHERE j.id = old.id AND j.topic = 'storage.delete' AND j.payload ->> 'key' LIKE $1
        RETURNING old.due_at - now() AS later
        """,
        f"{folder}/%",
    )

    assert all(timedelta(hours=23) < row["later"] <= timedelta(hours=24) for row in rows)
    await _tick(server)
    await until(lambda: _are(server, folder, 2))
    assert (await played.api.get(f"/api/documents/{kept}/content")).body == b"one"


async def test_a_deleted_organization_leaves_no_blobs(
    owner: Api, server: Server, fake: FakeModel
) -> None:
    await owner.new_model(fake, fake.script(f"gone-{owner.org['slug']}", Say("Done.")))
    agent = await owner.new_agent("gone", **FILE_INPUT)
    sent = await upload(owner, b"a,b\n")
    await owner.finished(agent, {"input": {"report": sent}})
    package = agent_archive(agent_manifest(f"{owner.scope}/mine"))
    assert (await owner.upload(package)).status == 201
    archive = blob_key(integrity_of(package))
    assert await server.at.storage.ask(FindBlob(key=archive)) == len(package)
    assert (await owner.delete(f"/api/orgs/{owner.org['id']}")).status == 204
    for _ in range(400):
        left = [
            blob.key
            for folder in ("documents", "uploads", "packages")
            for blob in await server.at.storage.ask(ListBlobs(key=f"{folder}"))
            if owner.application["id"] in blob.key or blob.key == archive
        ]
        if not left:
            break
        await _tick(server)
    assert left == []


async def _tick(server: Server) -> None:
    """Let the worker of the queue get on."""
    from actors.files.records import DELETE_TOPIC
    from actors.queue import WakeQueue

    await server.at.queue.ask(WakeQueue(topic=DELETE_TOPIC))
    await server.at.storage.ask(FindBlob(key="nothing"))


async def test_a_run_whose_documents_are_read_is_not_deleted(
    owner: Api, server: Server, fake: FakeModel
) -> None:
    write = {"bash": {"command": "mkdir outputs; echo a > outputs/a.csv"}}
    name = f"chain-{owner.org['slug']}"
    await owner.new_model(fake, fake.script(name, Say("", write), Say("Done."), Hang()))
    agent = await owner.new_agent("chain", **FILE_INPUT)
    first = (await owner.finished(agent))["id"]
    made = (await owner.get(f"/api/documents?run_id={first}")).json["data"][0]["uri"]
    reader = (await owner.launch(agent, {"input": {"extras": [made]}})).json["id"]
    refused = await owner.delete(f"/api/runs/{first}")
    long_ago = datetime(2000, 1, 1, tzinfo=UTC)
    pool = database_of(server)
    await pool.execute("UPDATE runs SET completed_at = $2 WHERE id = $1", first, long_ago)
    kept = await PostgresRetentionRecords(pool).runs(long_ago + timedelta(days=1), 10)
    await owner.post(f"/api/runs/{reader}/cancel")
    gone = await PostgresRetentionRecords(pool).runs(long_ago + timedelta(days=1), 10)

    assert (refused.status, refused.code) == (409, "document_in_use")
    assert (kept, gone) == (0, 1)
    assert (await owner.get(f"/api/runs/{first}")).status == 404


async def test_a_refused_launch_leaves_no_blobs(
    owner: Api, server: Server, fake: FakeModel
) -> None:
    await owner.new_model(fake, fake.script("refused", Say("Done.")))
    agent = await owner.new_agent("refused", **FILE_INPUT)
    await database_of(server).execute(
        "UPDATE organizations SET documents_bytes_limit = 2 WHERE id = $1", owner.org["id"]
    )
    given = {"report": await upload(owner, b"a,b\n"), "extras": ["data:;base64,YWJj"]}
    refused = await owner.launch(agent, {"input": given})
    folder = f"documents/{owner.application['id']}"

    assert (refused.status, refused.code) == (403, "storage_limit_exceeded")
    for _ in range(100):
        if not await server.at.storage.ask(ListBlobs(key=folder)):
            break
    else:
        pytest.fail("the blobs of a refused launch are there")


async def test_a_launch_that_fails_midway_leaves_no_blobs(
    owner: Api, server: Server, fake: FakeModel
) -> None:
    await owner.new_model(fake, fake.script("midway", Say("Done.")))
    agent = await owner.new_agent("midway", **FILE_INPUT)
    given = [await upload(owner, b"there"), await upload(owner, b"lost")]
    lost = await database_of(server).fetchval(
        "SELECT storage_key FROM uploads WHERE id = $1", given[1].removeprefix("upload://")
    )
    await server.at.storage.ask(DeleteBlob(key=lost))
    failed = await owner.launch(agent, {"input": {"extras": given}})
    folder = f"documents/{owner.application['id']}"

    assert failed.status == 404
    for _ in range(100):
        if not await server.at.storage.ask(ListBlobs(key=folder)):
            break
    else:
        pytest.fail("the blobs of a failed launch are there")
