"""Providers and keys: the registry, changing, trying out, deleting."""

import pytest

from actors.models import PROVIDERS
from support.api import Api, Json
from support.fake_model import Fail, FakeModel, Raw, Say

CREDENTIALS = "/api/model-provider-credentials"
REGISTRY = f"{CREDENTIALS}/registry"


async def new_credential(api: Api, fake: FakeModel, key: str = "sk-real", **fields: str) -> str:
    body = {"providerId": "openai-compatible", "apiKey": key, "baseUrlOverride": fake.url}
    made = await api.post(CREDENTIALS, body | fields)
    assert made.status == 201, made.body
    return str(made.json["id"])


async def test_the_registry_knows_providers_and_their_models(owner: Api) -> None:
    found = {p["providerId"]: p for p in (await owner.get(REGISTRY)).json["data"]}

    assert {"openai", "anthropic", "google-ai", "mistral", "groq", "openrouter"} <= found.keys()
    assert {"deepseek", "xai", "together-ai", "fireworks-ai", "cerebras"} <= found.keys()
    assert {"moonshot", "zai", "opencode-go", "openai-compatible"} <= found.keys()
    assert "demo" not in found
    assert found["openai-compatible"]["defaultBaseUrl"] == "http://localhost:11434"
    assert found["google-ai"]["apiShape"] == "google-generative-ai"
    assert found["anthropic"]["authMode"] == "api_key"
    model = found["anthropic"]["models"][0]
    assert model["featured"] is True
    assert model["contextWindow"] > model["maxTokens"] > 0
    assert set(model["cost"]) == {"input", "output", "cacheRead", "cacheWrite"}
    assert {"text", "image", "reasoning"} == set(model["capabilities"])


async def test_the_registry_can_be_asked_for_less(owner: Api) -> None:
    found = (await owner.get(f"{REGISTRY}?fields=providerId,displayName")).json["data"]

    assert {"providerId": "xai", "displayName": "xAI"} in found
    assert all(set(each) == {"providerId", "displayName"} for each in found)


def test_every_model_of_the_catalogue_could_be_added() -> None:
    for provider in PROVIDERS.values():
        ids = [model.id for model in provider.models]
        assert len(ids) == len(set(ids)), provider.provider_id
        for model in provider.models:
            assert model.cost.input is not None, model.id
            assert model.cost.output is not None, model.id
            assert (model.max_tokens or 1) < (model.context_window or 10), model.id


async def test_a_credential_is_renamed_and_its_key_replaced(owner: Api, fake: FakeModel) -> None:
    credential = await new_credential(owner, fake, "sk-refused")
    path = f"{CREDENTIALS}/{credential}"
    refused = (await owner.post(f"{path}/test")).json
    changed = await owner.put(path, {"label": " Renamed ", "apiKey": "sk-new"})
    accepted = (await owner.post(f"{path}/test")).json

    assert (refused["ok"], refused["error"], refused["status"]) == (False, "auth_failed", 401)
    assert "sk-refused" not in refused["message"]
    assert changed.json["label"] == "Renamed"
    assert b"sk-new" not in changed.body
    assert (accepted["ok"], accepted["status"]) == (True, 200)
    assert accepted["latency"] >= 0
    assert (await owner.put(path, {"label": " "})).fields == {"label": "invalid_value"}
    assert (await owner.put(path, {"apiKey": "a\nb"})).fields == {"apiKey": "invalid_value"}


async def test_a_credential_in_use_stays(owner: Api, fake: FakeModel) -> None:
    model = await owner.new_model(fake, "in-use")
    path = f"{CREDENTIALS}/{model['credentialId']}"
    refused = await owner.delete(path)

    assert (refused.status, refused.code) == (409, "credential_in_use")
    assert (await owner.delete(f"/api/models/{model['id']}")).status == 204
    assert (await owner.delete(path)).status == 204
    assert (await owner.delete(path)).status == 404


async def test_what_a_key_opens_is_asked_and_kept(owner: Api, fake: FakeModel) -> None:
    fake.script("seen-model", Say("Hello."))
    credential = await new_credential(owner, fake)
    refreshed = await owner.post(f"{CREDENTIALS}/{credential}/refresh-models")
    listed = (await owner.get(CREDENTIALS)).json["data"]
    failing = await new_credential(owner, fake, "sk-refused")

    assert "seen-model" in refreshed.json["available_model_ids"]
    assert "seen-model" in listed[0]["available_model_ids"]
    failed = await owner.post(f"{CREDENTIALS}/{failing}/refresh-models")
    assert (failed.status, failed.code) == (502, "bad_gateway")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"apiKey": "sk-refused"}, "auth_failed"),
        ({"baseUrl": "http://127.0.0.1:9"}, "unreachable"),
        ({"baseUrl": "URL/nowhere"}, "not_found"),
        ({}, None),
        ({"apiShape": "anthropic-messages"}, None),
    ],
)
async def test_a_key_is_tried_before_it_is_kept(
    owner: Api, fake: FakeModel, body: Json, error: str | None
) -> None:
    tried = {"apiShape": "openai-completions", "baseUrl": "URL", "apiKey": "sk-x"} | body
    tried["baseUrl"] = tried["baseUrl"].replace("URL", fake.url)
    answer = await owner.post(f"{CREDENTIALS}/test", tried)

    assert answer.status == 200
    assert (answer.json["ok"], answer.json.get("error")) == (error is None, error)


async def test_a_kept_key_is_sent_to_its_own_provider_only(owner: Api, fake: FakeModel) -> None:
    credential = await new_credential(owner, fake)
    tried = {"apiShape": "openai-completions", "existingKeyId": credential}

    assert (await owner.post(f"{CREDENTIALS}/test", tried | {"baseUrl": fake.url})).json["ok"]
    elsewhere = await owner.post(f"{CREDENTIALS}/test", tried | {"baseUrl": "https://evil.example"})
    assert elsewhere.fields == {"baseUrl": "invalid_value"}
    inside = await owner.post(f"{CREDENTIALS}/test", tried | {"baseUrl": "http://10.0.0.1"})
    assert (inside.status, inside.code) == (400, "blocked_url")


@pytest.mark.parametrize(
    ("step", "told"),
    [
        (Say("ok"), (True, None, 200)),
        (Fail(404, "no such model"), (False, "not_found", 404)),
        (Fail(429), (False, "rate_limited", 429)),
        (Fail(500), (False, "provider_error", 500)),
        (Raw(b"<html>"), (False, "invalid_response", 200)),
        (Raw(b'{"hello": 1}'), (False, "invalid_response", 200)),
    ],
)
@pytest.mark.parametrize("provider", ["openai-compatible", "anthropic"])
async def test_a_model_is_tried(
    owner: Api,
    fake: FakeModel,
    provider: str,
    step: Say | Fail | Raw,
    told: tuple[bool, str | None, int],
) -> None:
    model = await owner.new_model(fake, fake.script("tried", step), provider)
    answers = [
        await owner.post(f"/api/models/{model['id']}/test"),
        await owner.post(
            "/api/models/test", {"credentialId": model["credentialId"], "modelId": "tried"}
        ),
    ]

    for answer in answers:
        assert answer.status == 200
        seen = answer.json
        assert (seen["ok"], seen.get("error"), seen["status"]) == told
