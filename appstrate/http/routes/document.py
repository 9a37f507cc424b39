"""The API, described to programs."""

import hashlib
from collections.abc import Sequence
from functools import cache

from aiohttp import web

from appstrate.http.call import Call, Media, Route, Routes, Scope
from appstrate.http.openapi import document

DOCUMENT = "/api/openapi.json"


def document_routes(described: Sequence[Route], version: str) -> Routes:
    """`/api/openapi.json`, about the routes in `described` and itself."""
    routes, described = Routes(), tuple(described)

    @cache  # written when somebody first asks, so that no boot waits for it
    def written() -> tuple[bytes, str]:
        body = document([*described, *routes], version)
        return body, hashlib.sha256(body).hexdigest()[:32]

    @routes.add("GET", DOCUMENT, Scope.PUBLIC, answer=Media("application/json"), also=(304,))
    async def read_document(call: Call) -> web.Response:
        """This document. Its ETag changes when the server's API does."""
        body, tag = written()
        return unless_known(call.request, body, tag, content_type="application/json")

    return routes


def unless_known(request: web.Request, body: bytes, tag: str, *, content_type: str) -> web.Response:
    """A body under its ETag; 304 to a client that has it already."""
    headers = {"ETag": f'"{tag}"', "Cache-Control": "no-cache"}
    given = request.if_none_match or ()
    if any(each.value in (tag, "*") for each in given):
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, headers=headers, content_type=content_type)
