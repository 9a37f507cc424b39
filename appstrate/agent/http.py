"""HTTP/1.1 over one keep-alive connection, with h11 and asyncio's streams."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import h11

READ_SIZE = 65_536
PIECE = 256 * 1024


class ConnectionLost(Exception):  # noqa: N818 - a condition, told apart from answers
    """The connection could not be made, or broke before the answer was complete."""


class NotConnected(ConnectionLost):
    """There was not even a connection: nothing of the request was sent."""


@dataclass(frozen=True, slots=True)
class Response:
    """The head of an answer."""

    status: int
    headers: dict[str, str]


class Connection:
    """A connection to one host, opened when it is needed and again after it broke.

    One request at a time, the others wait. A request that is cancelled closes the connection.
    """

    def __init__(self, url: str, idle_seconds: float = 60.0) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = parts.port or 80
        self._netloc = parts.netloc
        self._idle_seconds = idle_seconds
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._protocol = h11.Connection(h11.CLIENT)
        self._turn = asyncio.Lock()

    async def request(
        self, method: str, path: str, headers: dict[str, str], body: bytes | Path = b""
    ) -> tuple[Response, bytes]:
        """Send a request and read the whole answer. Raises `ConnectionLost`."""
        content = bytearray()
        response: Response | None = None
        async for part in self.stream(method, path, headers, body):
            if isinstance(part, Response):
                response = part
            else:
                content += part
        assert response is not None
        return response, bytes(content)

    async def stream(
        self, method: str, path: str, headers: dict[str, str], body: bytes | Path = b""
    ) -> AsyncGenerator[Response | bytes, None]:
        """Send a request; yields the head of the answer, then its body as it comes."""
        exchange = self._exchange(method, path, headers, body)
        async with self._turn, contextlib.aclosing(exchange) as parts:
            async for part in parts:
                yield part

    async def _exchange(
        self, method: str, path: str, headers: dict[str, str], body: bytes | Path
    ) -> AsyncGenerator[Response | bytes, None]:
        complete = False
        try:
            reused = self._writer is not None
            await self._send(method, path, headers, body)
            first = True
            while True:
                try:
                    event = await self._next_event()
                except ConnectionLost:
                    if not (reused and first):
                        raise
                    # The server closed a connection that was idle: that request was never read.
                    self.close()
                    reused = False
                    await self._send(method, path, headers, body)
                    continue
                first = False
                if isinstance(event, h11.Response):
                    names = {k.decode().lower(): v.decode("latin-1") for k, v in event.headers}
                    yield Response(event.status_code, names)
                elif isinstance(event, h11.Data):
                    yield bytes(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    break
            complete = True
        finally:
            self._finish(complete=complete)

    async def _send(
        self, method: str, path: str, headers: dict[str, str], body: bytes | Path
    ) -> None:
        if self._writer is None:
            try:
                self._reader, self._writer = await asyncio.wait_for(
                    asyncio.open_connection(self._host, self._port), 10
                )
            except (OSError, TimeoutError) as error:
                raise NotConnected(f"cannot connect to {self._netloc}: {error}") from None
            self._protocol = h11.Connection(h11.CLIENT)
        writer = self._writer
        assert writer is not None
        size = len(body) if isinstance(body, bytes) else _size(body)
        head = [("Host", self._netloc), ("Content-Length", str(size)), *headers.items()]
        request = h11.Request(method=method, target=path, headers=head)
        if not isinstance(body, bytes):
            await self._send_file(writer, request, body, size)
            return
        data = [self._protocol.send(request)]
        if body:
            data.append(self._protocol.send(h11.Data(data=body)))
        data.append(self._protocol.send(h11.EndOfMessage()))
        writer.write(b"".join(part for part in data if part))
        with contextlib.suppress(OSError):  # what went wrong shows when the answer is read
            await writer.drain()

    async def _send_file(
        self, writer: asyncio.StreamWriter, request: h11.Request, body: Path, size: int
    ) -> None:
        """Send a request whose body is a file, in pieces; stop when nobody takes them any more."""
        writer.write(self._protocol.send(request) or b"")
        with body.open("rb") as file:
            while size:
                piece = await asyncio.to_thread(file.read, min(size, PIECE))
                if not piece:
                    raise ConnectionLost("the file became shorter while it was sent")
                size -= len(piece)
                writer.write(self._protocol.send(h11.Data(data=piece)) or b"")
                try:
                    await asyncio.wait_for(writer.drain(), self._idle_seconds)
                except OSError:
                    return  # it was refused: the answer says why
                except TimeoutError:
                    raise ConnectionLost(f"{self._netloc} takes nothing any more") from None
        writer.write(self._protocol.send(h11.EndOfMessage()) or b"")

    async def _next_event(self) -> object:
        ended = False
        while True:
            try:
                event = self._protocol.next_event()
            except h11.RemoteProtocolError as error:
                what = "broke off" if ended else f"is no HTTP: {error}"
                raise ConnectionLost(f"the answer {what}") from None
            if event is not h11.NEED_DATA:
                return event
            assert self._reader is not None
            try:
                data = await asyncio.wait_for(self._reader.read(READ_SIZE), self._idle_seconds)
            except TimeoutError:
                what = f"{self._netloc} sent nothing for {self._idle_seconds:g} s"
                raise ConnectionLost(what) from None
            except OSError as error:
                raise ConnectionLost(f"the connection broke: {error}") from None
            if not data and self._protocol.their_state is h11.SEND_RESPONSE:
                raise ConnectionLost("the connection was closed without an answer")
            self._protocol.receive_data(data)
            ended = not data

    def _finish(self, *, complete: bool) -> None:
        protocol = self._protocol
        if complete and protocol.our_state is h11.DONE and protocol.their_state is h11.DONE:
            protocol.start_next_cycle()
        else:
            self.close()

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


def _size(body: Path) -> int:
    return body.stat().st_size
