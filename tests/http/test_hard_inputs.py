"""Every route, with what breaks servers: whatever is sent, the answer is never that we broke.

The routes are taken from the application itself, as are the fields of their bodies.
"""

import json
import re
from collections import defaultdict
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from yarl import URL

from appstrate.boot import Server
from appstrate.http.call import Route
from appstrate.http.openapi import plain_path
from appstrate.http.routes import every_route
from support.api import Api, new_owner
from support.fake_model import FakeModel
from support.foreign import IN_PATH, Things, body_of, new_things

VARIABLE = re.compile(r"\{(\w+)\}")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
# As they stand in an address: bytes that are no text, ways up and out, and what SQL may trip over.
SEGMENTS = (
    *("%FF", "%ED%A0%80", "%00", "%2e%2e", "..%2f..%2fetc%2fpasswd", "%5c..%5c", "%252e%252e"),
    *("'%22;--", "%F0%9F%92%A9", "%E2%80%AE", "%0d%0aX:1", "a" * 4000, "-1", "9" * 40, "~%20*"),
)
# As they stand in a body, in the place of each of its fields.
VALUES = (
    *(rb'"a\u0000b"', rb'"\ud800"', b'"' + b"a" * 100_000 + b'"', b"1e400", b"9" * 400),
    *(b"-1", b"0", b"1.5", b"true", b"null", b"{}", b"[]", b'[{"a":[null]}]', b'"\xff"'),
    *(
        b"[" * 100_000,
        b"[" * 90 + b"]" * 90,
        b'""',
        b'"\\u202e"',
        b'{"":{"":""}}',
        b'{"a":1,"a":2}',
    ),
)
STREAMS = "/api/realtime/"
WITH_BODY = [
    pytest.param(route, id=f"{route.method} {route.path}")
    for route in every_route()
    if route.body is not None
]


@pytest.fixture(scope="module")
async def things(server: Server, fake: FakeModel) -> Things:
    return await new_things(await new_owner(server.url), fake)


def methods_by_path() -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for route in every_route():
        found[route.path].append(route.method)
        if route.method == "GET" and not route.is_stream:
            found[route.path].append("HEAD")
    return found


async def test_every_path_names_the_methods_it_takes(things: Things) -> None:
    """What several patterns share answers for all of them, hence the subset."""
    for path, taken in methods_by_path().items():
        url = URL(things.owner.url + filled(path, things), encoded=True)
        wrong = next(method for method in METHODS if method not in taken and method != "HEAD")
        answer = await things.owner.request("PROPFIND", url)
        assert (answer.status, answer.code) == (405, "method_not_allowed"), path
        assert set(taken) <= set(answer.headers["Allow"].split(",")), path
        asked = await things.owner.request("OPTIONS", url)
        assert asked.headers["Allow"] == answer.headers["Allow"]
        assert asked.status == 405
        if wrong not in answer.headers["Allow"].split(","):
            assert (await things.owner.request(wrong, url)).status == 405


async def test_no_part_of_a_path_breaks_a_route(things: Things) -> None:
    for route in every_route():
        for name in VARIABLE.findall(plain_path(route.path)):
            for segment in SEGMENTS:
                path = filled(route.path, things, {name: segment})
                await unbroken(things.owner, route, path)


async def test_no_parameter_breaks_a_route(things: Things) -> None:
    for route in every_route():
        if route.method == "GET" and not route.path.startswith(STREAMS):
            for query in route.query:
                for value in SEGMENTS:
                    path = f"{filled(route.path, things)}?{query.name}={value}"
                    await unbroken(things.owner, route, path)


@pytest.mark.parametrize("route", WITH_BODY)
async def test_no_value_breaks_a_route(route: Route, things: Things) -> None:
    document: dict[str, Any] = body_of(route) or {}
    fields = getattr(msgspec.inspect.type_info(route.body), "fields", ())
    url = URL(things.owner.url + filled(route.path, things), encoded=True)
    for name in [each.encode_name for each in fields]:
        others = {other: value for other, value in document.items() if other != name}
        for value in VALUES:
            body = with_field(others, name, value)
            answer = await things.owner.request(route.method, url, data=body)
            assert answer.status < 500, (name, value[:40], answer.body)
            if value.startswith((rb'"a\u0000', rb'"\ud800')):
                assert answer.status in (400, 403, 409), (name, value[:40], answer.body)


def with_field(others: dict[str, Any], name: str, value: bytes) -> bytes:
    """An object as bytes, with a field whose value need not be JSON."""
    parts = [
        json.dumps(key).encode() + b":" + json.dumps(it).encode() for key, it in others.items()
    ]
    return b"{" + b",".join([*parts, json.dumps(name).encode() + b":" + value]) + b"}"


def filled(path: str, things: Things, instead: dict[str, str] | None = None) -> str:
    """A path with ids of things in it, or something else in their place."""

    def value(found: re.Match[str]) -> str:
        name = found[1]
        if instead is not None and name in instead:
            return instead[name]
        return quote(IN_PATH[name](things, path), safe="@%")

    return VARIABLE.sub(value, plain_path(path))


async def unbroken(api: Api, route: Route, path: str) -> None:
    if route.path.startswith(STREAMS):
        path += f"?orgId={api.org['id']}&applicationId={api.application['id']}"
    body = None if route.body is None else body_of(route)
    url = URL(api.url + path, encoded=True)
    # What is there is not deleted: a route may take a part of a path as nothing.
    answer = await api.request(route.method, url, json=body)
    assert answer.status < 500, (route.method, path[:200], answer.body)
