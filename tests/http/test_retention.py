"""What is old is deleted, and nothing else: through the real application, with the time given."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from actors.queue import AddJob, ListDeadJobs, NewJob
from actors.retention import TOPIC, Purged, PurgeExpired, next_night
from appstrate.boot import Server, serving
from appstrate.settings import read_settings
from support.api import Api, Json, new_owner
from support.fake_model import FakeModel, Hold, Say
from support.waiting import eventually, until

INLINE: Json = {
    "manifest": {},
    "prompt": "Do it once.",
}


@pytest.fixture
async def tidy(tmp_path: Path) -> AsyncIterator[Server]:
    """Deletes runs after ten days, logs after five, the definitions of inline runs after three."""
    variables = {
        "DATA_DIR": str(tmp_path / "data"),
        "PORT": "0",
        "APP_ENV": "test",
        "RUN_RETENTION_DAYS": "10",
        "LOG_RETENTION_DAYS": "5",
        "INLINE_RUN_LIMITS": '{"retention_days": 3}',
    }
    async with serving(read_settings(variables)) as running:
        yield running


async def purge(server: Server, days: float) -> Purged:
    """Delete what is old in so many days from now."""
    at = datetime.now(UTC) + timedelta(days=days)
    return await server.at.retention.ask(PurgeExpired(now=at))


async def test_what_is_old_is_deleted_and_what_is_active_stays(
    tidy: Server, fake: FakeModel
) -> None:
    owner = await new_owner(tidy.url)
    hold = Hold(Say("Done."))
    name = fake.script("retained", Say("Done."), Say("Done."), hold)
    await owner.new_model(fake, name)
    agent = await owner.new_agent("retained")
    done = (await owner.finished(agent))["id"]
    launched = await owner.post("/api/runs/inline", INLINE)
    assert launched.status == 201, launched.body
    inline = (await owner.wait(launched.json["id"]))["id"]
    active = (await owner.launch(agent)).json["id"]
    await eventually(lambda: len(fake.requests_of(name)) == 3)

    assert await purge(tidy, 2) == Purged()
    assert (await purge(tidy, 4)).definitions == 1
    blanked = (await owner.get(f"/api/runs/{inline}")).json
    assert blanked["inline_manifest"] is None
    assert blanked["inline_prompt"] is None
    assert blanked["status"] == "success"
    assert await owner.logs(inline) == []
    assert await owner.logs(done) != []
    assert (await purge(tidy, 6)).lines > 0
    assert await owner.logs(done) == []
    assert await owner.logs(active) != []
    assert (await purge(tidy, 11)).runs == 2
    for run in (done, inline):
        assert (await owner.get(f"/api/runs/{run}")).status == 404
    assert await owner.logs(active) != []
    hold.go.set()
    assert (await owner.wait(active))["status"] == "success"
    assert await purge(tidy, 2) == Purged()


async def test_by_default_only_inline_definitions_go(
    server: Server, owner: Api, fake: FakeModel
) -> None:
    await owner.new_model(fake, fake.script("kept-for-ever", Say("Done.")))
    run = (await owner.finished(await owner.new_agent("kept-for-ever")))["id"]
    inline = (await owner.wait((await owner.post("/api/runs/inline", INLINE)).json["id"]))["id"]
    purged = await purge(server, 10_000)

    assert purged.runs == 0
    assert purged.definitions >= 1
    assert await owner.logs(run) != []
    assert (await owner.get(f"/api/runs/{inline}")).json["inline_prompt"] is None


async def test_nights_are_jobs_of_the_queue(server: Server) -> None:
    queue = server.at.queue
    tonight = next_night(datetime.now(UTC))
    planned = NewJob(topic=TOPIC, due_at=tonight, key=tonight.date().isoformat())
    at_once = NewJob(topic=TOPIC, key="at once")
    first = await queue.ask(AddJob(job=planned))
    added = await queue.ask(AddJob(job=at_once))

    async def is_done() -> bool:
        return await queue.ask(AddJob(job=at_once)) != added

    await until(is_done)
    assert await queue.ask(AddJob(job=planned)) == first
    assert await queue.ask(ListDeadJobs(topic=TOPIC)) == []


@pytest.mark.parametrize(
    ("now", "night"),
    [
        ("2026-03-01T02:59:59+00:00", "2026-03-01T03:00:00+00:00"),
        ("2026-03-01T03:00:00+00:00", "2026-03-02T03:00:00+00:00"),
        ("2026-12-31T23:30:00-05:00", "2027-01-02T03:00:00+00:00"),
    ],
)
def test_the_next_night(now: str, night: str) -> None:
    assert next_night(datetime.fromisoformat(now)) == datetime.fromisoformat(night)
