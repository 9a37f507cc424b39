"""Routes, and the call each handler gets: who asks, and through which addresses to answer."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Generic, Literal, TypeVar

import msgspec
from aiohttp import web

from actors.accounts import Authentication, Caller
from actors.addresses import Addresses
from actors.contract import spell
from actors.ids import PackageId, RunId
from actors.runtime import Rejected
from appstrate.http.codec import read_body
from appstrate.http.limits import Limit

T = TypeVar("T")

ADMINISTRATIVE = frozenset(
    {
        *("write", "delete", "create", "update", "revoke", "configure", "install", "uninstall"),
        *("invite", "remove", "change-role"),
    }
)
"""What a permission allows that is administration."""


class Scope(Enum):
    """What a request must name before its handler runs."""

    PUBLIC = "public"
    """Nothing; the handler checks by itself, if at all."""
    SESSION = "session"
    """A signed-in user; API keys are refused."""
    MEMBER = "member"
    """A signed-in member of the organization `{org}` in the path; API keys are refused."""
    ORGANIZATION = "organization"
    """A caller in an organization."""
    APPLICATION = "application"
    """A caller in an application."""
    PLATFORM = "platform"
    """A signed-in administrator of the platform; API keys are refused."""


class Fingerprint:
    """What tells one request from another with the same key: its query and what it brought.

    Whoever reads a body adds it; until the end was read there is no fingerprint.
    """

    def __init__(self, query: str, *, whole: bool) -> None:
        self._hash = hashlib.sha256(query.encode() + b"\0")
        self._whole = whole

    def add(self, part: bytes) -> None:
        """A part of the body was read."""
        self._hash.update(part)

    def end(self) -> None:
        """The body was read to its end."""
        self._whole = True

    def digest(self) -> str | None:
        """The fingerprint, if the request was read to its end."""
        return self._hash.hexdigest() if self._whole else None


@dataclass(slots=True, kw_only=True)
class Call:
    """One request on its way through a handler.

    `acting` is who has made it all the same, where the route is public: a handler may set it.
    """

    at: Addresses
    request: web.Request
    request_id: str
    body_limit: int
    route: "Route"
    url: str = ""
    authentication: Authentication | None = None
    acting: Caller | None = None
    headers: dict[str, str] = field(default_factory=dict)
    fingerprint: "Fingerprint" = field(init=False)

    def __post_init__(self) -> None:
        has_body = self.route.body is not None or self.route.takes is not None
        self.fingerprint = Fingerprint(self.request.query_string, whole=not has_body)

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
        body = await read_body(self.request, self.body_limit)
        self.fingerprint.add(body)
        self.fingerprint.end()
        return body

    def query(self, name: str) -> str | None:
        """A query parameter its route declares; an empty one counts as absent."""
        assert any(each.name == name for each in self.route.query), f"{name} is not declared"
        return self.request.query.get(name) or None

    def required(self, name: str) -> str:
        """A query parameter that must be there."""
        value = self.query(name)
        if value is None:
            raise Rejected(f"the parameter {name} is required", param=name)
        return value

    def number(self, name: str, default: int, most: int, least: int = 1) -> int:
        """A query parameter as a number; out of range or unparsable, the default counts."""
        text = self.query(name) or ""
        if not text.isascii() or not text.isdigit() or len(text) > len(str(most)):
            return default
        return value if least <= (value := int(text)) <= most else default

    def choice(self, name: str, choices: tuple[str, ...]) -> str | None:
        """A query parameter that is one of some words; refused when it is another."""
        value = self.query(name)
        if value is not None and value not in choices:
            raise Rejected(f"{name} must be one of {', '.join(choices)}", param=name)
        return value

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


@dataclass(frozen=True, slots=True)
class Query:
    """A query parameter: its name, what it does, and the JSON schema of its values."""

    name: str
    description: str
    schema: dict[str, Any] = field(default_factory=lambda: {"type": "string"})
    required: bool = False


def number(most: int, default: int, *, least: int = 1) -> dict[str, Any]:
    """The schema of a number in a query; one that does not fit it counts as `default`."""
    return {"type": "integer", "minimum": least, "maximum": most, "default": default}


@dataclass(frozen=True, slots=True)
class Media:
    """A body the handler reads or writes itself: its content type, and what is in it."""

    type: str
    kind: Any = None


EVENTS = Media("text/event-stream")
"""A stream of server-sent events."""

UPLOAD = Media("multipart/form-data")
"""A form whose part `file` is the upload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A method and path, who may use it, what it takes and what it answers with.

    The handler gets the call, and the decoded body if there is a `body` type; a body of another
    kind is read by the handler, and `takes` names it. It returns what its annotation says: a
    struct to be encoded with `status`, None for an empty answer, or a response of its own, then
    `answer` names the type of its body. `also` lists further statuses of success; 204 among them
    has no body; `refuses` has the codes of its own refusals by status, beside those of all routes
    like it (`refusals.py`). The first line of its docstring is the route's summary in the API
    document, the rest its description.

    `of_runs` says that runs call it, not people: it stays open while the server drains. `limit` is
    how often one user or key may call it, and one client address when it is public. `audit` says
    whether what it does is written down, when that is not as its permission says.
    """

    method: str
    path: str
    handler: Handler
    scope: Scope
    permission: str | None = None
    body: type[Any] | None = None
    query: tuple[Query, ...] = ()
    answer: Any = None
    status: int = 200
    also: tuple[int, ...] = ()
    takes: Media | None = None
    of_runs: bool = False
    limit: Limit | None = None
    audit: bool | None = None
    refuses: Mapping[int, str] = field(default_factory=dict[int, str])

    @property
    def is_audited(self) -> bool:
        """Whether it changes what others rely on; using that is written down elsewhere."""
        if self.audit is not None:
            return self.audit
        action = (self.permission or "").partition(":")[2]
        return self.method not in ("GET", "HEAD") and action in ADMINISTRATIVE

    @property
    def is_stream(self) -> bool:
        """Whether the answer has no end; then nobody can be told its head alone."""
        return isinstance(self.answer, Media) and self.answer.type == EVENTS.type

    @property
    def is_work(self) -> bool:
        """Whether a server that is about to stop had better not begin with it."""
        return self.method not in ("GET", "HEAD") or self.is_stream


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
        query: tuple[Query, ...] = (),
        answer: Any = None,
        status: int = 200,
        also: tuple[int, ...] = (),
        takes: Media | None = None,
        of_runs: bool = False,
        limit: Limit | int | None = None,
        audit: bool | None = None,
        refuses: Mapping[int, str] | None = None,
    ) -> Callable[[Handler], Handler]:
        """Register the decorated handler. A `limit` that is a number is meant per minute."""
        allowed = Limit(limit) if isinstance(limit, int) else limit

        def register(handler: Handler) -> Handler:
            self.append(
                Route(
                    method=method,
                    path=path,
                    handler=handler,
                    scope=scope,
                    permission=permission,
                    body=body,
                    query=query,
                    answer=answer,
                    status=status,
                    also=also,
                    takes=takes,
                    of_runs=of_runs,
                    limit=allowed,
                    audit=audit,
                    refuses=refuses or {},
                )
            )
            return handler

        return register


class Page(msgspec.Struct, Generic[T], kw_only=True, rename=spell):
    """The envelope of every list; `total` and `limit` are there on lists with an offset."""

    object: Literal["list"] = "list"
    data: list[T]
    has_more: bool = False
    total: int | msgspec.UnsetType = msgspec.UNSET
    limit: int | msgspec.UnsetType = msgspec.UNSET


def page(data: list[T], *, has_more: bool = False) -> Page[T]:
    """A list that is complete, or one page of it."""
    return Page(data=data, has_more=has_more)
