"""The API document: OpenAPI 3.1, written from the routes and the structs they decode and answer."""

import inspect
import re
from collections.abc import Iterable, Iterator, Sequence
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
from aiohttp import web

from appstrate.http.answers import REF, Schema, Shared, header_components, headers_of
from appstrate.http.call import Media, Query, Route, Scope
from appstrate.http.descriptions import ABOUT, PATH, describe
from appstrate.http.idempotency import takes_keys
from appstrate.http.problems import Problem
from appstrate.http.refusals import refusals
from appstrate.http.versions import API_VERSION

TITLE = "Appstrate"
JSON = "application/json"
# Everything but pages for people.
DESCRIBED = ("/api/", "/health", "/invite/", "/internal/", "/preview/")

# What a part of a path looks like, by its name; any other is plain text.
PATH_PATTERNS = {
    "scope": "^@?[a-z0-9][a-z0-9-]*$",
    "name": "^[a-z0-9][a-z0-9-]*$",
}
VARIABLE = re.compile(r"\{(\w+)(?::[^{}]*(?:\{[^{}]*\}[^{}]*)*)?\}")
SECURITY: dict[Scope, list[dict[str, list[str]]]] = {
    Scope.PUBLIC: [],
    Scope.SESSION: [{"session": []}],
    Scope.MEMBER: [{"session": []}],
    Scope.PLATFORM: [{"session": []}],
    Scope.ORGANIZATION: [{"session": []}, {"apiKey": []}],
    Scope.APPLICATION: [{"session": []}, {"apiKey": []}],
}
HEADERS = {
    "X-Org-Id": "The organization; needed with a session, implied by an API key.",
    "X-Application-Id": "The application; needed with a session, implied by an API key.",
    "Appstrate-Version": "The version of the API to speak; the organization's without it.",
    "Idempotency-Key": "Of up to 255 characters: the request is carried out once, however often "
    "it is sent within 24 hours.",
}


class UndescribedError(Exception):
    """A route whose answer nobody can tell from its annotation; the message names it."""


def document(routes: Iterable[Route], version: str) -> bytes:
    """The document of these routes, byte for byte the same whenever they are the same."""
    chosen = [route for route in routes if route.path.startswith(DESCRIBED)]
    described = [(route, *_types(route)) for route in chosen]
    kinds = [kind for _, given, answered in described for kind in (*given, *answered)]
    found, components = msgspec.json.schema_components([*kinds, Problem], ref_template=REF)
    describe(components)
    schemas = iter(found)
    paths: dict[str, Schema] = {}
    shared = Shared()
    ids = _operation_ids(chosen)
    for (route, given, answered), operation_id in zip(described, ids, strict=True):
        operation = {"operationId": operation_id} | _operation(
            route, [next(schemas) for _ in given], [next(schemas) for _ in answered], shared
        )
        paths.setdefault(plain_path(route.path), {})[route.method.lower()] = operation
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": TITLE,
                "version": version,
                "description": ABOUT,
                "x-api-version": API_VERSION,
            },
            "tags": [{"name": tag} for tag in dict.fromkeys(map(_tag, chosen))],
            "paths": paths,
            "components": _components(dict(sorted(components.items())), shared),
        }
    )


def plain_path(path: str) -> str:
    """A path without the patterns of its variables."""
    return VARIABLE.sub(r"{\1}", path)


def answer_types(route: Route) -> list[Any]:
    """The types a route answers with, None for an empty body. Refuses what says nothing."""
    told = route.answer
    if told is None:
        told = get_type_hints(route.handler).get("return", Any)
    kinds = [kind for kind in _members(told) if not _is_response(kind)]
    vague = any(kind in (Any, dict, object) or get_origin(kind) is dict for kind in kinds)
    if vague or not kinds:
        raise UndescribedError(
            f"{route.method} {route.path}: annotate what {route.handler.__qualname__} returns, "
            "or tell `answer`"
        )
    return kinds


def _types(route: Route) -> tuple[list[Any], list[Any]]:
    """What msgspec has to describe for a route: of its body, and of its answers."""
    taken = route.takes.kind if route.takes is not None else route.body
    answered = answer_types(route)
    if isinstance(answered[0], Media):
        answered = [answered[0].kind] if answered[0].kind is not None else []
    return ([] if taken is None else [taken]), [kind for kind in answered if kind is not NoneType]


def _members(kind: Any) -> Iterator[Any]:
    if get_origin(kind) in (Union, UnionType):
        yield from get_args(kind)
    else:
        yield kind


def _is_response(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, web.StreamResponse)


def _operation_ids(routes: Sequence[Route]) -> list[str]:
    """The names of the handlers; those that share one are told apart by what their paths do not."""
    words = [_words(route) for route in routes]
    shared: dict[str, set[str]] = {}
    for route, own in zip(routes, words, strict=True):
        shared[_name(route)] = shared.get(_name(route), set(own)) & set(own)
    ids: list[str] = []
    for route, own in zip(routes, words, strict=True):
        name = "_".join([_name(route), *(word for word in own if word not in shared[_name(route)])])
        ids.append(name if name not in ids else f"{name}_{route.method.lower()}")
    return ids


