"""What becomes of a key whose request dies with the server."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from support.api import new_owner
from support.fake_model import FakeModel, Hang, Say, fake_model
from support.processes import ServerProcess
from support.waiting import eventually


@pytest.fixture
async def fake() -> AsyncIterator[FakeModel]:
    async with fake_model() as model:
        yield model


async def test_a_key_held_by_a_server_that_was_killed_is_free_at_once(
    tmp_path: Path, fake: FakeModel
) -> None:
    server = ServerProcess(tmp_path / "data", SIDECAR_POOL_SIZE="0")
    await server.start()
    try:
        owner = await new_owner(server.url)
        name = fake.script("hanging", Hang(), Say("Here."))
        model = await owner.new_model(fake, name)
        path, headers = f"/api/models/{model['id']}/test", {"Idempotency-Key": "once"}
        asking = asyncio.ensure_future(owner.post(path, headers=headers))
        await eventually(lambda: fake.requests_of(name))
        held = await owner.post(path, headers=headers)
        await server.kill()
        with pytest.raises(aiohttp.ClientError):
            await asking
        await server.start()
        owner.url = server.url
        again = await owner.post(path, headers=headers)
        replayed = await owner.post(path, headers=headers)
    finally:
        await server.stop()

    assert (held.status, held.code) == (409, "idempotency_in_progress")
    assert (again.status, again.json["ok"]) == (200, True)
    assert "Idempotent-Replayed" not in again.headers
    assert replayed.headers["Idempotent-Replayed"] == "true"
    assert replayed.body == again.body
