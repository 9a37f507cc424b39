"""Routes, and the call each handler gets: who asks, and through which addresses to answer."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from aiohttp import web

from actors.accounts import Authentication, Caller
from actors.addresses import Addresses
from actors.ids import PackageId, RunId
from actors.runtime import Rejected
from appstrate.http.codec import read_body


class Scope(Enum):
    """What a request must name before its handler runs."""

    PUBLIC = "public"
    """Nothing; the handler checks by itself, if at all."""
    SESSION = "session"
    """A signed-in user; API keys are refused."""
    ORGANIZATION = "organization"
    """A caller in an organization."""
    APPLICATION = "application"
    """A caller in an application."""


@dataclass(slots=True, kw_only=True)
class Call:
    """One request on its way through a handler."""

    at: Addresses
    request: web.Request
    request_id: str
    body_limit: int
    authentication: Authentication | None = None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def caller(self) -> Caller:
        """Who asks; there on every route but public ones."""
        assert self.authentication is not None
        return self.authentication.caller

    @property
    def package(self) -> PackageId:
        """The package id in the path, whether its scope was sent with `@` or without."""
        scope, name = self.request.match_info["scope"], self.request.match_info["name"]
        return PackageId(f"@{scope.removeprefix('@')}/{name}")

    @property
    def run(self) -> RunId:
        """The run id in the path."""
        return RunId(self.request.match_info["run"])

    async def body(self) -> bytes:
        """The raw body, within the limit of all bodies."""
        return await read_body(self.request, self.body_limit)

    def query(self, name: str) -> str | None:
        """A query parameter; an empty one counts as absent."""
        return self.request.query.get(name) or None

    def number(self, name: str, default: int, most: int, least: int = 1) -> int:
        """A query parameter as a number; out of range or unparsable, the default counts."""
        text = self.query(name) or ""
        if not text.isascii() or not text.isdigit() or len(text) > len(str(most)):
            return default
        return value if least <= (value := int(text)) <= most else default

    def next_page(self, **parameters: str) -> None:
        """Answer with a link to the same list, further on."""
        url = self.request.rel_url.update_query(parameters)
        self.headers["Link"] = f'<{url}>; rel="next"'

    def header(self, name: str, most: int) -> str | None:
        """A header that is recorded; refused when it is too long."""
        value = self.request.headers.get(name)
        if value is not None and len(value) > most:
            raise Rejected(f"{name} is longer than {most} characters", param=name)
        return value or None


Handler = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A method and path, who may use it, what it takes and what it answers with.

    The handler gets the call, and the decoded body if there is a `body` type. It returns a struct
    to be encoded with `status`, None for an empty answer, or a response of its own.
    """

    method: str
    path: str
    handler: Handler
    scope: Scope
    permission: str | None = None
    body: type[Any] | None = None
    status: int = 200


class Routes(list[Route]):
    """The routes of one subject, collected by decorators."""

    def add(
        self,
        method: str,
        path: str,
        scope: Scope,
        permission: str | None = None,
        *,
        body: type[Any] | None = None,
        status: int = 200,
    ) -> Callable[[Handler], Handler]:
        """Register the decorated handler."""

        def register(handler: Handler) -> Handler:
            self.append(
                Route(
                    method=method,
                    path=path,
                    handler=handler,
                    scope=scope,
                    permission=permission,
                    body=body,
                    status=status,
                )
            )
            return handler

        return register


class Page(dict[str, Any]):
    """A list as clients read it; see `page`."""


def page(data: list[Any], *, has_more: bool = False) -> Page:
    """The envelope of every list."""
    return Page(object="list", data=data, hasMore=has_more)
