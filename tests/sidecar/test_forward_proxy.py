"""The forward proxy, from a client's side: what passes, what does not, and who may use it."""

import asyncio
import base64
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from actors.egress import Egress
from actors.ids import RunId
from actors.runtime import Rejected
from appstrate.sidecar.destinations import Destinations, UpstreamProxy
from appstrate.sidecar.forward_proxy import ForwardProxy

PASS = base64.b64encode(b"run_1:secret").decode()
AUTH = f"Proxy-Authorization: Basic {PASS}\r\n"


class Door:
    """Admits one run, until it has ended."""

    ended = False

    async def admit(self, run: RunId, token: str) -> None:
        if (run, token) != ("run_1", "secret") or self.ended:
            raise Rejected("no such run", code="unauthorized")


class Names:
    """A resolver whose answers are what a test says, one after the other."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if not answer:
            raise OSError("no such name")
        return answer


@dataclass
class Origin:
    """A server that records what reaches it, and answers as it was told."""

    answer: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nKeep-Alive: x\r\nX-A: b\r\n\r\nhello"
    port: int = 0
    requests: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        body = b""
        if b"chunked" in head:
            while not body.endswith(b"0\r\n\r\n"):
                body += await reader.read(65536)
        elif b"content-length: " in head.lower():
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            body = await reader.readexactly(length)
        self.requests.append(head + body)
        writer.write(self.answer)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def listening(serve: object) -> AsyncIterator[int]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)  # type: ignore[arg-type]
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


@asynccontextmanager
async def proxying(destinations: Destinations, door: Door | None = None) -> AsyncIterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    proxy = ForwardProxy(door or Door(), destinations)
    await proxy.start(listener)
    yield listener.getsockname()[1]
    await proxy.stop()


async def talk(port: int, sent: bytes) -> bytes:
    """Send to the proxy, and all it answers until it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    return answer


def get(url: str, extra: str = "", auth: str = AUTH) -> bytes:
    return f"GET {url} HTTP/1.1\r\nHost: h\r\n{auth}Connection: close\r\n{extra}\r\n".encode()


def connect(target: str, auth: str = AUTH) -> bytes:
    return f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{auth}\r\n".encode()


def status(answer: bytes) -> int:
    return int(answer.split(b" ")[1])


HERE = Egress(allowed_hosts=frozenset({"allowed.lan"}))
LOOPBACK = Names(["127.0.0.1"])


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    origin = Origin()
    async with listening(origin.serve) as origin.port:
        yield origin


async def test_a_request_is_passed_on_without_what_is_between_hops(origin: Origin) -> None:
    async with proxying(Destinations(HERE, resolver=LOOPBACK)) as port:
        extra = "Connection: X-Hop\r\nX-Hop: 1\r\nTE: trailers\r\nX-End: 2\r\nUpgrade: h2c\r\n"
        answer = await talk(port, get(f"http://allowed.lan:{origin.port}/a?b=c#d", extra))
    [seen] = origin.requests

    assert status(answer) == 200
    assert answer.endswith(b"hello")
    assert b"X-A: b" in answer
    assert b"Keep-Alive" not in answer
    assert seen.startswith(b"GET /a?b=c HTTP/1.1\r\n")
    assert f"Host: allowed.lan:{origin.port}\r\n".encode() in seen
    assert b"X-End: 2" in seen
    for gone in (b"X-Hop: 1", b"TE:", b"Upgrade", b"Proxy-Authorization", b"secret"):
        assert gone not in seen


async def test_bodies_are_passed_on_in_either_framing(origin: Origin) -> None:
    head = f"POST http://allowed.lan:{origin.port}/ HTTP/1.1\r\nHost: h\r\n{AUTH}"
    async with proxying(Destinations(HERE, resolver=LOOPBACK)) as port:
        sized = head + "Connection: close\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc"
        first = await talk(port, sized.encode())
        chunked = "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        await talk(port, (head + chunked).encode())

    assert b"200 OK" in first
    assert origin.requests[0].endswith(b"\r\n\r\nabc")
    assert b"Expect" not in origin.requests[0]
    assert origin.requests[1].endswith(b"3\r\nabc\r\n0\r\n\r\n")


