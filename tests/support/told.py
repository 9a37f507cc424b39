"""Which refusals the API document tells of, by method and path."""

import re
from functools import cache

from appstrate.http.refusals import refusals
from appstrate.http.routes import every_route

PARTS = re.compile(r"\{\w+(?::(?P<pattern>[^{}]*(?:\{[^{}]*\}[^{}]*)*))?\}")
# What every path answers, whether a route is there or not.
OF_ALL = {(400, "invalid_request"), (404, "not_found"), (405, "method_not_allowed")}


def is_told(method: str, path: str, status: int, code: str) -> bool:
    """Whether a refusal is in the document, or of a path that is not."""
    if (status, code) in OF_ALL:
        return True
    method = "GET" if method == "HEAD" else method
    found = [told for expression, told in _routes(method) if expression.fullmatch(path)]
    return not found or any(code in told.get(status, ()) for told in found)


@cache
def _routes(method: str) -> list[tuple[re.Pattern[str], dict[int, tuple[str, ...]]]]:
    return [
        (_expression(route.path), refusals(route))
        for route in every_route()
        if route.method == method
    ]


def _expression(path: str) -> re.Pattern[str]:
    parts, position = list[str](), 0
    for found in PARTS.finditer(path):
        parts += [re.escape(path[position : found.start()]), f"(?:{found['pattern'] or '[^/]+'})"]
        position = found.end()
    return re.compile("".join([*parts, re.escape(path[position:])]))
