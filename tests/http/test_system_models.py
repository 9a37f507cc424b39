"""Models of the operator's keys, which every organization has."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from appstrate.boot import serving
from appstrate.settings import read_settings
from support.api import Api, new_owner
from support.fake_model import FakeModel, Say


@pytest.fixture
async def tenant(tmp_path: Path, fake: FakeModel) -> AsyncIterator[Api]:
    """The owner of an organization on a server whose operator has a key."""
    models: list[Any] = [
        {"modelId": fake.script("system-model", Say("Done.")), "isDefault": True},
        {"modelId": fake.script("masked-model", Say("Done.")), "label": "House", "aliased": True},
    ]
    keys: dict[str, Any] = {
        "id": "ours",
        "providerId": "openai-compatible",
        "apiKey": "sk-operator",
    }
    keys |= {"baseUrlOverride": fake.url, "models": models}
    variables = {"DATA_DIR": str(tmp_path), "PORT": "0", "APP_ENV": "test"}
    settings = read_settings(variables | {"SYSTEM_PROVIDER_KEYS": json.dumps([keys, "nonsense"])})
    async with serving(settings) as server:
        yield await new_owner(server.url)


async def test_every_organization_has_the_operators_models(tenant: Api, fake: FakeModel) -> None:
    listed = await tenant.get("/api/models")
    credentials = await tenant.get("/api/model-provider-credentials")
    run = await tenant.finished(await tenant.new_agent("served"))
    masked = await tenant.launch(await tenant.new_agent("masked"), {"modelId": "ours:masked-model"})

    assert [m["id"] for m in listed.json["data"]] == [
        *("ours:system-model", "ours:masked-model", "demo")
    ]
    assert [m["is_default"] for m in listed.json["data"]] == [True, False, False]
    assert {m["source"] for m in listed.json["data"]} == {"built-in"}
    assert credentials.json["data"][0]["source"] == "built-in"
    assert b"sk-operator" not in listed.body + credentials.body
    assert (run["status"], run["model_source"], run["modelCredentialId"]) == (
        *("success", "system", None),
    )
    assert (await tenant.wait(masked.json["id"]))["status"] == "success"
    assert any("sk-operator" in str(headers) for headers, _ in fake.requests)


async def test_what_is_the_operators_cannot_be_changed(tenant: Api) -> None:
    path = "/api/model-provider-credentials/ours"

    assert (await tenant.put("/api/models/ours:system-model", {"label": "x"})).status == 403
    assert (await tenant.delete("/api/models/ours:system-model")).code == "operation_not_allowed"
    assert (await tenant.put(path, {"label": "x"})).code == "operation_not_allowed"
    assert (await tenant.delete(path)).status == 403
    assert (await tenant.post(f"{path}/refresh-models")).status == 403
    assert (await tenant.post(f"{path}/test")).json["ok"] is True
    stolen = await tenant.post("/api/models", {"modelId": "m", "credentialId": "ours"})
    assert stolen.status == 404
    body = {
        "apiShape": "openai-completions",
        "existingKeyId": "ours",
        "baseUrl": "http://x.example",
    }
    assert (await tenant.post("/api/model-provider-credentials/test", body)).status == 403