async def test_a_connection_serves_one_request_after_another(origin: Origin) -> None:
    async with proxying(Destinations(HERE, resolver=LOOPBACK)) as port:
        request = get(f"http://allowed.lan:{origin.port}/").replace(b"Connection: close\r\n", b"")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(3):
            writer.write(request)
            assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
        writer.close()

    assert len(origin.requests) == 3


async def test_a_tunnel_carries_bytes_both_ways() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            writer.write(data.upper())
        writer.close()

    async with listening(echo) as far, proxying(Destinations(HERE, resolver=LOOPBACK)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(connect(f"allowed.lan:{far}") + b"early ")
        assert status(await reader.readuntil(b"\r\n\r\n")) == 200
        writer.write(b"late")
        writer.write_eof()
        assert await reader.read() == b"EARLY LATE"
        writer.close()


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "LOCALHOST.", "sidecar", "host.docker.internal", "0.0.0.0"),  # noqa: S104
        *("2130706433", "0x7f000001", "0177.0.0.1", "127.1", "10.0.0.1", "169.254.169.254"),
        *("192.168.1.1", "100.64.0.1", "[::1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]"),
        *("[2002:7f00:1::]", "[2001::1]", "[fec0::1]", "[ff02::1]", "[fe80::1]", "[fd00::1]"),
        *("[::ffff:0:127.0.0.1]", "metadata.google.internal", "a.localhost"),
    ],
)
async def test_this_machine_and_private_networks_are_blocked(origin: Origin, host: str) -> None:
    async with proxying(Destinations(Egress())) as port:
        plain = await talk(port, get(f"http://{host}:{origin.port}/"))
        tunnelled = await talk(port, connect(f"{host}:{origin.port}"))

    assert status(plain) == status(tunnelled) == 403
    assert b"Blocked: internal network" in plain
    assert tunnelled.endswith(b"\r\n\r\n")
    assert origin.requests == []


async def test_one_blocked_address_blocks_the_name() -> None:
    names = Names(["93.184.216.34", "10.0.0.1"])
    async with proxying(Destinations(Egress(), resolver=names)) as port:
        answer = await talk(port, get("http://mixed.example/"))

    assert status(answer) == 403


