"""What can go wrong between an agent and its model, told apart. Pure."""

import re
from datetime import UTC, datetime
from typing import Any, Literal

Kind = Literal[
    "key", "model", "quota", "rate", "overloaded", "overflow", "refusal", "request", "server",
    "connection", "garbage",
]  # fmt: skip

PASSING: frozenset[Kind] = frozenset({"rate", "overloaded", "server", "connection"})
ADVICE: dict[Kind, str] = {
    "key": "Check the key of the model's credential, and what the key may do.",
    "model": "Check the model's id and its credential's base URL.",
    "quota": "The provider's account has no credit or quota left: top it up, or choose another "
    "model.",
    "rate": "The provider limits how much may be asked of it: wait, raise that limit with the "
    "provider, or choose another model.",
    "overloaded": "The provider is overloaded: run again later, or choose another model.",
    "overflow": "The conversation is longer than the model can read: give less input, or choose a "
    "model with a larger context window.",
    "refusal": "The provider or the model declined to answer: change the prompt or the input.",
    "request": "The provider does not accept the request: check the model's settings.",
    "server": "The provider failed: run again later, or choose another model.",
    "connection": "Check that the provider is up and the credential's base URL is right.",
    "garbage": "This is no model API, or not of this kind: check the credential's base URL.",
}
NO_CREDIT = (
    *("insufficient_quota", "insufficient balance", "credit balance", "billing", "payment"),
    *("exceeded your current quota", "out of credits", "spending limit", "more credits"),
)
SOON = ("retry in", "try again in", "per minute", "retrydelay")
WRONG_KEY = ("api key not valid", "invalid api key", "api_key_invalid")
NO_MODEL = ("not a valid model", "model_not_found", "unknown model", "model does not exist")
TOO_LONG = (
    *("context_length_exceeded", "context length", "context window", "prompt is too long"),
    *("input is too long", "input token count", "too many tokens", "reduce the length"),
    *("maximum prompt length", "exceeds the available context", "token limit exceeded"),
    *("tokens exceed", "request_too_large", "prompt too long", "exceeded model token limit"),
)
STATUS_OF_TYPE = {
    "overloaded_error": 529,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 402,
    "billing_error": 402,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "model_not_found": 404,
    "request_too_large": 413,
    "invalid_request_error": 400,
    "invalid_prompt": 400,
    "context_length_exceeded": 400,
}


class ModelError(Exception):
    """The model API failed. `retry_after` is in seconds; status 0 means no answer at all.

    `absent` tells that there was not even a connection: the request has cost nothing.
    """

    def __init__(
        self,
        message: str,
        status: int = 0,
        retry_after: float | None = None,
        *,
        kind: Kind | None = None,
        absent: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        self.kind = kind or kind_of(status, message)
        self.absent = absent

    @property
    def passing(self) -> bool:
        """Whether the same request may succeed later."""
        return self.kind in PASSING

    def told_of(self, who: str) -> "ModelError":
        """The same, for people: which model, what happened, what to do."""
        told = str(self).rstrip()
        told += "" if told.endswith((".", "!", "?")) else "."
        return ModelError(
            f"{who}: {told} {ADVICE[self.kind]}",
            self.status,
            self.retry_after,
            kind=self.kind,
            absent=self.absent,
        )


def kind_of(status: int, message: str) -> Kind:
    """What an answer with this status, saying this, means."""
    said = message.lower()
    if status == 402 or (status in (400, 403, 429) and any(word in said for word in NO_CREDIT)):
        # Some say so too of a limit that is gone in a minute.
        return "rate" if status == 429 and any(word in said for word in SOON) else "quota"
    if status == 400 and any(word in said for word in WRONG_KEY):
        return "key"
    if status == 400 and any(word in said for word in NO_MODEL):
        return "model"
    if status == 413 or (status in (400, 422, 500) and any(word in said for word in TOO_LONG)):
        return "overflow"
    match status:
        case 0:
            return "connection"
        case 401 | 403:
            return "key"
        case 404:
            return "model"
        case 408 | 409:
            return "server"
        case 429:
            return "rate"
        case 503 | 529:
            return "overloaded"
        case _:
            return "server" if status >= 500 else "request"


def error_inside(error: Any) -> ModelError:
    """An error that came as a document: in a stream, or with the status of a success."""
    if not isinstance(error, dict):
        return ModelError(str(error), status=500)
    text = str(error.get("message") or error)
    code = error.get("code")
    if isinstance(code, int) and 400 <= code < 600:
        return ModelError(text, status=code)
    for name in (code, error.get("type"), error.get("status")):
        if isinstance(name, str) and name in STATUS_OF_TYPE:
            return ModelError(text, status=STATUS_OF_TYPE[name])
    return ModelError(text, status=500)


def seconds_named(message: str) -> float | None:
    """The wait that an error asks for in words."""
    found = re.search(r"(?:re)?try (?:again )?in ([0-9.]+) ?(ms|s)\b", message.lower())
    if found is None or found[1].count(".") > 1 or found[1] == ".":
        return None
    return float(found[1]) / (1000 if found[2] == "ms" else 1)


def seconds_until(retry_after: str, now: datetime | None = None) -> float | None:
    """What a `Retry-After` header asks for: seconds, or a date; None when it is neither."""
    if not retry_after:
        return None
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        until = datetime.strptime(retry_after, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
    except ValueError:
        return None
    return max(0.0, (until - (now or datetime.now(UTC))).total_seconds())
