import pytest

from appstrate.boot import Server
from support.api import Api, new_owner
from support.fake_model import Fail, FakeModel, Say

CREDENTIALS = "/api/model-provider-credentials"


async def test_a_key_goes_in_and_never_comes_out(owner: Api, fake: FakeModel) -> None:
    model = await owner.new_model(fake, "m1")
    texts = [(await owner.get(path)).body.decode() for path in (CREDENTIALS, "/api/models")]

    assert model["is_default"] is True
    assert model["providerId"] == "openai-compatible"
    assert model["baseUrl"] == fake.url
    assert not any("sk-real" in text for text in texts)


async def test_the_first_model_is_the_default_until_another_is_chosen(
    owner: Api, fake: FakeModel
) -> None:
    first, second = [await owner.new_model(fake, name) for name in ("first", "second")]
    assert (first["is_default"], second["is_default"]) == (True, False)
    chosen = await owner.put("/api/models/default", {"modelId": second["id"]})
    assert chosen.json["id"] == second["id"]
    listed = {m["id"]: m["is_default"] for m in (await owner.get("/api/models")).json["data"]}
    assert listed == {first["id"]: False, second["id"]: True, "demo": False}

    assert (await owner.put("/api/models/default", {"modelId": None})).status == 204
    assert (await owner.put("/api/models/default", {"modelId": "no"})).status == 404
    assert (await owner.put("/api/models/default", {})).fields == {"modelId": "required"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"providerId": "nobody", "apiKey": "k"}, "providerId"),
        ({"providerId": "demo", "apiKey": "k"}, "providerId"),
        ({"providerId": "openai"}, "apiKey"),
        ({"providerId": "openai", "apiKey": "   "}, "apiKey"),
        ({"providerId": "openai", "apiKey": "sk-with\nbreak"}, "apiKey"),
    ],
)
async def test_a_credential_that_cannot_work_names_its_field(
    owner: Api, body: dict[str, str], field: str
) -> None:
    answer = await owner.post(CREDENTIALS, body)

    assert answer.status == 400
    assert field in answer.fields


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1/v1",
        "http://169.254.169.254/latest",
        "http://[fd00::1]/v1",
        "http://0x0a000001/",
        "http://metadata.google.internal/",
        "ftp://example.com",
        "http://user:secret@example.com/v1",
        "nonsense",
    ],
)
async def test_private_places_are_no_model_servers(owner: Api, url: str) -> None:
    answer = await owner.post(
        CREDENTIALS, {"providerId": "openai-compatible", "baseUrlOverride": url}
    )

    assert (answer.status, answer.code) == (400, "blocked_url")


async def test_a_model_that_cannot_work_names_its_field(owner: Api, fake: FakeModel) -> None:
    credential = (await owner.new_model(fake, "m"))["credentialId"]
    small = {"modelId": "m", "credentialId": credential, "contextWindow": 10, "maxTokens": 10}

    assert (await owner.post("/api/models", small)).fields == {"maxTokens": "out_of_range"}
    negative = {"modelId": "m", "credentialId": credential, "cost": {"input": -1}}
    assert (await owner.post("/api/models", negative)).fields == {"cost": "out_of_range"}
    unknown = {"modelId": "m", "credentialId": "no"}
    assert (await owner.post("/api/models", unknown)).status == 404
    wrong = {"modelId": 3, "credentialId": credential}
    assert (await owner.post("/api/models", wrong)).fields == {"modelId": "invalid_type"}


async def test_another_organizations_credential_cannot_be_used(
    owner: Api, server: Server, fake: FakeModel
) -> None:
    credential = (await owner.new_model(fake, "m"))["credentialId"]
    stranger = await new_owner(server.url)
    stolen = await stranger.post("/api/models", {"modelId": "m", "credentialId": credential})

    assert stolen.status == 404
    assert [m["id"] for m in (await stranger.get("/api/models")).json["data"]] == ["demo"]


async def test_ignored_fields_are_named(owner: Api) -> None:
    answer = await owner.post(
        CREDENTIALS, {"providerId": "openai", "apiKey": "k", "zebra": 1, "apple": 2}
    )

    assert answer.status == 201
    assert answer.headers["X-Ignored-Fields"] == "apple, zebra"
    body = {"modelId": "m", "credentialId": answer.json["id"], "cost": {"input": 1, "inptu": 2}}
    assert (await owner.post("/api/models", body)).headers["X-Ignored-Fields"] == "cost.inptu"


