"""Runs that fall silent, and runs that are somebody else's by now."""

import asyncio
from collections.abc import Callable
from itertools import count

import pytest

from actors.ids import RunId
from actors.runs import PatrolRuns, ReadLiveRuns, SweepRuns
from appstrate.boot import Server
from support.api import Api
from support.fake_model import FakeModel, Hang, Say
from support.sinks import database_of
from support.waiting import eventually

clock = count(10_000_000_000, 1000)


@pytest.fixture
async def silent(owner: Api, fake: FakeModel) -> tuple[str, str]:
    """A run that has started a program and hangs, and what the program calls itself."""
    mark = f"appstrate-silent-{owner.org['slug']}"
    command = f"setsid bash -c 'exec -a {mark} sleep 600' & sleep 0.1"
    name = fake.script(mark, Say("", {"bash": {"command": command}}), Hang())
    await owner.new_model(fake, name)
    run = (await owner.launch(await owner.new_agent("silent"))).json["id"]
    await eventually(lambda: len(fake.requests_of(name)) >= 2)
    return run, mark


async def sweep(server: Server) -> None:
    """Look twice, so far apart that silence counts."""
    now = next(clock)
    await server.at.run_watchdog.ask(SweepRuns(now=now))
    await server.at.run_watchdog.ask(SweepRuns(now=now + 60))


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ("run_sinks SET touched_at = now() - interval '61 s'", "failed", "no heartbeat for 60s"),
        (
            "run_sinks SET last_sequence = 0, boot_deadline_at = now()",
            "failed",
            "never started executing: no event within 300s",
        ),
        ("runs SET deadline_at = now()", "timeout", "Run timed out after 300s"),
    ],
)
async def test_a_silent_run_is_ended_with_everything_it_started(
    *,
    owner: Api,
    server: Server,
    silent: tuple[str, str],
    running_commands: Callable[[str], int],
    change: str,
    status: str,
    words: str,
) -> None:
    run, mark = silent
    assert running_commands(mark) == 1
    key = "id" if change.startswith("runs") else "run_id"
    await database_of(server).execute(f"UPDATE {change} WHERE {key} = $1", run)
    await sweep(server)
    ended = (await owner.get(f"/api/runs/{run}")).json

    assert (ended["status"], running_commands(mark)) == (status, 0)
    assert words in ended["error"]
    assert (await owner.logs(run))[-1]["event"] == "run_completed"


async def test_a_run_that_gives_signs_of_life_is_left_alone(
    owner: Api, server: Server, silent: tuple[str, str]
) -> None:
    run, _ = silent
    await sweep(server)
    await server.at.run_watchdog.ask(PatrolRuns())

    assert (await owner.get(f"/api/runs/{run}")).json["status"] == "running"
    await owner.post(f"/api/runs/{run}/cancel")


@pytest.mark.parametrize(
    "change", ["instance_id = 'another'", "status = 'cancelled', error = 'by another instance'"]
)
async def test_a_run_that_is_not_ours_any_more_is_stopped(
    *,
    owner: Api,
    server: Server,
    silent: tuple[str, str],
    running_commands: Callable[[str], int],
    change: str,
) -> None:
    """Another instance has cancelled it, or has taken this one for dead."""
    run, mark = silent
    changed = f"UPDATE runs SET {change} WHERE id = $1"  # noqa: S608 - the tests own words
    await database_of(server).execute(changed, run)
    await server.at.run_watchdog.ask(PatrolRuns())
    async with asyncio.timeout(10):
        while RunId(run) in await server.at.run_supervisor.ask(ReadLiveRuns()):  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.05)

    assert running_commands(mark) == 0
    found = (await owner.get(f"/api/runs/{run}")).json
    assert found["status"] == ("cancelled" if "cancelled" in change else "running")
