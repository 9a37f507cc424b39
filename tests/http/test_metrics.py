"""What machines and administrators read of how the server is."""

import asyncio
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from actors.queue import AddJob, FailJob, NewJob, TakeJob
from appstrate.boot import Server, serving
from appstrate.http.metrics import LoopLag, family
from appstrate.paths import ROOT
from appstrate.settings import read_settings
from support.api import Answer, Api, new_user
from support.fake_model import Fail, FakeModel, Say
from support.postgres import Postgres, url_of
from support.sinks import database_of
from support.waiting import eventually, until

TOKEN = "scrape-" + "m" * 16


class Scrape:
    """An answer as Prometheus reads it."""

    def __init__(self, answer: Answer) -> None:
        assert answer.status == 200, answer.body
        self.families = list(text_string_to_metric_families(answer.body.decode()))

    def __call__(self, name: str, **labels: str) -> float:
        """The value of one sample."""
        (found,) = [
            sample.value
            for family in self.families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        return float(found)


async def scraped(server: Server) -> Scrape:
    return Scrape(await Api(server.url).get("/metrics"))


async def test_everything_that_is_counted_is_told_in_the_format_of_prometheus(
    server: Server, owner: Api
) -> None:
    await owner.get("/api/agents")
    await owner.get("/nowhere/secret-in-a-path")
    answer = await Api(server.url).get("/metrics")
    scrape = Scrape(answer)
    names = [family.name for family in scrape.families]
    samples = [
        (sample.name, *sorted(sample.labels.items()))
        for family in scrape.families
        for sample in family.samples
    ]

    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert len(names) == len(set(names)) > 20
    assert len(samples) == len(set(samples))
    assert {family.type for family in scrape.families} == {"counter", "gauge"}
    assert all(family.documentation for family in scrape.families)
    route = {"method": "GET", "route": "/api/agents", "status": "200"}
    assert scrape("appstrate_http_requests_total", **route) >= 1
    assert scrape("appstrate_actor_up", actor="accounts") == 1
    assert scrape("appstrate_actor_messages_served_total", actor="accounts") > 1
    assert scrape("appstrate_actor_mailbox_depth", actor="run_sink") >= 0
    assert scrape("appstrate_runs", status="pending") >= 0
    assert scrape("appstrate_schedule_lag_seconds") < 60
    assert scrape("process_resident_memory_bytes") > 10_000_000
    assert scrape("appstrate_event_loop_lag_seconds") >= 0
    assert b"secret-in-a-path" not in answer.body


async def test_what_the_documentation_watches_is_told(server: Server) -> None:
    page = (ROOT / "docs" / "operating.md").read_text()
    watched = set(re.findall(r"appstrate_\w+", page))
    told = re.findall(r"# TYPE (\w+)", (await Api(server.url).get("/metrics")).body.decode())

    assert len(watched) > 5
    assert watched <= set(told)


async def test_ends_of_runs_are_counted(server: Server, owner: Api, fake: FakeModel) -> None:
    script = fake.script("counted", Say("Done."), Say("Done."), Fail(401, "no"))
    await owner.new_model(fake, script)
    agent, before = await owner.new_agent(), await scraped(server)
    for _ in range(3):
        await owner.finished(agent)

    async def grown() -> list[float]:
        now = await scraped(server)
        name = "appstrate_runs_ended_total"
        return [now(name, status=s) - before(name, status=s) for s in ("success", "failed")]

    async def counted() -> bool:
        return await grown() == [2, 1]

    await until(counted)
    assert before("appstrate_runs_ended_total", status="timeout") >= 0


async def test_jobs_are_counted_by_what_they_wait_for(server: Server) -> None:
    queue, topic = server.at.queue, "counted"
    for later in (None, None, None, datetime.now(UTC) + timedelta(hours=1)):
        await queue.ask(AddJob(job=NewJob(topic=topic, due_at=later)))
    held, dead = [await queue.ask(TakeJob(topic=topic, lease=60)) for _ in range(2)]
    assert held is not None
    assert dead is not None
    await queue.ask(FailJob(job=dead.id, token=dead.token, error="no", retry_at=None))
    scrape = await scraped(server)

    states = ("waiting", "held", "later", "dead")
    assert [scrape("appstrate_jobs", topic=topic, state=state) for state in states] == [1, 1, 1, 1]


async def test_a_schedule_that_is_late_is_seen(server: Server, owner: Api) -> None:
    """As if the scheduler had not come round to a due time."""
    agent, body = await owner.new_agent(), {"cron_expression": "@yearly"}
    made = (await owner.post(f"/api/agents/{agent}/schedules", body)).json
    pool, due = database_of(server), datetime.now(UTC) - timedelta(minutes=10)
    late = "INSERT INTO schedule_fires (schedule_id, due_at, state, lease_until) "
    held = datetime.now(UTC) + timedelta(hours=1)
    await pool.execute(late + "VALUES ($1, $2, 'due', $3)", made["id"], due, held)
    lag = (await scraped(server))("appstrate_schedule_lag_seconds")
    await owner.delete(f"/api/schedules/{made['id']}")

    assert 600 <= lag < 660


@pytest.mark.parametrize(
    "header",
    ["X-Forwarded-For", "X-Forwarded-Proto", "Forwarded", "Via", "X-Real-IP", "CF-Connecting-IP"],
)
async def test_a_proxy_on_this_machine_does_not_open_the_metrics(
    server: Server, header: str
) -> None:
    refused = await Api(server.url, headers={header: "192.0.2.1"}).get("/metrics")

    assert (refused.status, refused.code) == (401, "unauthorized")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:3000", 200),
        ("127.0.0.1", 200),
        ("[::1]:3000", 200),
        ("agents.example.com", 401),
        ("localhost.evil.example", 401),
        ("192.0.2.1:3000", 401),
        ("[::", 401),
        ("", 401),
    ],
)
async def test_neither_does_a_proxy_that_is_silent_nor_a_page_whose_name_points_here(
    server: Server, host: str, status: int
) -> None:
    asked = await Api(server.url).get("/metrics", headers={"Host": host})

    assert asked.status == status


