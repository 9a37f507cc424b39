"""What is refused before any route is found, and what such clients leave in the log: one line."""

import asyncio
import gzip
import json
import logging
from urllib.parse import urlsplit

import pytest

from appstrate.boot import Server
from appstrate.http import app, codec, connection
from support.raw import send

HOST = b"Host: x\r\nConnection: close\r\n"
SIGN_IN = b"POST /api/auth/sign-in/email HTTP/1.1\r\n" + HOST


def with_body(body: bytes, *headers: bytes, length: int | None = None) -> bytes:
    told = b"Content-Length: %d\r\n" % (len(body) if length is None else length)
    return SIGN_IN + told + b"".join(each + b"\r\n" for each in headers) + b"\r\n" + body


class Spy(list[str]):
    """The log of the application: what it says has failed."""

    def exception(self, event: str, **_: object) -> None:
        self.append(event)

    def debug(self, event: str, **_: object) -> None:
        pass


@pytest.fixture
def failures(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    spy = Spy()
    monkeypatch.setattr(app, "log", spy)
    return spy


UNREADABLE = {
    "a long header": (b"GET / HTTP/1.1\r\nX: " + b"a" * 9000 + b"\r\n\r\n", 431),
    "a long address": (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
    "a NUL in the address": (b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "a NUL in a header": (b"GET / HTTP/1.1\r\nX: a\0b\r\n\r\n", 400),
    "an address that is no text": (b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "300 headers": (b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 300 + b"\r\n", 400),
    "two lengths": (SIGN_IN + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
    "a length below zero": (SIGN_IN + b"Content-Length: -3\r\n\r\n", 400),
    "a length and chunks": (
        SIGN_IN + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
}
BODIES = {
    "gzip that is none": (with_body(b"hello", b"Content-Encoding: gzip"), 400),
    "chunks that are none": (SIGN_IN + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n", 400),
    "gzip": (with_body(gzip.compress(b"{}"), b"Content-Encoding: gzip"), 400),
    "a bomb": (with_body(gzip.compress(b" " * 2**25), b"Content-Encoding: gzip"), 413),
    "an odd expectation": (with_body(b"{}", b"Expect: banana"), 400),
}


@pytest.mark.parametrize(("content", "status"), UNREADABLE.values(), ids=UNREADABLE)
async def test_what_is_no_request_is_refused_in_a_line(
    server: Server, content: bytes, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await send(server.url, content)
    problem = json.loads(answer.body)

    assert (answer.status, problem["status"]) == (status, status)
    assert "Content-Type: application/problem+json" in answer.head
    assert f"Request-Id: {problem['requestId']}" in answer.head
    assert not caplog.records


@pytest.mark.parametrize(("content", "status"), BODIES.values(), ids=BODIES)
async def test_a_body_that_is_not_what_it_says_breaks_nothing(
    server: Server,
    content: bytes,
    status: int,
    caplog: pytest.LogCaptureFixture,
    failures: list[str],
) -> None:
    answer = await send(server.url, content)

    assert answer.status == status
    assert not caplog.records
    assert not failures


async def test_a_client_may_wait_to_be_asked_for_its_body(server: Server) -> None:
    answer = await send(server.url, with_body(b"{}", b"Expect: 100-continue"))

    assert answer.status == 100
    assert answer.body.startswith(b"HTTP/1.1 400 ")


async def test_what_breaks_here_is_told_with_its_trace(caplog: pytest.LogCaptureFixture) -> None:
    broken = object.__new__(connection.Connection)
    broken.logger = logging.getLogger("aiohttp.server")
    broken.log_exception("odd", exc_info=ValueError("why"))

    assert [record.message for record in caplog.records] == ["odd"]


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n"])
async def test_nobody_is_waited_for_who_never_finishes_a_head(
    server: Server, begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.05)
    answer = await send(server.url, begun)

    assert answer.status == 0


async def test_a_body_that_stops_coming_is_given_up(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codec, "IDLE_SECONDS", 0.05)
    parts = urlsplit(server.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(with_body(b"{", length=100))
    async with asyncio.timeout(10):
        head = await reader.readuntil(b"\r\n")
    writer.close()

    assert head.split()[1] == b"408"


async def test_a_client_that_goes_away_is_no_failure(
    server: Server, caplog: pytest.LogCaptureFixture, failures: list[str]
) -> None:
    parts = urlsplit(server.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(with_body(b"{", length=100))
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    await reader.read()

    assert (await send(server.url, with_body(b"{}"))).status == 400
    assert not caplog.records
    assert not failures
