"""Pages of trusted origins may read the API's answers, with the cookies of their users."""

from aiohttp import hdrs, web

METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
EXPOSED = ", ".join(
    (
        *("Request-Id", "Appstrate-Version", "Link", "ETag", "Retry-After", "RateLimit"),
        *("RateLimit-Policy", "Idempotent-Replayed", "X-Ignored-Fields", "Content-Disposition"),
    )
)
MAX_AGE = "600"


class Cors:
    """What browsers are told about the origins they ask for."""

    def __init__(self, trusted: frozenset[str]) -> None:
        self._trusted = trusted

    def preflight(self, request: web.Request) -> web.Response | None:
        """The answer to a browser that asks whether it may send a request; None to any other.

        An origin that is not trusted is told nothing, and by that its browser keeps the answer.
        """
        if request.method != hdrs.METH_OPTIONS:
            return None
        if hdrs.ORIGIN not in request.headers:
            return None
        if hdrs.ACCESS_CONTROL_REQUEST_METHOD not in request.headers:
            return None
        response = web.Response(status=204)
        if request.headers[hdrs.ORIGIN] in self._trusted:
            wanted = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS)
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = METHODS
            response.headers[hdrs.ACCESS_CONTROL_MAX_AGE] = MAX_AGE
            if wanted:
                response.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = wanted
        return response

    def sign(self, request: web.Request, response: web.StreamResponse) -> None:
        """Let a page of a trusted origin read `response`."""
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None:
            return
        response.headers.add(hdrs.VARY, "Origin")
        if origin in self._trusted:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_CREDENTIALS] = "true"
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = EXPOSED
