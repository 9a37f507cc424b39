"""The API, described to programs and, on a page drawn from the same document, to people."""

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from aiohttp import web

from appstrate.http.call import Call, Media, Route, Routes, Scope
from appstrate.http.openapi import document

PAGES = Path(__file__).parent.parent / "pages"
PARTS = {
    "/api/docs": ("docs.html", "text/html"),
    "/api/docs/docs.css": ("docs.css", "text/css"),
    "/api/docs/docs.js": ("docs.js", "text/javascript"),
}
# The page runs nothing and asks nothing that does not come from this server.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def document_routes(described: Sequence[Route], version: str) -> Routes:
    """`/api/openapi.json`, about the routes in `described` and itself, and `/api/docs`."""
    routes, described = Routes(), tuple(described)

    @cache  # written when somebody first asks, so that no boot waits for it
    def written() -> bytes:
        return document([*described, routes[0]], version)

    @routes.add(
        "GET", "/api/openapi.json", Scope.PUBLIC, answer=Media("application/json"), also=(304,)
    )
    async def read_document(call: Call) -> web.Response:
        """This document. Its ETag changes when the server's API does."""
        return unless_known(call.request, written(), "application/json")

    for path, (name, content_type) in PARTS.items():
        _add_part(routes, path, (PAGES / name).read_bytes(), content_type)
    return routes


def unless_known(request: web.Request, body: bytes, content_type: str) -> web.Response:
    """A body under its ETag; 304 to a client that has it already."""
    tag = hashlib.sha256(body).hexdigest()[:32]
    headers = {"ETag": f'"{tag}"', "Cache-Control": "no-cache"}
    given = request.if_none_match or ()
    if any(each.value in (tag, "*") for each in given):
        return web.Response(status=304, headers=headers)
    charset = "utf-8" if content_type.startswith("text/") else None
    return web.Response(body=body, headers=headers, content_type=content_type, charset=charset)


def _add_part(routes: Routes, path: str, body: bytes, content_type: str) -> None:
    @routes.add("GET", path, Scope.PUBLIC, answer=Media(content_type), also=(304,))
    async def read_page(call: Call) -> web.Response:
        """A part of the page that shows the API to people."""
        response = unless_known(call.request, body, content_type)
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response
