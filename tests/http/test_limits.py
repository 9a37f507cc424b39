"""How often things may be done, as an operator meets it: on servers with the usual limits."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from actors.limiter import Rule, TakeTurn
from actors.runs.run_sink import FORGERIES
from actors.runs.signing import sign
from appstrate.boot import Server, serving
from appstrate.settings import read_settings
from support.api import PASSWORD, Answer, Api, new_owner
from support.fake_model import FakeModel, Hang
from support.postgres import Postgres, url_of
from support.sinks import secret_of
from support.waiting import eventually, until

FORWARDED = "X-Forwarded-For"
SIGN_INS = Rule(name="POST /api/auth/sign-in/email", limit=20)
OF_AN_ACCOUNT = Rule(name="sign-ins of an account", limit=60)


@pytest.fixture(scope="module")
async def strict(
    tmp_path_factory: pytest.TempPathFactory, postgres: Postgres
) -> AsyncIterator[Server]:
    """Behind two proxies, where each test comes from addresses of its own."""
    environment = {
        "DATA_DIR": str(tmp_path_factory.mktemp("strict")),
        "DATABASE_URL": url_of(await postgres.fresh_database()),
        "PORT": "0",
        "APP_ENV": "test",
        "TRUST_PROXY": "2",
        "SIDECAR_POOL_SIZE": "0",
        "INLINE_RUN_LIMITS": '{"rate_per_min": 3}',
        "PLATFORM_RUN_LIMITS": '{"per_org_global_rate_per_min": 4}',
        "REMOTE_RUN_EVENT_LIMITS": '{"burst": 5}',
    }
    async with serving(read_settings(environment)) as server:
        yield server


@pytest.fixture
async def owner(strict: Server) -> Api:
    return await new_owner(strict.url)


def client(server: Server, address: str) -> Api:
    """Somebody at an address, as two proxies tell it."""
    return Api(server.url, headers={FORWARDED: f"6.6.6.6, {address}, 10.0.0.1"})


async def sign_in(api: Api, email: str, password: str = PASSWORD) -> Answer:
    return await api.post("/api/auth/sign-in/email", {"email": email, "password": password})


async def spend(server: Server, rule: Rule, key: str) -> None:
    """Use all that a rule allows at once but one: what takes long gives time to come back."""
    taken = await server.at.limiter.ask(TakeTurn(rule=rule, key=key, cost=rule.limit - 1))
    assert taken.allowed


@pytest.fixture
async def run(owner: Api, strict: Server, fake: FakeModel) -> tuple[str, str]:
    """A run whose program hangs, and its signing secret."""
    name = fake.script(f"hang-{owner.org['slug']}", Hang())
    await owner.new_model(fake, name)
    launched = await owner.launch(await owner.new_agent("played"))
    await eventually(lambda: fake.requests_of(name))
    return launched.json["id"], await secret_of(strict, launched.json["id"])


async def beat(api: Api, run: str, secret: str) -> Answer:
    """A sign of life, signed with a secret."""
    return await send(api, f"/api/runs/{run}/events/heartbeat", secret)


async def event(server: Server, sequence: int, run: str, secret: str) -> Answer:
    """An event that comes early."""
    told = {
        "specversion": "1.0",
        "type": "log.written",
        "source": f"/afps/runs/{run}",
        "id": str(uuid4()),
        "time": datetime.now(UTC).isoformat(),
        "datacontenttype": "application/json",
        "data": {"level": "info", "message": "hello"},
        "sequence": sequence,
    }
    return await send(Api(server.url), f"/api/runs/{run}/events", secret, json.dumps(told).encode())


async def send(api: Api, path: str, secret: str, body: bytes = b"") -> Answer:
    message, now = str(uuid4()), str(int(time.time()))
    headers = {
        "webhook-id": message,
        "webhook-timestamp": now,
        "webhook-signature": sign(secret, message, now, body),
    }
    return await api.request("POST", path, headers=headers, data=body)


async def test_a_limited_route_tells_what_is_left_and_then_refuses(owner: Api) -> None:
    answers = [await owner.post("/api/models/test", {}) for _ in range(6)]
    allowed, refused = answers[0], answers[5]

    assert [answer.status for answer in answers] == [400] * 5 + [429]
    assert allowed.headers["RateLimit-Policy"] == "5;w=60"
    assert allowed.headers["RateLimit"].startswith("limit=5, remaining=4, reset=")
    assert "Retry-After" not in allowed.headers
    assert (refused.code, refused.json["retryAfter"]) == (
        "rate_limited",
        int(refused.headers["Retry-After"]),
    )
    assert 1 <= int(refused.headers["Retry-After"]) <= 13
    assert refused.headers["RateLimit"].startswith("limit=5, remaining=0")


async def test_users_and_keys_are_counted_apart_and_so_are_routes(
    owner: Api, strict: Server
) -> None:
    for _ in range(6):
        last = await owner.post("/api/models/test", {})
    key, other = await owner.with_key(), await new_owner(strict.url)

    assert last.status == 429
    assert (await key.post("/api/models/test", {})).status == 400
    assert (await other.post("/api/models/test", {})).status == 400
    assert (await owner.post("/api/models/none/test", {})).status == 404


async def test_what_has_no_limit_does_not_speak_of_one(owner: Api) -> None:
    answer = await owner.get("/api/agents")

    assert "RateLimit" not in answer.headers
    assert "RateLimit-Policy" not in answer.headers


async def test_sign_ins_are_counted_by_the_address_the_proxies_have_seen(strict: Server) -> None:
    here, there = client(strict, "192.0.2.1"), client(strict, "192.0.2.2")
    await spend(strict, SIGN_INS, "address 192.0.2.1")
    answers = [await sign_in(here, f"{n}@x.org") for n in range(2)]

    assert [answer.status for answer in answers] == [401, 429]
    assert (await sign_in(there, "0@x.org")).status == 401
    here.headers[FORWARDED] = "1.2.3.4, " + here.headers[FORWARDED]  # what anybody may write
    assert (await sign_in(here, "0@x.org")).status == 429


async def test_an_account_is_not_guessed_at_from_many_addresses(strict: Server) -> None:
    await spend(strict, OF_AN_ACCOUNT, "target@x.org")
    answers = [
        await sign_in(client(strict, f"198.51.100.{n}"), "Target@x.org", "wrong one")
        for n in range(2)
    ]

    assert [answer.status for answer in answers] == [401, 429]
    assert (await sign_in(client(strict, "198.51.100.99"), "other@x.org")).status == 401


async def test_who_guesses_at_an_account_does_not_keep_its_owner_out(
    owner: Api, strict: Server
) -> None:
    guesser = client(strict, "198.51.100.200")
    answers = [await sign_in(guesser, owner.email, "wrong one") for _ in range(15)]

    assert {answer.status for answer in answers} == {401, 429}
    assert (await sign_in(client(strict, "198.51.100.201"), owner.email)).status == 200


async def test_a_network_of_ipv6_is_one_client(strict: Server) -> None:
    await spend(strict, SIGN_INS, "address 2001:db8::/64")
    answers = [
        await sign_in(client(strict, f"[2001:db8::{n}]:4711"), f"six{n}@x.org") for n in range(2)
    ]

    assert [answer.status for answer in answers] == [401, 429]
    assert (await sign_in(client(strict, "2001:db8:0:1::1"), "six@x.org")).status == 401


async def test_an_address_of_ipv4_is_the_same_client_however_a_proxy_spells_it(
    strict: Server,
) -> None:
    await spend(strict, SIGN_INS, "address 192.0.2.30")
    here, there = client(strict, "::ffff:192.0.2.30"), client(strict, "[::ffff:c000:21f]:4711")
    answers = [await sign_in(here, f"mapped{n}@x.org") for n in range(2)]

    assert [answer.status for answer in answers] == [401, 429]
    assert (await sign_in(there, "mapped@x.org")).status == 401


async def test_nobody_has_passwords_hashed_without_end(owner: Api) -> None:
    body = {"password": "another one"}
    answers = [await owner.post("/api/profile/password", body) for _ in range(6)]

    assert [answer.status for answer in answers] == [409] * 5 + [429]


@pytest.mark.parametrize("chain", ["203.0.113.9", "nonsense, 10.0.0.1", ""])
async def test_who_did_not_come_through_the_proxies_is_whoever_connected(
    owner: Api, chain: str
) -> None:
    guest = Api(owner.url, headers={FORWARDED: chain} if chain else {})
    await sign_in(guest, owner.email)
    session = (await guest.get("/api/auth/get-session")).json["session"]

    assert session["ipAddress"] == "127.0.0.1"


async def test_claims_are_few(strict: Server) -> None:
    guest = client(strict, "192.0.2.50")
    body = {"token": "x" * 22, "email": "a@x.org", "name": "A", "password": PASSWORD}
    answers = [await guest.post("/api/auth/bootstrap/redeem", body) for _ in range(6)]

    assert [answer.status for answer in answers] == [401] * 5 + [429]


async def test_the_operator_sets_the_rate_of_inline_runs(owner: Api) -> None:
    answers = [await owner.post("/api/runs/inline", {}) for _ in range(4)]

    assert [answer.status for answer in answers] == [400, 400, 400, 429]
    described = (await owner.get("/api/openapi.json")).json["paths"]["/api/runs/inline"]["post"]
    assert "At most 3 requests per minute of one user or key." in described["description"]
    assert "429" in described["responses"]


async def test_an_organization_launches_so_often_whoever_does_it(
    owner: Api, fake: FakeModel
) -> None:
    await owner.new_model(fake, fake.script(f"idle-{owner.org['slug']}", *[Hang()] * 4))
    agent, key = await owner.new_agent(), await owner.with_key()
    first = [await owner.launch(agent) for _ in range(2)]
    second = [await key.launch(agent) for _ in range(3)]

    assert [answer.status for answer in first + second] == [201] * 4 + [429]
    assert second[-1].code == "org_run_rate_limited"
    assert int(second[-1].headers["Retry-After"]) <= 16


async def test_schedules_over_the_launch_rate_wait_and_are_not_refused(
    owner: Api, fake: FakeModel, strict: Server
) -> None:
    await owner.new_model(fake, fake.script(f"idle-{owner.org['slug']}", *[Hang()] * 4))
    agent = await owner.new_agent()
    for _ in range(4):
        await owner.launch(agent)
    every_second = {"cron_expression": "* * * * * *"}
    made = (await owner.post(f"/api/agents/{agent}/schedules", every_second)).json
    fires: list[dict[str, Any]] = []

    async def three() -> bool:
        fires[:] = (await owner.get(f"/api/schedules/{made['id']}/fires")).json["data"]
        return len(fires) >= 3

    planned = strict.at.launcher.metrics.served
    await until(three)
    assert strict.at.launcher.metrics.served == planned, "planned before its turn"
    await owner.put(f"/api/schedules/{made['id']}", {"enabled": False})
    assert {fire["state"] for fire in fires[1:]} == {"due"}
    assert (await owner.get(f"/api/schedules/{made['id']}/runs")).json["data"] == []


async def test_forged_requests_of_runs_are_counted_and_true_ones_are_not(
    strict: Server, run: tuple[str, str]
) -> None:
    forger = client(strict, "192.0.2.77")
    await spend(strict, FORGERIES, "192.0.2.77")
    first = await beat(forger, run[0], "guess")
    forged = await asyncio.gather(*(beat(forger, run[0], "guess") for _ in range(100)))
    unknown = await beat(forger, "run_none", "guess")
    true = await beat(forger, *run)

    found = Counter(answer.status for answer in forged)
    assert first.status == 401
    assert found[429] >= 1
    assert found[401] + found[429] == 100
    assert unknown.status in (404, 429)
    assert true.status == 200


async def test_a_run_sends_only_so_many_events_at_once(
    strict: Server, run: tuple[str, str]
) -> None:
    answers = await asyncio.gather(*(event(strict, n, *run) for n in range(100, 130)))
    found = Counter(answer.status for answer in answers)
    assert 1 <= found[200] <= 20
    assert found[429] + found[200] == 30
