"""HTTP below the routes: what cannot be read is refused, and nobody is waited for long."""

import asyncio
from typing import Any
from uuid import uuid4

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from actors.runtime import Rejected
from appstrate.http.codec import DAMAGED
from appstrate.http.problems import problem_response
from appstrate.http.versions import API_VERSION

log = structlog.get_logger("http")

HEAD_SECONDS = 30.0
"""How long a client may take for the head of its first request."""
KEEP_ALIVE_SECONDS = 75.0
"""How long a connection may be without a request, or with an unfinished head of one."""
LONGEST_LINE = 8190


class Connection(web.RequestHandler):
    """A connection. Requests that cannot be parsed are answered with a problem document."""

    __slots__ = ("_late",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the head of a request."""
        super().connection_made(transport)
        self._late = self._loop.call_later(HEAD_SECONDS, self._give_up)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Wait no longer."""
        self._late.cancel()
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Refuse a request that cannot be parsed; the connection ends with it."""
        if not isinstance(exc, HttpProcessingError) or request.writer.output_size > 0:
            return super().handle_error(request, status, exc, message)
        refusal, request_id = _refusal(exc), f"req_{uuid4()}"
        # Not what was sent: there may be a token in it.
        log.info(
            "unreadable request",
            why=type(exc).__name__,
            address=request.remote,
            request_id=request_id,
        )
        response = problem_response(refusal, request_id)
        response.headers["Request-Id"] = request_id
        response.headers["Appstrate-Version"] = API_VERSION
        response.force_close()
        return response

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Tell what broke here, which the unread rest of a damaged body is not."""
        if not isinstance(kw.get("exc_info"), DAMAGED):
            super().log_exception(*args, **kw)

    def _give_up(self) -> None:
        if self._request_count == 0:
            self.force_close()


class Runner(web.AppRunner):
    """Serves an application over such connections."""

    def __init__(self, application: web.Application, **options: Any) -> None:
        super().__init__(
            application,
            access_log=None,
            handle_signals=False,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_LINE,
            **options,
        )

    async def _make_server(self) -> web.Server:
        # An application makes its server itself, and asks nobody of which class.
        server = await super()._make_server()
        server.__class__ = _Server
        return server


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)


def _refusal(error: HttpProcessingError) -> Rejected:
    if isinstance(error, LineTooLong):
        return Rejected(
            f"the address or a header is longer than {LONGEST_LINE} bytes",
            code="headers_too_large",
        )
    return Rejected("this is not HTTP/1.1 as it can be read here: see the address and the headers")
