"""The API as the command line uses it."""

import io
import json
import os
from collections.abc import AsyncGenerator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import aiohttp

Json = dict[str, Any]

ENDLESS = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=90)
UPLOADS = "/api/uploads/_content"
CHUNK = 2**18


class ApiError(Exception):
    """The server refused, or could not be reached; the message is for whoever typed the command."""


class RefusedError(ApiError):
    """The server answered, and said no."""

    def __init__(self, told: str, status: int) -> None:
        super().__init__(told)
        self.status = status

    @property
    def passing(self) -> bool:
        """Whether the same request may do later, as it is."""
        return self.status >= 500 or self.status == 429


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

    async def health(self) -> Json:
        """How the server is, also when it is not well."""
        return dict(await self._request("GET", "/health", taken=503))

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

    async def request(self, method: str, path: str, body: Json | None, query: Json) -> Any:
        """A request by the name of its method."""
        sent: Json = {"json": body or {}} if method in {"POST", "PUT"} else {}
        return await self._request(method, path, params=query, **sent)

    async def upload(self, path: str, name: str, content: bytes, **query: str) -> Any:
        """A POST of one file."""
        form = aiohttp.FormData()
        form.add_field("file", io.BytesIO(content), filename=name)
        return await self._request("POST", path, data=form, params=query)

    async def send_file(self, path: Path, mime: str) -> str:
        """Upload a file for a run; returns what the run's input calls it by."""
        with path.open("rb") as file:
            about = {"name": path.name, "size": os.fstat(file.fileno()).st_size, "mime": mime}
            upload = await self.post("/api/uploads", about)
            # The server may have another name outside; and storage elsewhere gets no key of ours.
            _, own, query = upload["url"].partition(UPLOADS)
            target = self.url + own + query if own else upload["url"]
            async with aiohttp.ClientSession(timeout=ENDLESS) as session:
                try:
                    async with session.put(target, data=file, headers=upload["headers"]) as sent:
                        await self._check(sent)
                except (aiohttp.ClientError, TimeoutError) as error:
                    told = f"{path} could not be sent to {self.url}: {_reason(error)}"
                    raise ApiError(told) from None
        return str(upload["uri"])

    async def save(self, path: str, file: BinaryIO, **query: str) -> int:
        """Write what a path answers with into a file; returns how many bytes that was."""
        assert self._session is not None
        written = 0
        try:
            async with self._session.get(self.url + path, params=query, timeout=ENDLESS) as found:
                await self._check(found)
                async for chunk in found.content.iter_chunked(CHUNK):
                    written += file.write(chunk)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ApiError(f"the transfer from {self.url} broke off: {_reason(error)}") from None
        return written

    async def stream(self, path: str, since: int) -> AsyncGenerator[tuple[str, Json], None]:
        """Server-sent events after the line `since`: their names and their data, for ever."""
        assert self._session is not None
        headers = {"Last-Event-ID": str(since)}
        try:
            async with self._session.get(
                self.url + path, timeout=ENDLESS, headers=headers, params={"verbose": "true"}
            ) as response:
                await self._check(response)
                name = ""
                async for raw in response.content:
                    line = raw.decode().rstrip("\n")
                    if line.startswith("event: "):
                        name = line[7:]
                    elif line.startswith("data: ") and len(line) > 6:
                        yield name, json.loads(line[6:])
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise ApiError(f"the stream from {self.url} broke off: {_reason(error)}") from None

    async def _request(self, method: str, path: str, *, taken: int = 0, **options: Any) -> Any:
        """The JSON a path answers with; a refusal is none if its status is `taken`."""
        assert self._session is not None
        try:
            async with self._session.request(
                method, self.url + path, headers=self._tenant | self._cookie, **options
            ) as response:
                if response.status != taken:
                    await self._check(response)
                # Not a browser's rules: a secure cookie is sent back to this machine's own server.
                if session := response.headers.get("Set-Cookie"):
                    self._cookie = {"Cookie": session.partition(";")[0]}
                return await response.json() if response.status != 204 else None
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise ApiError(
                f"cannot reach {self.url} ({_reason(error)}): is the server running? "
                "Start one with `appstrate serve`."
            ) from None
        except ValueError:
            raise ApiError(f"{self.url} answered, but not as Appstrate does") from None

    async def _check(self, response: aiohttp.ClientResponse) -> None:
        if response.status < 400:
            return
        told = _problem(response.status, await response.text(errors="replace"))
        if response.status == 401 and self._api_key:
            told += "\n  Make a new one with `appstrate login`, or set APPSTRATE_API_KEY."
        raise RefusedError(told, response.status)


def _problem(status: int, text: str) -> str:
    """What a refusal says, with each of its items."""
    try:
        problem = json.loads(text)
        lines = [str(problem["detail"])]
        items = problem.get("errors") or []
        if len(items) > 1:
            lines += [f"  {item['field']}: {item['message']}" for item in items]
        if status >= 500:
            lines.append(f"  request {problem['requestId']}")
    except (ValueError, KeyError, TypeError):
        return f"the server answered {status}, not as Appstrate does"
    return "\n".join(lines)


def _reason(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno or 0
        return os.strerror(number) if number > 0 else str(error.os_error.strerror or error)
    return str(error) or type(error).__name__
