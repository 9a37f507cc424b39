import asyncio

import pytest

from actors.ids import RunId
from actors.runs import LogEntry
from adapters.postgres.run_sink import append
from appstrate.boot import Server
from appstrate.http import stream
from support.api import Api, new_owner
from support.fake_model import FakeModel, Hang, Say
from support.sinks import database_of
from support.streams import log_ids, messages, opened, stream_of, until_end
from support.waiting import eventually


async def test_a_stream_begins_with_a_ping_and_the_run_and_follows_it_to_its_end(
    owner: Api, fake: FakeModel
) -> None:
    await owner.new_model(
        fake, fake.script("streamed", Say("Hi.", {"bash": {"command": "sleep 0.3"}}), Say("Bye."))
    )
    key = await owner.with_key()
    token = key.headers["Authorization"].removeprefix("Bearer ")
    run = (await owner.launch(await owner.new_agent("streamed"))).json["id"]
    async with opened(owner, f"/api/realtime/runs/{run}?token={token}&verbose=true") as frames:
        seen = await until_end(frames)

    assert [f[0] for f in seen[:2]] == ["ping", "run_update"]
    assert seen[1][2]["id"] == run
    assert {"run_update", "run_log", "run_metric"} <= {f[0] for f in seen}
    assert seen[-1][2]["status"] == "success"
    metric = next(f[2] for f in seen if f[0] == "run_metric")
    assert metric["tokenUsage"]["output_tokens"] == 7
    assert (metric["costSoFar"], metric["costPricingStatus"]) == (0, "unpriced")
    lines = [f[2] for f in seen if f[0] == "run_log"]
    assert any(line["message"] == "Hi." for line in lines)
    assert all("createdAt" in line for line in lines)


async def test_a_stream_from_the_beginning_has_every_line_once_in_order(owner: Api) -> None:
    run = (await owner.launch(await owner.new_agent("replayed"), {"modelId": "demo"})).json["id"]
    path = stream_of(owner, run)
    async with opened(owner, path, {"Last-Event-ID": "0"}) as frames:
        live = await until_end(frames)
    lines = [line["id"] for line in await owner.logs(run)]
    async with opened(owner, path, {"Last-Event-ID": str(lines[2])}) as frames:
        rest = [await anext(frames) for _ in range(len(lines) - 1)]

    assert log_ids(live) == lines
    assert log_ids(rest) == lines[3:]


async def test_a_client_that_breaks_off_again_and_again_misses_nothing(
    owner: Api, fake: FakeModel
) -> None:
    chatter = "; ".join(f"echo {n}" for n in range(5))
    steps = [Say(f"step {n}", {"bash": {"command": chatter}}) for n in range(12)]
    await owner.new_model(fake, fake.script("chatty", *steps, Say("Done.")))
    run = (await owner.launch(await owner.new_agent("chatty"))).json["id"]
    path = stream_of(owner, run)
    seen: list[int] = []
    last, ended = "0", False
    while not ended:
        async with opened(owner, path, {"Last-Event-ID": last}) as frames, asyncio.timeout(20):
            async for name, frame_id, data in frames:
                if name == "run_log" and frame_id:
                    seen.append(int(frame_id))
                    last = frame_id
                    ended = data["event"] == "run_completed"
                    if ended or len(seen) % 4 == 0:
                        break

    assert seen == [line["id"] for line in await owner.logs(run)]


async def test_a_stream_shows_only_what_was_asked_for(owner: Api) -> None:
    run = (await owner.launch(await owner.new_agent("quiet"), {"modelId": "demo"})).json["id"]
    path = stream_of(owner, run)
    async with opened(owner, path + "&channels=run_update,", {"Last-Event-ID": "0"}) as frames:
        updates = await until_end(frames)
    async with opened(owner, path, {"Last-Event-ID": "0"}) as frames:
        lines = [f for f in [await anext(frames) for _ in range(4)] if f[0] == "run_log"]

    assert {f[0] for f in updates} == {"ping", "run_update"}
    assert all("data" not in f[2] for f in lines)


async def test_a_channel_that_is_none_is_told_and_not_silent(owner: Api) -> None:
    run = (await owner.launch(await owner.new_agent("misheard"), {"modelId": "demo"})).json["id"]
    answer = await owner.get(stream_of(owner, run) + "&channels=run_update,odd")

    assert (answer.status, answer.json["param"]) == (400, "channels")
    assert "there is no channel odd; there are chat_session_update, " in answer.json["detail"]


