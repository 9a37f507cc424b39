"""What runs cost: priced by the platform, written once, and nothing an ended run says counts."""

import json
import time
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest

from actors.runs.signing import sign
from appstrate.boot import Server
from support.api import Answer, Api, Json
from support.fake_model import Fail, FakeModel, Hang, Say
from support.sinks import database_of, secret_of

RATES = {"input": 1, "output": 2, "cacheRead": 0.5}
SPENT = {"input_tokens": 1_000_000, "output_tokens": 500_000}


async def rows_of(server: Server, run: str) -> list[Json]:
    """The run's rows of the ledger."""
    query = "SELECT * FROM llm_usage WHERE run_id = $1 ORDER BY id"
    return [dict(row) for row in await database_of(server).fetch(query, run)]


async def started(
    api: Api, fake: FakeModel, server: Server, **model: Any
) -> tuple[str, Callable[[Json], Awaitable[Answer]], Callable[[Json], Awaitable[Answer]]]:
    """A run whose model hangs; its metrics and its end are what the test says."""
    await api.new_model(fake, fake.script("hanging-ledger", Hang()), **model)
    run = (await api.launch(await api.new_agent("spender"))).json["id"]
    numbers = iter(range(1_000, 2_000))
    database = database_of(server)

    async def send(path: str, body: Json) -> Answer:
        secret, now, name = await secret_of(server, run), str(int(time.time())), str(uuid4())
        content = json.dumps(body).encode()
        headers = {"webhook-id": name, "webhook-timestamp": now}
        headers["webhook-signature"] = sign(secret, name, now, content)
        path = f"/api/runs/{run}/events{path}"
        return await Api(api.url).request("POST", path, data=content, headers=headers)

    async def metric(data: Json) -> Answer:
        number = next(numbers)
        await database.execute(
            "UPDATE run_sinks SET last_sequence = $2 WHERE run_id = $1", run, number - 1
        )
        event = {"specversion": "1.0", "type": "appstrate.metric", "source": "test", "id": "e"}
        event |= {"time": "2026-01-01T00:00:00Z", "datacontenttype": "application/json"}
        return await send("", event | {"data": data, "sequence": number})

    async def finalize(data: Json) -> Answer:
        return await send("/finalize", data)

    return run, metric, finalize


async def test_a_run_is_priced_by_the_rates_of_its_launch(
    owner: Api, fake: FakeModel, server: Server
) -> None:
    model = await owner.new_model(fake, fake.script("billed", Say("Done.")), cost=RATES)
    run = await owner.finished(await owner.new_agent("billed"))
    [row] = await rows_of(server, run["id"])

    assert run["cost"] == pytest.approx((60 * 1 + 7 * 2 + 40 * 0.5) / 1e6)
    assert run["cost_pricing_status"] == "priced"
    assert (row["source"], row["model"], row["real_model"]) == ("runner", "billed", "billed")
    assert (row["api"], row["credential_source"]) == ("openai-completions", "org")
    assert (row["input_tokens"], row["output_tokens"], row["cache_read_tokens"]) == (60, 7, 40)
    assert (row["cost_usd"], row["rates"]) == (run["cost"], RATES)
    assert (row["org_id"], row["api_key_id"]) == (owner.org["id"], None)
    assert row["user_id"] is not None
    await owner.put(f"/api/models/{model['id']}", {"cost": {"input": 1000, "output": 1000}})
    assert (await owner.wait(run["id"]))["cost"] == run["cost"]


async def test_what_the_catalogue_knows_is_the_price(owner: Api, fake: FakeModel) -> None:
    name = fake.script("claude-haiku-4-5", Say("Done."))
    await owner.new_model(fake, name, "anthropic")
    run = await owner.finished(await owner.new_agent("listed"))

    assert run["cost"] == pytest.approx((60 * 1 + 7 * 5 + 40 * 0.1) / 1e6)
    assert run["cost_pricing_status"] == "priced"


@pytest.mark.parametrize(
    ("cost", "status", "dollars"),
    [(None, "unpriced", None), ({"input": 1, "output": 2}, "partial", 74 / 1e6)],
)
async def test_what_is_not_known_is_said(
    owner: Api, fake: FakeModel, cost: Json | None, status: str, dollars: float | None
) -> None:
    await owner.new_model(fake, fake.script("rateless", Say("Done.")), cost=cost)
    run = await owner.finished(await owner.new_agent("rateless"))

    assert (run["status"], run["cost_pricing_status"]) == ("success", status)
    assert run["cost"] == (None if dollars is None else pytest.approx(dollars))


async def test_an_agent_does_not_name_its_price(
    owner: Api, fake: FakeModel, server: Server
) -> None:
    run, metric, finalize = await started(owner, fake, server, cost=RATES)
    await metric({"usage": SPENT, "cost": 0})
    during = await owner.get(f"/api/runs/{run}")
    await finalize({"status": "success", "usage": SPENT, "cost": 1000})
    ended = await owner.wait(run)

    assert (during.json["cost"], during.json["cost_pricing_status"]) == (2, "priced")
    assert (ended["status"], ended["cost"]) == ("success", 2)


async def test_totals_only_grow(owner: Api, fake: FakeModel, server: Server) -> None:
    run, metric, finalize = await started(owner, fake, server, cost=RATES)
    await metric({"usage": SPENT})
    await metric({"usage": {"input_tokens": 1, "output_tokens": 1}})
    assert (await owner.get(f"/api/runs/{run}")).json["cost"] == 2
    await metric({"usage": SPENT | {"cache_creation_input_tokens": 5}})
    [row] = await rows_of(server, run)
    assert (row["cache_write_tokens"], row["cost_usd"]) == (5, 2), "as dear, with more tokens"

    await finalize({"status": "failed", "error": {"message": "no"}, "usage": SPENT})
    assert (await owner.wait(run))["cost"] == 2


async def test_an_ended_run_costs_no_more(owner: Api, fake: FakeModel, server: Server) -> None:
    run, metric, finalize = await started(owner, fake, server, cost=RATES)
    await metric({"usage": SPENT})
    await owner.post(f"/api/runs/{run}/cancel")
    cancelled = await owner.wait(run)
    late = await metric({"usage": {"input_tokens": 9_000_000, "output_tokens": 1}})
    await finalize({"status": "success", "usage": {"input_tokens": 9_000_000, "output_tokens": 1}})

    assert (cancelled["status"], cancelled["cost"]) == ("cancelled", 2)
    assert late.code == "run_sink_closed"
    assert (await owner.wait(run))["cost"] == 2
    assert [row["cost_usd"] for row in await rows_of(server, run)] == [2]


async def test_a_run_that_reached_no_model_costs_nothing(
    owner: Api, fake: FakeModel, server: Server
) -> None:
    await owner.new_model(fake, fake.script("unreached", Fail(401, "bad key")), cost=RATES)
    run = await owner.finished(await owner.new_agent("unreached"))

    assert (run["status"], run["cost"], run["cost_pricing_status"]) == ("failed", None, None)
    assert await rows_of(server, run["id"]) == []


async def test_runs_of_a_key_are_booked_to_the_key(
    owner: Api, fake: FakeModel, server: Server
) -> None:
    await owner.new_model(fake, fake.script("keyed", Say("Done.")), cost=RATES)
    agent = await owner.new_agent("keyed")
    run = await (await owner.with_key()).finished(agent)
    [row] = await rows_of(server, run["id"])

    assert row["api_key_id"] == run["apiKeyId"]
    assert row["user_id"] is None
