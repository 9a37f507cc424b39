"""Bodies: JSON in, structs out, and the other way round."""

import asyncio
from collections.abc import Iterator
from itertools import islice
from typing import Any, TypeVar

import msgspec
from aiohttp import ClientPayloadError, web
from aiohttp.http_exceptions import HttpProcessingError

from actors.complaints import complain
from actors.documents import as_list, as_object, decode_json
from actors.runtime import Rejected

T = TypeVar("T")

IDLE_SECONDS = 30.0
MOST_IGNORED = 100
DAMAGED = (HttpProcessingError, ClientPayloadError, web.RequestPayloadError, ConnectionError)


def decode_body(body: bytes, kind: type[T]) -> tuple[T, list[str]]:
    """A body as a `kind`, and the names of fields it has no use for.

    A struct that forbids unknown fields refuses them; any other ignores and names them, a hundred
    at most. An empty body is an empty object. Malformed JSON is refused with `invalid_request`,
    JSON that is not a `kind` with `validation_failed`, naming the field.
    """
    try:
        document = decode_json(body or b"{}")
        value = msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise complain(str(error), kind) from None
    except msgspec.DecodeError as error:
        raise Rejected(f"the body is no usable JSON: {error}") from None
    return value, sorted(islice(_ignored(document, value), MOST_IGNORED))


def check_text(request: web.Request) -> None:
    """Refuse a URL or header with characters that no handler could store or write again."""
    if "%00" in request.rel_url.raw_path_qs:
        raise Rejected("the URL must not contain NUL characters")
    for name, value in request.headers.items():
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise Rejected(f"the header {name} is not UTF-8") from None


def check_length(request: web.Request, limit: int) -> None:
    """Refuse a body that is said to be longer than `limit` bytes."""
    if request.content_length is not None and request.content_length > limit:
        raise _too_large(limit)


async def read_body(request: web.Request, limit: int) -> bytes:
    """The raw body, at most `limit` bytes of it, whose parts come within 30 s of each other."""
    check_length(request, limit)
    body = bytearray()
    while chunk := await _next_part(request):
        body += chunk
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


async def _next_part(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(IDLE_SECONDS):
            return await request.content.readany()
    except TimeoutError:
        told = f"no more of the body came for {IDLE_SECONDS:g} s"
        raise Rejected(told, code="request_timeout") from None
    except DAMAGED as error:
        raise damaged(error) from None


def damaged(error: Exception) -> Rejected:
    """A refusal of a body that is not what its headers say."""
    kind = type(error).__name__
    return Rejected(
        f"the body cannot be read: see its Content-Encoding and Transfer-Encoding ({kind})"
    )


def json_response(
    value: Any, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    """A value as JSON, spelled as its structs say."""
    return web.Response(
        body=msgspec.json.encode(value),
        status=status,
        headers=headers,
        content_type="application/json",
    )


def _too_large(limit: int) -> Rejected:
    return Rejected(f"the body is larger than {limit} bytes", code="payload_too_large")


def _ignored(document: Any, value: Any, place: str = "") -> Iterator[str]:
    """The fields of `document` that are not in `value`, however deep, as paths."""
    if isinstance(value, msgspec.Struct):
        config, known = value.__struct_config__, value.__struct_fields__
        names = dict(zip(value.__struct_encode_fields__, known, strict=True))
        for name, part in as_object(document).items():
            if name in names:
                yield from _ignored(part, getattr(value, names[name]), f"{place}{name}.")
            elif name != config.tag_field:
                yield f"{place}{name}"
    elif isinstance(value, list):
        for index, (part, kept) in enumerate(zip(as_list(document), as_list(value), strict=True)):
            if isinstance(kept, msgspec.Struct):
                yield from _ignored(part, kept, f"{place.removesuffix('.')}[{index}].")