@pytest.mark.parametrize("query", ["", "?token=ask_" + "0" * 48, "?token=nonsense"])
async def test_a_stream_needs_somebody(owner: Api, query: str) -> None:
    run = await owner.finished(await owner.new_agent("shy"), {"modelId": "demo"})
    answer = await Api(owner.url).get(f"/api/realtime/runs/{run['id']}{query}")

    assert answer.status == 401


async def test_a_stream_needs_the_right_somebody(owner: Api, server: Server) -> None:
    run = await owner.finished(await owner.new_agent("private"), {"modelId": "demo"})
    stranger = await new_owner(server.url)
    token = (await stranger.with_key()).headers["Authorization"].removeprefix("Bearer ")
    narrow = (await owner.with_key(scopes=["agents:read"])).headers["Authorization"][7:]
    bare = Api(owner.url, jar=owner.jar)

    path = f"/api/realtime/runs/{run['id']}"
    assert (await Api(owner.url).get(f"{path}?token={token}")).status == 404
    assert (await Api(owner.url).get(f"{path}?token={narrow}")).status == 403
    assert (await bare.get(path)).status == 400


@pytest.fixture
async def hanging(owner: Api, fake: FakeModel) -> str:
    """A run in which nothing happens any more."""
    name = fake.script(f"hang-{owner.org['slug']}", Hang())
    await owner.new_model(fake, name)
    run = str((await owner.launch(await owner.new_agent("hanging"))).json["id"])
    await eventually(lambda: fake.requests_of(name))
    async with opened(owner, stream_of(owner, run), {"Last-Event-ID": "0"}) as frames:
        while not (await messages(frames, 1))[0].startswith("runtime ready"):
            pass
    return run


async def write_unheard(server: Server, run: str, message: str) -> None:
    """Add a line to a log as if the bus had lost the event."""
    async with database_of(server).transaction() as connection:
        await append(connection, RunId(run), [LogEntry(message=message)])


async def test_what_the_bus_lost_is_read_after_a_silence(
    owner: Api, server: Server, hanging: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "GONE_CHECK", 0.05)
    monkeypatch.setattr(stream, "SILENCE", 0.1)
    last = (await owner.logs(hanging))[-1]["id"]
    async with opened(owner, stream_of(owner, hanging), {"Last-Event-ID": str(last)}) as frames:
        assert [(await anext(frames))[0] for _ in range(2)] == ["ping", "run_update"]
        # What the program was still about to say comes before the ping of the silence.
        while (await anext(frames))[0] != "ping":
            pass
        await write_unheard(server, hanging, "unheard")
        assert await messages(frames, 1) == ["unheard"]


async def test_what_the_bus_lost_is_read_before_what_follows(
    owner: Api, server: Server, hanging: str
) -> None:
    last = (await owner.logs(hanging))[-1]["id"]
    async with opened(owner, stream_of(owner, hanging), {"Last-Event-ID": str(last)}) as frames:
        assert [(await anext(frames))[0] for _ in range(2)] == ["ping", "run_update"]
        await write_unheard(server, hanging, "unheard")
        await owner.post(f"/api/runs/{hanging}/cancel")

        assert (await messages(frames, 2))[0] == "unheard"


async def test_a_stream_ends_with_the_key_that_opened_it(
    owner: Api, hanging: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "GONE_CHECK", 0.05)
    monkeypatch.setattr(stream, "AUTHORIZE_SECONDS", 0.1)
    made = (await owner.post("/api/api-keys", {"name": "short"})).json
    async with opened(owner, f"/api/realtime/runs/{hanging}?token={made['key']}") as frames:
        assert [(await anext(frames))[0] for _ in range(2)] == ["ping", "run_update"]
        await owner.delete(f"/api/api-keys/{made['id']}")
        async with asyncio.timeout(10):
            assert [frame async for frame in frames] == []


async def test_a_stream_ends_with_its_run(
    owner: Api, fake: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "GONE_CHECK", 0.05)
    monkeypatch.setattr(stream, "SILENCE", 0.1)
    await owner.new_model(fake, fake.script("forgotten", Say("Done.")))
    run = (await owner.finished(await owner.new_agent("forgotten")))["id"]
    async with opened(owner, stream_of(owner, run)) as frames:
        assert [(await anext(frames))[0] for _ in range(2)] == ["ping", "run_update"]
        assert (await owner.delete(f"/api/runs/{run}")).status == 204
        async with asyncio.timeout(10):
            assert {name async for name, _, _ in frames} <= {"ping"}
