import pytest

from appstrate.boot import Server
from support.api import Api, new_owner
from support.fake_model import FakeModel

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


async def test_the_registry_lists_who_there_can_be_credentials_for(owner: Api) -> None:
    listed = (await owner.get(f"{CREDENTIALS}/registry")).json["data"]

    assert {p["providerId"] for p in listed} == {"openai-compatible", "openai", "anthropic"}
    assert listed[0]["defaultBaseUrl"] == "http://localhost:11434"