def _name(route: Route) -> str:
    return route.handler.__name__


def _words(route: Route) -> list[str]:
    return re.findall(r"\w+", VARIABLE.sub("", route.path))


def _tag(route: Route) -> str:
    return route.handler.__module__.rpartition(".")[2]


def _operation(route: Route, taken: list[Schema], answered: list[Schema], shared: Shared) -> Schema:
    summary, _, rest = inspect.cleandoc(route.handler.__doc__ or "").partition("\n")
    told = [rest.strip()] if rest.strip() else []
    if route.permission is not None:
        told.append(f"Needs the permission `{route.permission}`.")
    if route.limit is not None:
        whose = "client address" if route.scope is Scope.PUBLIC else "user or key"
        told.append(f"At most {route.limit} of one {whose}.")
    operation: Schema = {"tags": [_tag(route)], "summary": summary}
    if told:
        operation["description"] = "\n\n".join(told)
    operation["parameters"] = list(_parameters(route))
    if (body := _body(route, taken)) is not None:
        operation["requestBody"] = body
    operation["responses"] = _responses(route, answered, shared)
    operation["security"] = SECURITY[route.scope]
    return operation


def _parameters(route: Route) -> Iterator[Schema]:
    for name in VARIABLE.findall(route.path):
        schema: Schema = {"type": "string", "minLength": 1}
        if name in PATH_PATTERNS:
            schema = {"type": "string", "pattern": PATH_PATTERNS[name]}
        told = {"name": name, "in": "path", "description": PATH[name]}
        yield told | {"required": True, "schema": schema}
    for query in route.query:
        yield _query(query)
    headers: list[str] = []
    if route.scope in (Scope.ORGANIZATION, Scope.APPLICATION):
        headers.append("X-Org-Id")
    if route.scope is Scope.APPLICATION:
        headers.append("X-Application-Id")
    if route.scope is not Scope.PUBLIC:
        headers.append("Appstrate-Version")
    if takes_keys(route):
        headers.append("Idempotency-Key")
    for header in headers:
        yield {"$ref": f"#/components/parameters/{header}"}


def _query(query: Query) -> Schema:
    found = {"name": query.name, "in": "query", "description": query.description}
    return found | {"required": query.required, "schema": query.schema}


def _body(route: Route, taken: list[Schema]) -> Schema | None:
    if route.takes is None:
        if not taken:
            return None
        # An empty body is an empty object, which is all that some bodies ask for.
        needed = not _fits_empty(route.body)
        return {"required": needed, "content": {JSON: {"schema": taken[0]}}}
    schema: Schema = taken[0] if taken else {}
    if route.takes.type == "multipart/form-data":
        part = {"type": "string", "contentMediaType": "application/octet-stream"}
        schema = {"type": "object", "properties": {"file": part}, "required": ["file"]}
    return {"required": True, "content": {route.takes.type: {"schema": schema}}}


def _fits_empty(kind: Any) -> bool:
    try:
        msgspec.convert({}, kind)
    except msgspec.ValidationError:
        return False
    return True


def _responses(route: Route, answered: list[Schema], shared: Shared) -> Schema:
    kinds = answer_types(route)
    statuses = {route.status, *route.also}
    media = kinds[0].type if isinstance(kinds[0], Media) else JSON
    nullable = NoneType in kinds and 204 not in statuses
    schemas = [*answered, {"type": "null"}] if nullable else answered
    if not isinstance(kinds[0], Media):
        schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    else:
        schema = answered[0] if answered else {"type": "string"}
    found: Schema = {}
    for status in sorted(statuses):
        found[str(status)] = {
            "description": web.Response(status=status).reason or "Success",
            "headers": headers_of(route, kinds),
        }
        if status not in (204, 304) and schema != {"anyOf": []}:
            found[str(status)]["content"] = {media: {"schema": schema}}
    for status, codes in refusals(route).items():
        if status not in statuses:
            found[str(status)] = shared.refusal(status, codes)
    return found


def _components(schemas: Schema, shared: Shared) -> Schema:
    return {
        "schemas": schemas,
        "headers": header_components(),
        "responses": shared.responses,
        "parameters": {
            name: {
                "name": name,
                "in": "header",
                "description": told,
                "schema": _header_schema(name),
            }
            for name, told in HEADERS.items()
        },
        "securitySchemes": {
            "session": {"type": "apiKey", "in": "cookie", "name": "appstrate.session"},
            "apiKey": {"type": "http", "scheme": "bearer", "bearerFormat": "ask_…"},
        },
    }


def _header_schema(name: str) -> Schema:
    match name:
        case "Idempotency-Key":
            return {"type": "string", "minLength": 1, "maxLength": 255}
        case "Appstrate-Version":
            return {"type": "string", "enum": [API_VERSION]}
        case _:
            return {"type": "string"}
