import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from actors.events import RunLogged
from actors.ids import PackageId, RunId
from actors.pubsub import Publish
from actors.runs import LogEntry
from adapters.postgres.run_sink import append
from appstrate.boot import Server, serving
from appstrate.http import frames as frames_module
from appstrate.settings import read_settings
from support.api import Api, new_owner
from support.sinks import database_of
from support.streams import Frame, messages, opened


def runs_of(api: Api, agent: str | None = None) -> str:
    which = f"agents/{quote(agent, safe='')}/runs" if agent else "runs"
    named = f"orgId={api.org['id']}&applicationId={api.application['id']}"
    return f"/api/realtime/{which}?{named}"


async def until_ended(frames: AsyncGenerator[Frame, None], runs: int) -> list[Frame]:
    """Frames until as many runs as that have told of their end, in both ways."""
    seen: list[Frame] = []
    ended: set[tuple[str, str]] = set()
    async with asyncio.timeout(30):
        async for frame in frames:
            seen.append(frame)
            name, _, data = frame
            if name == "run_update" and data["status"] not in ("pending", "running"):
                ended.add((name, data["id"]))
            if name == "run_log" and data["event"] == "run_completed":
                ended.add((name, data["runId"]))
            if len(ended) == 2 * runs:
                return seen
    raise AssertionError("the stream ended")


def lines(frames: list[Frame]) -> list[int]:
    return [int(frame_id or 0) for name, frame_id, _ in frames if name == "run_log"]


async def launched(api: Api, agent: str) -> str:
    return str((await api.launch(agent, {"modelId": "demo"})).json["id"])


async def test_an_application_is_followed_run_by_run(owner: Api, server: Server) -> None:
    stranger = await new_owner(server.url)
    foreign = await stranger.new_agent("foreign")
    agents = [await owner.new_agent(name) for name in ("ada", "bob")]
    async with opened(owner, runs_of(owner)) as frames:
        assert (await anext(frames))[0] == "ping"
        runs = [await launched(owner, agent) for agent in agents]
        await launched(stranger, foreign)
        seen = await until_ended(frames, 2)

    inserted = [f[2]["id"] for f in seen if f[0] == "run_update" and f[2]["operation"] == "INSERT"]
    assert sorted(inserted) == sorted(runs)
    assert {f[2].get("runId", f[2].get("id")) for f in seen} == set(runs)
    told = [line["id"] for run in runs for line in await owner.logs(run)]
    assert sorted(lines(seen)) == sorted(told)


async def test_an_agent_is_followed_alone(owner: Api) -> None:
    agents = [await owner.new_agent(name) for name in ("heard", "other")]
    async with opened(owner, runs_of(owner, agents[0])) as frames:
        assert (await anext(frames))[0] == "ping"
        other = await launched(owner, agents[1])
        await owner.wait(other)
        run = await launched(owner, agents[0])
        seen = await until_ended(frames, 1)

    assert {f[2].get("runId", f[2].get("id")) for f in seen} == {run}


@pytest.mark.parametrize("one_agent", [False, True])
async def test_whoever_comes_back_misses_nothing(owner: Api, one_agent: bool) -> None:
    agent = await owner.new_agent("resumed")
    path = runs_of(owner, agent if one_agent else None)
    first = await launched(owner, agent)
    await owner.wait(first)
    last = (await owner.logs(first))[2]["id"]
    second = await launched(owner, agent)
    await owner.wait(second)
    async with opened(owner, path, {"Last-Event-ID": str(last)}) as frames:
        assert (await anext(frames))[0] == "ping"
        seen = await until_ended(frames, 2)

    told = [line["id"] for run in (first, second) for line in await owner.logs(run)]
    # The 30 seconds before the last line are told again, with their ids; nothing is left out.
    assert set(lines(seen)) == set(told)
    assert len(lines(seen)) == len(set(lines(seen)))


async def test_what_is_old_is_not_told_again(owner: Api, server: Server) -> None:
    agent = await owner.new_agent("aged")
    run = await launched(owner, agent)
    await owner.wait(run)
    told = [line["id"] for line in await owner.logs(run)]
    async with database_of(server).connection() as connection:
        await connection.execute(
            "UPDATE run_logs SET created_at = created_at - $2::interval WHERE id <= $1",
            told[1],
            timedelta(minutes=5),
        )
    async with opened(owner, runs_of(owner, agent), {"Last-Event-ID": str(told[3])}) as frames:
        assert (await anext(frames))[0] == "ping"
        seen = await until_ended(frames, 1)

    assert lines(seen) == told[2:]


