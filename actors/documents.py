"""Reading JSON documents whose shape nobody has checked."""

from typing import Any, cast

import msgspec


def as_object(value: Any) -> dict[str, Any]:
    """`value` when it is a JSON object, else an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """`value` when it is a JSON array, else an empty one."""
    return cast("list[Any]", value) if isinstance(value, list) else []  # type: ignore[redundant-cast]


def decode_scrubbed(body: bytes) -> Any:
    """JSON without NUL characters, which PostgreSQL cannot store: each becomes U+FFFD.

    Raises `msgspec.DecodeError`.
    """
    value = msgspec.json.decode(body)
    return _scrubbed(value) if b"\\u0000" in body else value


def _scrubbed(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, list):
        return [_scrubbed(item) for item in as_list(value)]
    if isinstance(value, dict):
        return {_scrubbed(key): _scrubbed(item) for key, item in as_object(value).items()}
    return value
