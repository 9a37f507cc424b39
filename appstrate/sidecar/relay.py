"""Passing HTTP exchanges and tunnels on, a piece at a time."""

import asyncio
import contextlib
from urllib.parse import urlsplit

import h11

from appstrate.sidecar.destinations import READ_LIMIT, Opened

IDLE_SECONDS = 30.0
LARGEST_HEAD = 65_536
HOP_BY_HOP = frozenset(
    {
        *(b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"te"),
        *(b"trailer", b"trailers", b"transfer-encoding", b"upgrade", b"proxy-connection"),
    }
)

Headers = list[tuple[bytes, bytes]]


class Client:
    """A connection to the proxy, request by request."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.protocol = h11.Connection(h11.SERVER, max_incomplete_event_size=LARGEST_HEAD)

    async def next_request(self) -> h11.Request | None:
        """The head of the next request; None when there is none. Raises `h11.ProtocolError`."""
        if self.protocol.our_state is h11.DONE and self.protocol.their_state is h11.DONE:
            self.protocol.start_next_cycle()
        elif self.protocol.our_state is not h11.IDLE:
            return None
        try:
            event = await next_event(self.protocol, self.reader)
        except h11.RemoteProtocolError as error:
            await self.refuse(error.error_status_hint, str(error))
            return None
        return event if isinstance(event, h11.Request) else None

    async def send(self, event: h11.Event) -> None:
        """Send an event, and wait while the client is slower than its destination."""
        if data := self.protocol.send(event):
            self.writer.write(data)
            async with asyncio.timeout(IDLE_SECONDS):
                await self.writer.drain()

    async def refuse(self, status: int, text: str) -> None:
        """Answer with an error; the connection ends with it."""
        if self.protocol.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        body = f"{text}\n".encode() if text else b""
        headers: Headers = [
            (b"Content-Type", b"text/plain; charset=utf-8"),
            (b"Content-Length", str(len(body)).encode()),
            (b"Connection", b"close"),
        ]
        if status == 407:
            headers.append((b"Proxy-Authenticate", b'Basic realm="appstrate"'))
        await self.send(h11.Response(status_code=status, headers=headers))
        await self.send(h11.Data(data=body))
        await self.send(h11.EndOfMessage())

    def abort(self) -> None:
        """Break the connection off."""
        self.writer.transport.abort()

    async def close(self) -> None:
        """Close the connection."""
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


async def next_event(protocol: h11.Connection, reader: asyncio.StreamReader) -> object:
    """The next event of a peer, who must not be silent for long. Raises `TimeoutError`."""
    while (event := protocol.next_event()) is h11.NEED_DATA:
        async with asyncio.timeout(IDLE_SECONDS):
            protocol.receive_data(await reader.read(READ_LIMIT))
    return event


async def exchange(client: Client, request: h11.Request, opened: Opened) -> bool:
    """Pass a request on and its answer back, both as they come; whether all of both was."""
    far = h11.Connection(h11.CLIENT, max_incomplete_event_size=LARGEST_HEAD)
    opened.writer.write(far.send(_onward(request, opened)) or b"")
    sending = asyncio.ensure_future(_send_body(client, far, opened))
    answered = False
    try:
        while True:
            event = await _next_of_answer(far, opened, sending)
            if isinstance(event, h11.Response):
                answered = True
                await client.send(_back(event))
            elif isinstance(event, h11.Data | h11.EndOfMessage):
                await client.send(event if isinstance(event, h11.Data) else h11.EndOfMessage())
            if isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
                return sending.done()
    except (OSError, TimeoutError, h11.RemoteProtocolError) as error:
        if answered:
            raise
        late = isinstance(error, TimeoutError)
        why = "nothing came in time" if late else str(error)
        await client.refuse(504 if late else 502, f"the host did not answer: {why}")
        return False
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


async def _send_body(client: Client, far: h11.Connection, opened: Opened) -> None:
    if client.protocol.they_are_waiting_for_100_continue:
        await client.send(h11.InformationalResponse(status_code=100, headers=[]))
    while True:
        event = await next_event(client.protocol, client.reader)
        if isinstance(event, h11.Data):
            opened.writer.write(far.send(event) or b"")
        elif isinstance(event, h11.EndOfMessage):
            opened.writer.write(far.send(h11.EndOfMessage()) or b"")
        else:
            raise ConnectionResetError("the client went away")
        await opened.writer.drain()
        if isinstance(event, h11.EndOfMessage):
            return


async def _next_of_answer(
    far: h11.Connection, opened: Opened, sending: asyncio.Future[None]
) -> object:
    """The next event of the answer; its time runs once the request has been sent."""
    while True:
        try:
            return await next_event(far, opened.reader)
        except TimeoutError:
            if sending.done():
                raise


def _onward(request: h11.Request, opened: Opened) -> h11.Request:
    parts = urlsplit(request.target.decode("latin-1"))
    place = parts.netloc.rpartition("@")[2]
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers: Headers = [(b"Host", place.encode("latin-1"))]
    headers += [(k, v) for k, v in _passed_on(request) if k.lower() not in (b"host", b"expect")]
    if any(k == b"transfer-encoding" for k, _ in request.headers):
        headers.append((b"Transfer-Encoding", b"chunked"))
    headers.append((b"Connection", b"close"))
    if opened.through is not None:
        path = f"http://{place}{path}"
        if opened.through.authorization:
            headers.append((b"Proxy-Authorization", opened.through.authorization.encode()))
    return h11.Request(method=request.method, target=path.encode("latin-1"), headers=headers)


def _back(response: h11.Response) -> h11.Response:
    return h11.Response(
        status_code=response.status_code, reason=response.reason, headers=_passed_on(response)
    )


def _passed_on(message: h11.Request | h11.Response) -> Headers:
    """The headers that are not between this hop and the next alone."""
    named = b",".join(v for k, v in message.headers if k == b"connection").lower().split(b",")
    dropped = HOP_BY_HOP | {name.strip() for name in named}
    return [(k, v) for k, v in message.headers.raw_items() if k.lower() not in dropped]


async def tunnel(client: Client, opened: Opened) -> None:
    """Join a client that sent CONNECT with its destination, until both have ended."""
    await client.send(h11.Response(status_code=200, headers=[], reason=b"Connection established"))
    early, _ = client.protocol.trailing_data
    opened.writer.write(early)
    half_closed = asyncio.Event()
    up = asyncio.ensure_future(_pump(client.reader, opened.writer, half_closed))
    down = asyncio.ensure_future(_pump(opened.reader, client.writer, half_closed))
    try:
        await asyncio.wait((up, down), return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in (up, down):
            task.cancel()
        await asyncio.gather(up, down, return_exceptions=True)


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, half_closed: asyncio.Event
) -> None:
    """Pass on what comes. Who has closed one direction may use the other while it is in use."""
    while True:
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                data = await reader.read(READ_LIMIT)
        except TimeoutError:
            if half_closed.is_set():
                return
            continue
        if not data:
            break
        writer.write(data)
        await writer.drain()
    half_closed.set()
    if writer.can_write_eof():
        writer.write_eof()
