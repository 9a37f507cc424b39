"""What is old is deleted, and nothing else: through the real application, with the time given."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from actors.events import DELIVERIES
from actors.queue import AddJob, FailJob, ListDeadJobs, NewJob, TakeJob
from actors.retention import TOPIC, Purged, PurgeExpired, next_night
from appstrate.boot import Server, serving
from appstrate.settings import read_settings
from support.api import Json, new_owner
from support.fake_model import FakeModel, Hold, Say
from support.postgres import Postgres, url_of
from support.sinks import database_of
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


@pytest.fixture
async def plain(tmp_path: Path, postgres: Postgres) -> AsyncIterator[Server]:
    """Keeps what operators have not said it shall delete."""
    variables = {
        "DATA_DIR": str(tmp_path / "data"),
        "DATABASE_URL": url_of(await postgres.fresh_database()),
        "PORT": "0",
        "APP_ENV": "test",
        "SIDECAR_POOL_SIZE": "0",
    }
    async with serving(read_settings(variables)) as running:
        yield running


async def test_by_default_only_inline_definitions_go(plain: Server, fake: FakeModel) -> None:
    person = await new_owner(plain.url)
    await person.new_model(fake, fake.script("kept-for-ever", Say("Done.")))
    owner = await person.with_key()  # which outlives a session
    run = (await owner.finished(await owner.new_agent("kept-for-ever")))["id"]
    inline = (await owner.wait((await owner.post("/api/runs/inline", INLINE)).json["id"]))["id"]
    purged = await purge(plain, 10_000)

    assert purged.runs == 0
    assert purged.definitions >= 1
    assert await owner.logs(run) != []
    assert (await owner.get(f"/api/runs/{inline}")).json["inline_prompt"] is None


async def test_expired_sessions_go(plain: Server) -> None:
    await new_owner(plain.url)
    sessions = "SELECT count(*) FROM sessions"

    assert (await purge(plain, 6)).leftovers == 0
    assert await database_of(plain).fetchval(sessions) == 1
    assert (await purge(plain, 8)).leftovers == 1
    assert await database_of(plain).fetchval(sessions) == 0


async def test_of_old_due_times_and_attempts_the_latest_are_kept(plain: Server) -> None:
    owner, pool = await new_owner(plain.url), database_of(plain)
    agent = await owner.new_agent()
    cron = {"cron_expression": "@yearly"}
    schedule = (await owner.post(f"/api/agents/{agent}/schedules", cron)).json["id"]
    hook = {"level": "org", "url": "https://127.0.0.1:9/", "events": ["run.failed"]}
    webhook = (await owner.post("/api/webhooks", hook)).json["id"]
    await pool.execute(
        """
        INSERT INTO schedule_fires (schedule_id, due_at, state, lease_until)
        SELECT $1, now() - n * interval '1 day', CASE n WHEN 150 THEN 'due' ELSE 'skipped' END,
               now() + interval '1 hour' FROM generate_series(1, 150) n
        """,
        schedule,
    )
    await pool.execute(
        """
        WITH events AS (
            INSERT INTO webhook_events (id, webhook_id, type, body, created_at)
            SELECT 'evt_' || n, $1, 'run.failed', '', now() - n * interval '1 day'
            FROM generate_series(1, 150) n RETURNING *
        )
        INSERT INTO webhook_deliveries
            (id, webhook_id, event_id, event_type, status, latency, attempt, created_at)
        SELECT id, webhook_id, id, type, 'failed', 1, 1, created_at FROM events
        """,
        webhook,
    )
    later = datetime.now(UTC) + timedelta(hours=1)
    job = NewJob(topic=DELIVERIES, payload={"event": "evt_150"}, due_at=later)
    await plain.at.queue.ask(AddJob(job=job))
    fires = "SELECT count(*) FROM schedule_fires"
    attempts = "SELECT count(*) FROM webhook_deliveries"
    events = "SELECT count(*) FROM webhook_events"
    await purge(plain, 0)
    left = [await pool.fetchval(query) for query in (fires, attempts)]
    await purge(plain, 0)  # events go when no attempt tells of them any more

    assert left == [101, 100]
    assert await pool.fetchval(events) == 101
    kept = await owner.get(f"/api/webhooks/{webhook}/deliveries", params={"limit": "100"})
    assert len(kept.json["data"]) == 100
    assert len((await owner.get(f"/api/schedules/{schedule}/fires")).json["data"]) > 0


async def test_dead_jobs_go_after_a_month(plain: Server) -> None:
    await plain.at.queue.ask(AddJob(job=NewJob(topic="mail")))
    job = await plain.at.queue.ask(TakeJob(topic="mail", lease=60))
    assert job is not None
    failure = FailJob(job=job.id, token=job.token, error="no", retry_at=None)
    await plain.at.queue.ask(failure)

    assert (await purge(plain, 29)).leftovers == 0
    assert (await purge(plain, 31)).leftovers == 1
    assert await plain.at.queue.ask(ListDeadJobs()) == []


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
