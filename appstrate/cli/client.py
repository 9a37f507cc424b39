"""The API as the command line uses it."""

import io
import json
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Any, Self

import aiohttp

Json = dict[str, Any]


class ApiError(Exception):
    """The server refused, or could not be reached; the message is for whoever typed the command."""


class Client:
    """A connection to a server, with a key or with a session's cookie."""

    def __init__(self, url: str, api_key: str | None = None) -> None:
        self.url = url
        self._api_key = api_key
        self._tenant: dict[str, str] = {}
        self._cookie: dict[str, str] = {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        headers = {"Authorization": f"Bearer {self._api_key}"} if self._api_key else {}
        self._session = aiohttp.ClientSession(
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=90),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._session is not None
        await self._session.close()

    def act_in(self, org: str, application: str) -> None:
        """Name the organization and application of all further requests."""
        self._tenant = {"X-Org-Id": org, "X-Application-Id": application}

    async def get(self, path: str, **query: str) -> Any:
        """A GET."""
        return await self._request("GET", path, params=query)

    async def post(self, path: str, body: Json | None = None, **query: str) -> Any:
        """A POST of JSON."""
        return await self._request("POST", path, json=body or {}, params=query)

    async def put(self, path: str, body: Json) -> Any:
        """A PUT of JSON."""
        return await self._request("PUT", path, json=body)

    async def delete(self, path: str) -> Any:
        """A DELETE."""
        return await self._request("DELETE", path)

    async def upload(self, path: str, name: str, content: bytes, **query: str) -> Any:
        """A POST of one file."""
        form = aiohttp.FormData()
        form.add_field("file", io.BytesIO(content), filename=name)
        return await self._request("POST", path, data=form, params=query)

    async def stream(self, path: str, since: int) -> AsyncGenerator[tuple[str, Json], None]:
        """Server-sent events after the line `since`: their names and their data, for ever."""
        assert self._session is not None
        endless = aiohttp.ClientTimeout(total=None, sock_read=90)
        headers = {"Last-Event-ID": str(since)}
        try:
            async with self._session.get(
                self.url + path, timeout=endless, headers=headers, params={"verbose": "true"}
            ) as response:
                await _check(response)
                name = ""
                async for raw in response.content:
                    line = raw.decode().rstrip("\n")
                    if line.startswith("event: "):
                        name = line[7:]
                    elif line.startswith("data: ") and len(line) > 6:
                        yield name, json.loads(line[6:])
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise ApiError(f"the stream from {self.url} broke off: {_reason(error)}") from None

    async def _request(self, method: str, path: str, **options: Any) -> Any:
        assert self._session is not None
        try:
            async with self._session.request(
                method, self.url + path, headers=self._tenant | self._cookie, **options
            ) as response:
                await _check(response)
                # Not a browser's rules: a secure cookie is sent back to this machine's own server.
                if session := response.headers.get("Set-Cookie"):
                    self._cookie = {"Cookie": session.partition(";")[0]}
                return await response.json() if response.status != 204 else None
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise ApiError(
                f"cannot reach {self.url} ({_reason(error)}): is the server running? "
                "Start one with `appstrate serve`."
            ) from None


async def _check(response: aiohttp.ClientResponse) -> None:
    if response.status < 400:
        return
    try:
        problem = json.loads(await response.text())
        lines = [str(problem["detail"])]
        items = problem.get("errors") or []
        if len(items) > 1:
            lines += [f"  {item['field']}: {item['message']}" for item in items]
        if response.status >= 500:
            lines.append(f"  request {problem['requestId']}")
        told = "\n".join(lines)
    except (ValueError, KeyError, TypeError):
        told = f"the server answered {response.status}, not as Appstrate does"
    raise ApiError(told)


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__
