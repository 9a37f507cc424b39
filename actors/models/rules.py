"""What credentials and models must look like. Pure."""

import re

import msgspec

from actors.models.providers import Provider
from actors.models.records import ModelSpec
from actors.runtime import FieldProblem, Rejected

UNSENDABLE = re.compile(r"[^\x21-\x7e]")


def check_key(provider: Provider, key: str) -> None:
    """Refuse a key that is missing, or could not be sent in a header."""
    if provider.needs_key and not key:
        raise invalid("apiKey", f"is required for {provider.display_name}", "required")
    if UNSENDABLE.search(key) or len(key) > 4096:
        raise invalid("apiKey", "has characters that no key has: was it copied whole?")


def check_model(spec: ModelSpec) -> None:
    """Refuse a model that cannot be, naming the field."""
    if not 1 <= len(spec.model_id.strip()) <= 200:
        raise invalid("modelId", "must have 1 to 200 characters")
    window, limit = spec.context_window, spec.max_tokens
    for field, value in (("contextWindow", window), ("maxTokens", limit)):
        if value is not None and not 0 < value <= 100_000_000:
            raise invalid(field, "must be a positive number of tokens", "out_of_range")
    if window is not None and limit is not None and limit >= window:
        raise invalid("maxTokens", "must be less than contextWindow", "out_of_range")
    rates = msgspec.structs.asdict(spec.cost) if spec.cost else {}
    if any(rate is not None and rate < 0 for rate in rates.values()):
        raise invalid("cost", "rates cannot be negative", "out_of_range")


def invalid(field: str, problem: str, code: str = "invalid_value") -> Rejected:
    """The refusal of one field."""
    return Rejected(
        f"{field} {problem}",
        code="validation_failed",
        problems=[FieldProblem(field=field, code=code, message=problem)],
    )
