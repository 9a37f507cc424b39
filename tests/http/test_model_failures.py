"""Every way in which a model can be missing or fail: refused, or a run that says which."""

import pytest

from appstrate.boot import Server
from support.api import Api, Json
from support.fake_model import Fail, FakeModel, Hang, Raw
from support.sinks import database_of

RESEAL = "UPDATE model_provider_credentials SET credentials_encrypted = $2 WHERE id = $1"


async def test_a_launch_without_a_usable_model_is_refused_with_what_to_do(
    owner: Api, server: Server, fake: FakeModel
) -> None:
    agent = await owner.new_agent("modelless")
    none = await owner.launch(agent)
    unknown = await owner.launch(agent, {"modelId": "no-such-model"})
    model = await owner.new_model(fake, "sealed", "anthropic")
    await database_of(server).execute(RESEAL, model["credentialId"], "v1:lost:AAAA")
    lost = await owner.launch(agent)

    assert (none.status, none.code) == (400, "model_not_configured")
    assert "POST /api/models" in none.json["detail"]
    assert (unknown.status, unknown.code) == (404, "not_found")
    assert "no-such-model" in unknown.json["detail"]
    assert (lost.status, lost.code) == (400, "model_credential_missing")
    assert "CONNECTION_ENCRYPTION_KEY" in lost.json["detail"]
    assert (await owner.get("/api/runs")).json["data"] == []


@pytest.mark.parametrize(
    ("step", "status", "told"),
    [
        (Fail(401, "bad key"), "failed", "Check the key"),
        (Fail(404, "no such model"), "failed", "Check the model's id"),
        (Fail(429, "slow down", {"Retry-After": "0.01"}), "failed", "slow down"),
        (Raw(b"<html>Welcome</html>"), "failed", "web page"),
        (Raw(b"data: {}\n\n", abort=True), "failed", "gave no whole answer: the answer broke off"),
        (Hang(), "timeout", "2"),
    ],
)
async def test_a_model_that_fails_ends_the_run_and_is_named(
    owner: Api, fake: FakeModel, step: Fail | Raw | Hang, status: str, told: str
) -> None:
    await owner.new_model(fake, fake.script(f"failing-{type(step).__name__}", step))
    short: Json = {"timeout": 2} if isinstance(step, Hang) else {}
    run = await owner.finished(await owner.new_agent("failing", **short))

    assert run["status"] == status
    assert told in run["error"]
    assert run["cost"] is None
