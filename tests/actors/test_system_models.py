"""Reading the operator's models: what is usable is used, what is not is named."""

from typing import Any

from actors.models import built_in, read_system_models

KEY: dict[str, Any] = {"id": "main", "providerId": "openai", "apiKey": "sk-secret"}


def test_models_of_the_operators_keys_are_built_in() -> None:
    models = [
        {"modelId": "gpt-4o"},
        {
            "modelId": "gpt-6-luna",
            "id": "small",
            "label": "Small",
            "isDefault": True,
            "aliased": True,
        },
    ]
    system = read_system_models([KEY | {"models": models}])
    found = built_in(system, lambda key: f"sealed({key})")

    assert system.skipped == ()
    assert [m.id for m in found.models] == ["main:gpt-4o", "small", "demo"]
    assert found.default_id == "small"
    assert [m.label for m in found.models[:2]] == ["GPT-4o", "Small"]
    assert found.credentials[0].credentials_encrypted == "sealed(sk-secret)"
    assert {m.source for m in found.models} == {"built-in"}


def test_what_cannot_be_used_is_skipped_and_named_without_its_key() -> None:
    good = {"modelId": "gpt-4o"}
    system = read_system_models(
        [
            "text",
            KEY | {"id": "nobody", "providerId": "nobody", "models": [good]},
            KEY | {"id": "keyless", "apiKey": ""},
            KEY
            | {"models": [good, good, {"modelId": ""}, {"modelId": "m", "aliased": True}, {}, 3]},
            KEY,
        ]
    )
    found = built_in(system, str)

    assert [m.id for m in found.models] == ["main:gpt-4o", "demo"]
    assert found.default_id is None
    assert [why.partition(":")[0] for why in system.skipped] == [
        *("[0]", "[1]", "[2]", "[3].models[1]", "[3].models[2]", "[3].models[3]"),
        *("[3].models[4]", "[3].models[5]", "[4]"),
    ]
    assert "sk-secret" not in str(system.skipped)
