"""What credentials and models must look like. Pure."""

import re
from typing import Any

import msgspec

from actors.models.catalogue import known
from actors.models.providers import DEMO, PROVIDERS, Provider
from actors.models.records import Credential, CredentialSpec, ModelChanges, ModelSpec, StoredModel
from actors.runtime import FieldProblem, Rejected

UNSENDABLE = re.compile(r"[^\x21-\x7e]")
MOST_SEEDED = 50


def check_credential(spec: CredentialSpec) -> Provider:
    """The provider of a credential that can be; refuses others, naming the field."""
    provider = PROVIDERS.get(spec.provider_id)
    if provider is None or provider.provider_id == DEMO:
        names = ", ".join(name for name in PROVIDERS if name != DEMO)
        raise invalid("providerId", f"must be one of {names}")
    check_key(provider, spec.api_key.strip())
    if spec.base_url_override is not None and not provider.base_url_overridable:
        raise invalid("baseUrlOverride", f"cannot be set for {provider.display_name}")
    return provider


def check_key(provider: Provider, key: str) -> None:
    """Refuse a key that is missing, or could not be sent in a header."""
    if provider.needs_key and not key:
        raise invalid("apiKey", f"is required for {provider.display_name}", "required")
    check_sendable(key)


def check_sendable(key: str) -> None:
    """Refuse a key that could not be sent in a header."""
    if UNSENDABLE.search(key) or len(key) > 4096:
        raise invalid("apiKey", "has characters that no key has: was it copied whole?")


def check_model(spec: ModelSpec) -> None:
    """Refuse a model that cannot be, naming the field."""
    if not 1 <= len(spec.model_id.strip()) <= 200:
        raise invalid("modelId", "must have 1 to 200 characters")
    if spec.aliased and not (spec.label or "").strip():
        raise invalid("label", "is required for an aliased model", "required")
    window, limit = spec.context_window, spec.max_tokens
    for field, value in (("contextWindow", window), ("maxTokens", limit)):
        if value is not None and not 0 < value <= 100_000_000:
            raise invalid(field, "must be a positive number of tokens", "out_of_range")
    if window is not None and limit is not None and limit >= window:
        raise invalid("maxTokens", "must be less than contextWindow", "out_of_range")
    rates = msgspec.structs.asdict(spec.cost) if spec.cost else {}
    if any(rate is not None and not 0 <= rate <= 1e6 for rate in rates.values()):
        raise invalid(
            "cost", "rates are US dollars per million tokens, 0 to 1000000", "out_of_range"
        )


def changed(stored: StoredModel, changes: ModelChanges) -> ModelSpec:
    """A model as it is to be written, once changed."""

    def now(name: str) -> Any:
        value = getattr(changes, name)
        if value is not msgspec.UNSET:
            return value
        return stored.credential.id if name == "credential_id" else getattr(stored, name)

    return ModelSpec(**{name: now(name) for name in ModelChanges.__struct_fields__})


def check_seed(credential: Credential, wanted: list[str]) -> list[ModelSpec]:
    """The models to add for ids of the catalogue, or of what the credential was seen to have."""
    if not 1 <= len(wanted) <= MOST_SEEDED:
        raise invalid("modelIds", f"must be 1 to {MOST_SEEDED} ids", "out_of_range")
    provider = credential.provider_id
    seen = credential.available_model_ids or []
    unknown = [m for m in wanted if known(provider, m) is None and m not in seen]
    if unknown:
        what = f"names models not in the catalogue of {provider}: {', '.join(unknown)[:200]}"
        raise invalid("modelIds", what)
    return [ModelSpec(model_id=m, credential_id=credential.id) for m in dict.fromkeys(wanted)]


def label_of(spec: ModelSpec, provider: str) -> str:
    """What a model is called: as its owner says, else as the catalogue does, else its id."""
    found = known(provider, spec.model_id.strip())
    named = (spec.label or "").strip() or (found.label if found else spec.model_id.strip())
    return named[:100]


def invalid(field: str, problem: str, code: str = "invalid_value") -> Rejected:
    """The refusal of one field."""
    return Rejected(
        f"{field} {problem}",
        code="validation_failed",
        problems=[FieldProblem(field=field, code=code, message=problem)],
    )