async def test_a_model_is_changed_field_by_field(owner: Api, fake: FakeModel) -> None:
    model = await owner.new_model(fake, "changing", contextWindow=1000, cost={"input": 1})
    path = f"/api/models/{model['id']}"
    changed = (await owner.put(path, {"label": "New", "maxTokens": 10})).json
    cleared = (await owner.put(path, {"cost": None, "enabled": False})).json

    assert (changed["label"], changed["contextWindow"], changed["maxTokens"]) == ("New", 1000, 10)
    assert changed["cost"] == {"input": 1}
    assert (cleared["label"], cleared["cost"], cleared["enabled"]) == ("New", None, False)
    assert (await owner.put(path, {"maxTokens": 1000})).fields == {"maxTokens": "out_of_range"}
    assert (await owner.put(path, {"credentialId": "no"})).status == 404
    assert (await owner.put("/api/models/demo", {"label": "Mine"})).code == "operation_not_allowed"
    assert (await owner.delete("/api/models/demo")).code == "operation_not_allowed"


async def test_a_deleted_model_is_nobodys_choice(owner: Api, fake: FakeModel) -> None:
    model = await owner.new_model(fake, "going")
    agent = await owner.new_agent("orphaned")
    await owner.put(f"/api/agents/{agent}/model", {"modelId": model["id"]})
    assert (await owner.delete(f"/api/models/{model['id']}")).status == 204

    assert (await owner.get(f"/api/agents/{agent}/model")).json["modelId"] is None
    assert (await owner.launch(agent)).code == "model_not_configured"
    launched = await owner.launch(agent, {"modelId": model["id"]})
    assert (launched.status, launched.code) == (404, "not_found")


async def test_a_disabled_model_is_skipped_and_cannot_be_asked_for(
    owner: Api, fake: FakeModel
) -> None:
    model = await owner.new_model(fake, "asleep")
    agent = await owner.new_agent("awake")
    await owner.put(f"/api/models/{model['id']}", {"enabled": False})

    assert (await owner.launch(agent)).code == "model_not_configured"
    assert (await owner.launch(agent, {"modelId": model["id"]})).status == 404


async def test_models_are_seeded_once_from_the_catalogue(owner: Api) -> None:
    made = await owner.post(CREDENTIALS, {"providerId": "anthropic", "apiKey": "sk-ant-x"})
    body = {"credentialId": made.json["id"], "modelIds": ["claude-opus-5-5", "claude-haiku-4-5"]}
    unknown = await owner.post("/api/models/seed", body | {"modelIds": ["claude-99"]})
    seeded = await owner.post("/api/models/seed", body)
    again = await owner.post("/api/models/seed", body)
    listed = (await owner.get("/api/models")).json["data"]

    assert (unknown.status, unknown.fields) == (400, {"modelIds": "invalid_value"})
    assert seeded.status == 201
    assert (seeded.json["created"], seeded.json["promotedDefault"]) == (2, True)
    assert again.json == {"created": 0, "ids": [], "promotedDefault": False}
    assert [m["id"] for m in listed] == [*seeded.json["ids"], "demo"]
    assert [m["label"] for m in listed[:2]] == ["Claude Opus 5.5", "Claude Haiku 4.5"]
    assert listed[1]["contextWindow"] == 200_000
    assert listed[1]["cost"]["cacheWrite"] == 1.25
    assert listed[0]["is_default"] is True


async def test_models_a_server_was_seen_to_have_can_be_seeded(owner: Api, fake: FakeModel) -> None:
    name = fake.script("found-here", Say("Hello."))
    credential = (await owner.new_model(fake, "x"))["credentialId"]
    await owner.delete(f"/api/models/{(await owner.get('/api/models')).json['data'][0]['id']}")
    body = {"credentialId": credential, "modelIds": [name]}
    assert (await owner.post("/api/models/seed", body)).status == 400

    await owner.post(f"{CREDENTIALS}/{credential}/refresh-models")
    assert (await owner.post("/api/models/seed", body)).json["created"] == 1


async def test_an_alias_keeps_its_secret(owner: Api, fake: FakeModel) -> None:
    name = fake.script("really-this", Say("Hello."))
    model = await owner.new_model(fake, name, label="House model", aliased=True)
    run = await owner.finished(await owner.new_agent("masked"))
    fake.script(name, Fail(401, "really-this is not for you"))
    failed = await owner.finished(await owner.new_agent("unmasked"))

    hidden = ("providerId", "providerName", "baseUrl", "modelId", "credentialId")
    assert [model[field] for field in hidden] == [None] * 5
    assert (model["label"], model["aliased"]) == ("House model", True)
    assert (run["status"], run["model_label"]) == ("success", "House model")
    assert fake.requests_of(name), "the provider is asked for the real model"
    assert failed["status"] == "failed"
    assert "really-this" not in str(failed)
    assert "really-this" not in str(await owner.logs(failed["id"]))
    nameless = {"modelId": "m", "credentialId": "c", "aliased": True}
    assert (await owner.post("/api/models", nameless)).fields == {"label": "required"}
