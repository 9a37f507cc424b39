"""Reading JSON documents whose shape nobody has checked."""

import json
from collections.abc import Iterator
from typing import Any, cast

import msgspec

MOST_LEVELS = 100
MOST_PARTS = 500_000
NUL, REPLACEMENT = "\0", "\ufffd"


def as_object(value: Any) -> dict[str, Any]:
    """`value` when it is a JSON object, else an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """`value` when it is a JSON array, else an empty one."""
    return cast("list[Any]", value) if isinstance(value, list) else []  # type: ignore[redundant-cast]


def decode_json(body: bytes) -> Any:
    """JSON that can be stored and written again.

    Raises `msgspec.DecodeError` for what is no JSON, is nested more than 100 levels deep (readers
    recurse, and would fail later), has more than 500,000 arrays and objects (nothing else happens
    while they are made: ten MiB of brackets take seconds), or contains NUL characters, which
    PostgreSQL cannot store.
    """
    _check_parts(body)
    value = _bounded(body, _decode(body))
    if b"\\u0000" in body and _scrubbed(value) != value:
        raise msgspec.ValidationError("text must not contain NUL characters")
    return value


def decode_scrubbed(body: bytes) -> Any:
    """The same, with U+FFFD in the place of each NUL and of each half of a surrogate pair.

    For what a model wrote: it is told what went wrong, never refused for a character.
    """
    _check_parts(body)
    try:
        value = _decode(body)
    except msgspec.DecodeError:
        if b"\\ud" not in body.lower():
            raise
        value = _scrubbed(_decode_loosely(body))
    value = _bounded(body, value)
    return _scrubbed(value) if b"\\u0000" in body else value


def _decode(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(str(error)) from None
    except RecursionError:
        raise _too_deep() from None


def _decode_loosely(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise msgspec.DecodeError(str(error)) from None
    except RecursionError:
        raise _too_deep() from None


def _bounded(body: bytes, value: Any) -> Any:
    if _parts(body) <= MOST_LEVELS:
        return value
    level = [value]
    for _ in range(MOST_LEVELS + 1):
        level = [child for item in level for child in _children(item)]
        if not level:
            return value
    raise _too_deep()


def _check_parts(body: bytes) -> None:
    if _parts(body) > MOST_PARTS and _parts(_without_strings(body)) > MOST_PARTS:
        raise msgspec.ValidationError(f"it has more than {MOST_PARTS} arrays and objects")


def _parts(body: bytes) -> int:
    return body.count(b"[") + body.count(b"{")


def _without_strings(body: bytes) -> bytes:
    return b"".join(body.replace(rb"\\", b"").replace(rb"\"", b"").split(b'"')[::2])


def _too_deep() -> msgspec.ValidationError:
    return msgspec.ValidationError(f"it is nested more than {MOST_LEVELS} levels deep")


def _children(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from as_object(value).values()
    elif isinstance(value, list):
        yield from as_list(value)


def _scrubbed(value: Any) -> Any:
    if isinstance(value, str):
        pairs = value.encode("utf-16", "surrogatepass")
        return pairs.decode("utf-16", "replace").replace(NUL, REPLACEMENT)
    if isinstance(value, list):
        return [_scrubbed(item) for item in as_list(value)]
    if isinstance(value, dict):
        return {_scrubbed(key): _scrubbed(item) for key, item in as_object(value).items()}
    return value
