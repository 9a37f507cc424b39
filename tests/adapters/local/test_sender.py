"""Posting to receivers that nobody trusts: where a connection goes, and what an answer may do."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from actors.egress import Egress
from actors.webhooks import Sent
from adapters.local.sender import HttpSender
from support.receiver import Receiver, receiving

HERE = Egress(loopback=True)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


class Names:
    """A resolver that answers with `answers` in turn, the last one for ever."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, _host: str, _port: int) -> list[str]:
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def named(receiver: Receiver) -> str:
    """The receiver's URL under a name."""
    return receiver.url.replace("127.0.0.1", "hooks.example")


async def test_the_connection_goes_to_the_address_that_was_checked(receiver: Receiver) -> None:
    # Were the name asked for again, it would lead elsewhere.
    names = Names(["127.0.0.1"], ["192.0.2.1"])
    sent = await HttpSender(HERE, resolver=names).post(named(receiver), b"{}", {"webhook-id": "1"})
    (told,) = receiver.delivered

    assert (sent.status, sent.error, sent.blocked) == (200, None, False)
    assert names.asked == 1
    assert told.headers["host"].startswith("hooks.example:")
    assert (told.body, told.headers["webhook-id"]) == (b"{}", "1")


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["203.0.113.7", "10.0.0.1"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["169.254.169.254"],
        ["fe80::1%eth0"],
    ],
)
async def test_a_name_that_leads_inside_is_not_reached(
    receiver: Receiver, addresses: list[str]
) -> None:
    sender = HttpSender(Egress(), resolver=Names(addresses))
    sent = await sender.post(named(receiver), b"{}", {})

    assert (sent.status, sent.blocked) == (None, True)
    assert "EGRESS_ALLOW_INTERNAL_HOSTS" in str(sent.error)
    assert receiver.delivered == []


async def test_a_host_the_operator_opened_is_reached(receiver: Receiver) -> None:
    egress = Egress(allowed_hosts=frozenset({"hooks.example"}))
    sent = await HttpSender(egress, resolver=Names(["127.0.0.1"])).post(named(receiver), b"{}", {})

    assert sent.status == 200


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost"]
)
async def test_addresses_are_checked_again_when_it_is_sent(receiver: Receiver, host: str) -> None:
    url = receiver.url.replace("127.0.0.1", host)
    sent = await HttpSender(Egress(), resolver=Names(["127.0.0.1"])).post(url, b"{}", {})

    assert (sent.status, sent.blocked) == (None, True)
    assert receiver.delivered == []


async def test_redirects_are_an_answer_and_not_a_way(receiver: Receiver) -> None:
    receiver.answers = [307]
    sent = await HttpSender(HERE).post(f"{receiver.url}/hook", b"{}", {})

    assert (sent.status, sent.blocked) == (307, False)
    assert receiver.paths == ["/hook"]


async def test_who_does_not_answer_is_given_up_in_time(receiver: Receiver) -> None:
    receiver.answers = [None]
    sent = await HttpSender(HERE, seconds=0.2).post(receiver.url, b"{}", {})

    assert (sent.status, sent.blocked) == (None, False)
    assert "0.2 seconds" in str(sent.error)
    assert 150 <= sent.latency < 5000


@pytest.mark.parametrize("addresses", [[], ["127.0.0.1"]])
async def test_who_cannot_be_reached_may_be_later(addresses: list[str]) -> None:
    sender = HttpSender(HERE, resolver=Names(addresses))
    sent = await sender.post("http://hooks.example:9/", b"{}", {})

    assert (sent.status, sent.blocked) == (None, False)
    assert "cannot be reached" in str(sent.error)


async def answered(*parts: bytes, endless: bool) -> Sent:
    """What comes of a receiver that answers this, and repeats the last part when it is endless."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n{}")
            writer.writelines(parts)
            while endless:
                writer.write(parts[-1])
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        return await HttpSender(HERE, seconds=10).post(f"http://127.0.0.1:{port}/", b"{}", {})


@pytest.mark.parametrize(
    "parts",
    [
        [b"HTTP/1.1 100 Continue\r\n\r\n" * 1000],
        [b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 1000],
        [b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 1000],
        [b"HTTP/1.1 200 OK\r\nA: ", b"b" * 10_000],
        [b"H" * 10_000],
    ],
)
async def test_an_answer_without_an_end_is_broken_off(parts: list[bytes]) -> None:
    sent = await answered(*parts, endless=True)

    assert (sent.status, sent.blocked) == (None, False)
    assert sent.latency < 8000
    assert sent.error == "the receiver's answer is not HTTP, or its head is too long"


async def test_the_body_of_an_answer_is_not_read() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"
    sent = await answered(head, b"no gzip" * 1000, endless=True)

    assert (sent.status, sent.error) == (200, None)


async def test_a_certificate_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    told: list[bytes] = []

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told.append(await reader.read(1000))
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))
    server = await asyncio.start_server(keep, "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        sent = await HttpSender(HERE).post(f"https://127.0.0.1:{port}/", b"secret", {})

    assert (sent.status, sent.blocked) == (None, False)
    assert "certificate" in str(sent.error)
    assert told == []


def self_signed(folder: Path) -> Path:
    """A certificate for this machine, and its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    alternative = x509.IPAddress(ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file = folder / "self-signed.pem"
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return file


@pytest.mark.parametrize("parts", [[], [b"HTTP/1.1 200 OK\r\nSecret: x\r\n"]])
async def test_who_closes_the_connection_has_not_answered(parts: list[bytes]) -> None:
    sent = await answered(*parts, endless=False)

    assert (sent.status, sent.blocked) == (None, False)
    assert sent.error == "the receiver closed the connection before it had answered"
