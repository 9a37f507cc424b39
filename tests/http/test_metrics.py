"""What machines and administrators read of how the server is."""

import asyncio
import re
import time
from pathlib import Path

import pytest

from appstrate.boot import Server, serving
from appstrate.http.metrics import LoopLag, family
from appstrate.settings import read_settings
from support.api import Answer, Api, new_user
from support.postgres import Postgres, url_of
from support.waiting import eventually

LINE = re.compile(r'[a-z_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? [0-9.e+-]+')
TOKEN = "scrape-" + "m" * 16


def value(answer: Answer, name: str) -> float:
    found = [line for line in answer.body.decode().splitlines() if line.startswith(f"{name} ")]
    assert len(found) == 1, f"{name} is there {len(found)} times"
    return float(found[0].rpartition(" ")[2])


async def test_everything_that_is_counted_is_told_in_the_format_of_prometheus(
    server: Server, owner: Api
) -> None:
    await owner.get("/api/agents")
    await owner.get("/nowhere/secret-in-a-path")
    answer = await Api(server.url).get("/metrics")
    lines = answer.body.decode().splitlines()

    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert [line for line in lines if not line.startswith("# ") and not LINE.fullmatch(line)] == []
    names = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(names) == len(set(names))
    agents = 'appstrate_http_requests_total{method="GET",route="/api/agents",status="200"}'
    assert value(answer, agents) >= 1
    assert value(answer, 'appstrate_actor_up{actor="accounts"}') == 1
    assert value(answer, 'appstrate_actor_messages_served_total{actor="accounts"}') > 1
    assert value(answer, 'appstrate_actor_mailbox_depth{actor="run_sink"}') >= 0
    assert value(answer, 'appstrate_runs{status="pending"}') >= 0
    assert value(answer, "process_resident_memory_bytes") > 10_000_000
    assert value(answer, "appstrate_event_loop_lag_seconds") >= 0
    assert b"secret-in-a-path" not in answer.body


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"])
async def test_a_proxy_on_this_machine_does_not_open_the_metrics(
    server: Server, header: str
) -> None:
    refused = await Api(server.url, headers={header: "192.0.2.1"}).get("/metrics")

    assert (refused.status, refused.code) == (401, "unauthorized")


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
        "AUTH_PLATFORM_ADMIN_EMAILS": "root@example.com",
    }
    async with serving(read_settings(environment)) as server:
        far = Api(server.url, headers={"X-Forwarded-For": "192.0.2.1"})
        given = {"Authorization": f"Bearer {TOKEN}"}
        with_token = await far.get("/metrics", headers=given)
        wrong = await far.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}x"})
        root, somebody = Api(server.url), await new_user(server.url)
        body = {"email": "root@example.com", "password": "correct horse", "name": "Root"}
        await root.post("/api/auth/sign-up/email", body)
        actors = (await root.get("/api/admin/actors")).json["data"]
        refused = await somebody.get("/api/admin/actors")

    assert (with_token.status, wrong.status, refused.status) == (200, 401, 403)
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