async def test_a_hole_is_filled_before_what_follows(owner: Api, server: Server) -> None:
    agent = await owner.new_agent("holed")
    run = await launched(owner, agent)
    await owner.wait(run)
    last = (await owner.logs(run))[-1]["id"]
    async with opened(owner, runs_of(owner), {"Last-Event-ID": str(last)}) as frames:
        assert (await anext(frames))[0] == "ping"
        await until_ended(frames, 1)
        async with database_of(server).transaction() as connection:
            await append(connection, RunId(run), [LogEntry(message="lost")])
            [heard] = await append(connection, RunId(run), [LogEntry(message="heard")])
        await publish(server, owner, agent, heard)

        assert await messages(frames, 2) == ["lost", "heard"]


async def publish(server: Server, api: Api, agent: str, line: Any) -> None:
    application = api.application["id"]
    event = RunLogged(
        run=line.run_id,
        application=application,
        package=PackageId(agent),
        position=line.position,
        line=line.for_stream(application),
    )
    await server.at.pubsub.ask(Publish(event=event))


@pytest.mark.parametrize("role", ["owner", "member"])
async def test_debug_lines_are_for_those_who_administer(
    owner: Api, server: Server, role: str
) -> None:
    agent = await owner.new_agent("talkative")
    run = await launched(owner, agent)
    await owner.wait(run)
    async with database_of(server).transaction() as connection:
        await append(connection, RunId(run), [LogEntry(message="whispered", level="debug")])
        await append(connection, RunId(run), [LogEntry(message="said", level="info")])
        await connection.execute(
            "UPDATE org_members SET role = $2 WHERE org_id = $1", owner.org["id"], role
        )
    server_accounts: Any = server.at.accounts._actor
    server_accounts._authenticator.forget()
    async with opened(owner, runs_of(owner, agent), {"Last-Event-ID": "1"}) as frames:
        seen: list[str] = []
        while "said" not in seen:
            seen += await messages(frames, 1)

    assert ("whispered" in seen) == (role == "owner")


async def test_an_agent_of_somebody_else_is_not_there(owner: Api, server: Server) -> None:
    stranger = await new_owner(server.url)
    agent = await owner.new_agent("hidden")

    answer = await stranger.get(runs_of(stranger, agent))
    assert (answer.status, answer.code) == (404, "agent_not_found")
    assert (await owner.get(runs_of(owner, "@no/such"))).status == 404
    assert (await Api(server.url).get("/api/realtime/runs")).status == 401


async def test_streams_are_told_when_to_come_back(tmp_path: Path) -> None:
    settings = read_settings({"DATA_DIR": str(tmp_path), "PORT": "0", "APP_ENV": "test"})
    reading: asyncio.Task[bytes]
    async with serving(settings) as server:
        owner = await new_owner(server.url)
        begun = asyncio.Event()

        async def read() -> bytes:
            async with (
                aiohttp.ClientSession(cookie_jar=owner.jar) as session,
                session.get(owner.url + runs_of(owner)) as response,
            ):
                text = await response.content.readuntil(b"\n\n")
                begun.set()
                return text + await response.read()

        reading = asyncio.create_task(read())
        await begun.wait()
    async with asyncio.timeout(5):
        assert await reading == b"event: ping\ndata: \n\nretry: 2000\n\n"


async def test_an_event_is_encoded_once_for_all_that_see_it(
    owner: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[int] = []
    encode = frames_module._encode

    def counting(event: Any, *, verbose: bool) -> bytes:
        encoded.append(id(event))
        return encode(event, verbose=verbose)

    monkeypatch.setattr(frames_module, "_encode", counting)
    agent = await owner.new_agent("crowd")
    path = runs_of(owner, agent)
    async with opened(owner, path) as one, opened(owner, path) as two:
        for frames in (one, two):
            assert (await anext(frames))[0] == "ping"
        await launched(owner, agent)
        both = await asyncio.gather(until_ended(one, 1), until_ended(two, 1))

    assert both[0] == both[1]
    assert len(encoded) == len(both[0])


async def test_many_streams_write_together(owner: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames_module, "MANY_STREAMS", 0)
    agent = await owner.new_agent("joined")
    async with opened(owner, runs_of(owner, agent)) as frames:
        assert (await anext(frames))[0] == "ping"
        run = await launched(owner, agent)
        seen = await until_ended(frames, 1)

    assert lines(seen) == [line["id"] for line in await owner.logs(run)]