async def test_a_name_is_resolved_once_and_what_was_checked_is_connected_to(
    origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that rebinds between the check and the connection gains nothing."""
    names = Names(["93.184.216.34"], ["127.0.0.1"])
    reached: list[object] = []

    async def recorded(host: str, *_: object, **__: object) -> object:
        reached.append(host)
        raise ConnectionRefusedError("recorded")

    async with proxying(Destinations(Egress(), resolver=names)) as port:
        sent = get(f"http://rebinding.example:{origin.port}/")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        monkeypatch.setattr("asyncio.open_connection", recorded)
        writer.write(sent)
        first = await reader.read()
        writer.close()
        monkeypatch.undo()
        second = await talk(port, sent)

    assert (status(first), status(second)) == (502, 403)
    assert reached == ["93.184.216.34"]
    assert names.asked == ["rebinding.example"] * 2
    assert origin.requests == []


async def test_ipv4_is_preferred_and_the_next_address_is_tried(origin: Origin) -> None:
    names = Names(["::1", "127.0.0.2", "127.0.0.1"])
    async with proxying(Destinations(HERE, resolver=names)) as port:
        answer = await talk(port, get(f"http://allowed.lan:{origin.port}/"))

    assert status(answer) == 200
    assert Egress().pinned("h", ["2606:4700::1", "1.1.1.1"]) == ["1.1.1.1", "2606:4700::1"]


async def test_what_cannot_be_resolved_or_reached_is_a_bad_gateway() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        unused = free.getsockname()[1]
    async with proxying(Destinations(HERE, resolver=Names([]))) as port:
        unresolved = await talk(port, get("http://nowhere.example/"))
    async with proxying(Destinations(HERE, resolver=LOOPBACK)) as port:
        refused = await talk(port, connect(f"allowed.lan:{unused}"))

    assert (status(unresolved), status(refused)) == (502, 502)
    assert b"no such name" in unresolved


@pytest.mark.parametrize(
    "auth", ["", "Proxy-Authorization: Basic xx\r\n", "Proxy-Authorization: x\r\n"]
)
async def test_only_runs_are_served(origin: Origin, auth: str) -> None:
    async with proxying(Destinations(HERE, resolver=LOOPBACK)) as port:
        answers = [
            await talk(port, get(f"http://allowed.lan:{origin.port}/", auth=auth)),
            await talk(port, connect(f"allowed.lan:{origin.port}", auth=auth)),
        ]

    assert [status(answer) for answer in answers] == [407, 407]
    assert all(b'Proxy-Authenticate: Basic realm="appstrate"' in answer for answer in answers)
    assert origin.requests == []


async def test_a_run_that_has_ended_is_refused(origin: Origin) -> None:
    door = Door()
    async with proxying(Destinations(HERE, resolver=LOOPBACK), door) as port:
        before = await talk(port, get(f"http://allowed.lan:{origin.port}/"))
        door.ended = True
        after = await talk(port, get(f"http://allowed.lan:{origin.port}/"))

    assert (status(before), status(after)) == (200, 407)


async def test_the_platform_itself_is_reached_at_its_own_port_only(origin: Origin) -> None:
    platform = frozenset({("127.0.0.1", origin.port)})
    async with proxying(Destinations(Egress(), platform=platform)) as port:
        own = await talk(port, get(f"http://127.0.0.1:{origin.port}/"))
        other = await talk(port, get("http://127.0.0.1:5432/"))

    assert (status(own), status(other)) == (200, 403)


async def test_everything_else_goes_through_another_proxy_where_there_is_one(
    origin: Origin,
) -> None:
    upstream = UpstreamProxy.of(f"http://me:p%40ss@127.0.0.1:{origin.port}")
    async with proxying(Destinations(Egress(), upstream=upstream)) as port:
        plain = await talk(port, get("http://example.com/x"))
        origin.answer = b"HTTP/1.1 200 fine\r\nX: y\r\n\r\ntunnelled"
        tunnelled = await talk(port, connect("example.com:443"))
        origin.answer = b"HTTP/1.1 403 no\r\n\r\n"
        refused = await talk(port, connect("example.com:443"))
        origin.answer = b"HTTP/1.1 200 ok\r\nX: " + b"y" * 20_000 + b"\r\n\r\n"
        large = await talk(port, connect("example.com:443"))
        blocked = await talk(port, connect("10.0.0.1:443"))

    told = base64.b64encode(b"me:p@ss")
    assert plain.endswith(b"hello")
    assert origin.requests[0].startswith(b"GET http://example.com/x HTTP/1.1")
    assert b"Proxy-Authorization: Basic " + told in origin.requests[0]
    assert origin.requests[1].startswith(b"CONNECT example.com:443 HTTP/1.1")
    assert told in origin.requests[1]
    assert tunnelled.endswith(b"tunnelled")
    assert [status(a) for a in (refused, large, blocked)] == [502, 502, 403]


@pytest.mark.parametrize(
    "sent", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nHost: h\r\n" + AUTH.encode() + b"\r\n"]
)
async def test_what_is_no_request_for_a_proxy_is_refused(sent: bytes) -> None:
    async with proxying(Destinations(Egress())) as port:
        assert status(await talk(port, sent)) == 400


async def test_an_answer_that_breaks_off_breaks_off_here_too(origin: Origin) -> None:
    origin.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf"
    async with proxying(Destinations(HERE, resolver=LOOPBACK)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get(f"http://allowed.lan:{origin.port}/"))
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readuntil(b"never")
        writer.close()


async def test_a_slow_client_holds_its_destination_back() -> None:
    """What is on its way stays small, however much there is to come."""
    sent, held = 0, asyncio.Event()

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        try:
            while True:
                writer.write(b"x" * 65536)
                async with asyncio.timeout(1):
                    await writer.drain()
                sent += 65536
        except TimeoutError:
            held.set()
        writer.transport.abort()

    async with listening(flood) as far, proxying(Destinations(HERE, resolver=LOOPBACK)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get(f"http://allowed.lan:{far}/"))
        await reader.readexactly(1000)
        async with asyncio.timeout(20):
            await held.wait()
        assert sent < 40_000_000
        writer.transport.abort()