async def test_the_token_opens_the_metrics_and_administrators_see_the_actors(
    tmp_path: Path, postgres: Postgres
) -> None:
    environment = {
        "DATA_DIR": str(tmp_path),
        "DATABASE_URL": url_of(await postgres.fresh_database()),
        "PORT": "0",
        "APP_ENV": "test",
        "SIDECAR_POOL_SIZE": "0",
        "METRICS_TOKEN": TOKEN,
        "TRUST_PROXY": "1",
        "AUTH_PLATFORM_ADMIN_EMAILS": "root@example.com",
    }
    async with serving(read_settings(environment)) as server:
        far = Api(server.url, headers={"X-Forwarded-For": "192.0.2.1"})
        given = {"Authorization": f"Bearer {TOKEN}"}
        with_token = await far.get("/metrics", headers=given)
        here = await Api(server.url).get("/metrics")
        pretended = [
            await Api(server.url, headers={"X-Forwarded-For": told}).get("/metrics")
            for told in ("127.0.0.1", "::1", "192.0.2.1, 127.0.0.1", "")
        ]
        wrong = await far.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}x"})
        root, somebody = Api(server.url), await new_user(server.url)
        body = {"email": "root@example.com", "password": "correct horse", "name": "Root"}
        await root.post("/api/auth/sign-up/email", body)
        actors = (await root.get("/api/admin/actors")).json["data"]
        refused = await somebody.get("/api/admin/actors")

    assert (with_token.status, wrong.status, refused.status, here.status) == (200, 401, 403, 200)
    assert [each.status for each in pretended] == [401] * 4
    assert [actors[0]["name"], actors[0]["state"]] == ["database", "running"]
    accounts = next(each for each in actors if each["name"] == "accounts")
    assert accounts["served"] > 1
    assert accounts["restarts"] == accounts["dead_letters"] == 0
    assert accounts["high_water"] >= 1


async def test_a_blocked_loop_is_seen() -> None:
    lag = LoopLag()
    lag.start()
    await asyncio.sleep(0)
    time.sleep(0.7)
    await eventually(lambda: lag.most >= 0.15)
    lag.stop()


def test_labels_are_escaped() -> None:
    told = family("x", "gauge", "It.", [({"route": 'a"b\\c\nd'}, 1)])

    assert told.splitlines()[2] == r'appstrate_x{route="a\"b\\c\nd"} 1'
