"""What the API document tells of answers beside their bodies: headers, and refusals."""

from typing import Any, get_origin

import msgspec
from aiohttp import web

from appstrate.http.call import Page, Route
from appstrate.http.idempotency import takes_keys

Schema = dict[str, Any]

REF = "#/components/schemas/{name}"
PROBLEM = "application/problem+json"

# Headers of answers: what they tell, and the schema of their values.
HEADERS = {
    "Request-Id": ("Names the request, in the log too.", {"type": "string", "pattern": "^req_"}),
    "Appstrate-Version": ("The version of the API that was spoken.", {"type": "string"}),
    "Link": ("This page of the list, or the next.", {"type": "string"}),
    "ETag": ("Changes when the answer does.", {"type": "string"}),
    "RateLimit": (
        "`limit=20, remaining=0, reset=58`; seconds until all is back.",
        {"type": "string", "pattern": r"^limit=\d+, remaining=\d+, reset=\d+$"},
    ),
    "RateLimit-Policy": (
        "`20;w=60`: how many requests, in how many seconds.",
        {"type": "string", "pattern": r"^\d+;w=\d+$"},
    ),
    "Retry-After": (
        "Seconds until the request may be made again.",
        {"type": "integer", "minimum": 1},
    ),
    "WWW-Authenticate": ("`Bearer`, and why not.", {"type": "string", "pattern": "^Bearer"}),
    "Idempotent-Replayed": ("`true`: this is the answer of the first time.", {"const": "true"}),
    "X-Ignored-Fields": ("Fields of the body that are not known here.", {"type": "string"}),
}
EVERYWHERE = ("Request-Id", "Appstrate-Version")
OF_STATUS = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}


class Shared:
    """The refusals of a document: those that several operations have in common are told once."""

    def __init__(self) -> None:
        self.responses: dict[str, Schema] = {}
        self._names: dict[tuple[int, tuple[str, ...]], str] = {}

    def refusal(self, status: int, codes: tuple[str, ...]) -> Schema:
        """A reference to the refusals with a status and one of some codes."""
        name = self._names.get((status, codes))
        if name is None:
            stem = _reason(status).replace(" ", "")
            known = sum(stem == each.rstrip("0123456789") for each in self.responses)
            name = self._names[status, codes] = stem + (str(known + 1) if known else "")
            self.responses[name] = _refusal(status, codes)
        return {"$ref": f"#/components/responses/{name}"}


def headers_of(route: Route, kinds: list[Any]) -> Schema:
    """The headers of an answer that is no refusal."""
    always, perhaps = list(EVERYWHERE), list[str]()
    if route.limit is not None:
        always += ["RateLimit", "RateLimit-Policy"]
    if 304 in route.also:
        always.append("ETag")
    if any(get_origin(kind) is Page for kind in kinds):
        always.append("Link")
    if takes_keys(route):
        perhaps.append("Idempotent-Replayed")
    body = msgspec.inspect.type_info(route.body)
    if isinstance(body, msgspec.inspect.StructType) and not body.forbid_unknown_fields:
        perhaps.append("X-Ignored-Fields")
    return _headers(always, perhaps)


def header_components() -> Schema:
    """Each header, as one that is always there and as one that may be."""
    return {
        name + suffix: {"description": told, "required": not suffix, "schema": schema}
        for name, (told, schema) in HEADERS.items()
        for suffix in ("", "-if-any")
    }


def _refusal(status: int, codes: tuple[str, ...]) -> Schema:
    told = ", ".join(f"`{code}`" for code in codes)
    perhaps = ["RateLimit", "RateLimit-Policy"] if status == 429 else []
    return {
        "description": f"{_reason(status)}: {told}.",
        "headers": _headers([*EVERYWHERE, *OF_STATUS.get(status, ())], perhaps),
        "content": {PROBLEM: {"schema": {"$ref": REF.format(name="Problem")}}},
    }


def _headers(always: list[str], perhaps: list[str]) -> Schema:
    names = [*always, *(f"{name}-if-any" for name in perhaps)]
    return {
        name.removesuffix("-if-any"): {"$ref": f"#/components/headers/{name}"} for name in names
    }


def _reason(status: int) -> str:
    return web.Response(status=status).reason
