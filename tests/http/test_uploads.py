"""Uploads: announced, sent once, and of use to who announced them alone."""

import asyncio
import errno
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from yarl import URL

from actors.files import FileTokens
from appstrate.boot import Server
from support.api import Api
from support.files import announce, digest, send
from support.sinks import database_of


async def test_an_upload_is_announced_as_the_contract_has_it(owner: Api) -> None:
    announced = await announce(owner, b"abc", name="../../etc/pass wd")

    assert announced.status == 201
    told = announced.json
    assert told["object"] == "upload"
    assert told["uri"] == f"upload://{told['id']}"
    assert told["id"].startswith("upl_")
    assert told["url"].startswith(f"{owner.url}/api/uploads/_content?token=")
    assert (told["method"], told["headers"]) == ("PUT", {"Content-Type": "text/csv"})
    assert "expiresAt" in told


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "x" * 256),
        ("mime", "text"),
        ("mime", "text/html\r\nX: y"),
        ("size", 0),
        ("size", 100 * 2**20 + 1),
        ("sha256", "abc"),
    ],
)
async def test_an_announcement_that_cannot_be_names_its_field(
    owner: Api, field: str, value: object
) -> None:
    answer = await announce(owner, b"abc", **{field: value})

    assert (answer.status, answer.code) == (400, "validation_failed")
    assert field in answer.fields


async def test_bytes_are_sent_once(owner: Api) -> None:
    announced = await announce(owner, b"abc", sha256=digest(b"abc").upper())
    assert (await send(announced, b"abc")).status == 204
    again = await send(announced, b"abc")

    assert (again.status, again.code) == (409, "upload_already_written")


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (b"abcd", {}, 400, "invalid_request"),
        (b"ab", {}, 400, "invalid_request"),
        (b"abd", {}, 400, "checksum_mismatch"),
        (b"abc", {"Content-Type": "text/html"}, 400, "invalid_request"),
    ],
)
async def test_bytes_that_were_not_announced_are_refused(
    owner: Api, content: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    announced = await announce(owner, b"abc", sha256=digest(b"abc"))
    refused = await send(announced, content, **headers)

    assert (refused.status, refused.code) == (status, code)
    assert (await send(announced, b"abc")).status == 204, "nothing of the attempt is left"


@pytest.mark.parametrize(("size", "code"), [(2, "invalid_request"), (4, "payload_too_large")])
async def test_a_stream_of_another_length_is_refused(owner: Api, size: int, code: str) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(size):
            yield b"x"

    announced = await announce(owner, b"abc")
    refused = await send(announced, body())

    assert refused.code == code


async def test_a_broken_upload_can_be_sent_again(owner: Api) -> None:
    announced = await announce(owner, b"abcdef")
    url = URL(announced.json["url"], encoded=True)
    _, writer = await asyncio.open_connection(url.host, url.port)
    head = f"PUT {url.raw_path_qs} HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\n"
    writer.write(f"{head}Content-Length: 6\r\n\r\nabc".encode())
    await writer.drain()
    writer.close()
    await writer.wait_closed()

    assert (await send(announced, b"abcdef")).status == 204


async def test_a_full_disk_refuses_what_can_be_sent_again(
    owner: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    announced = await announce(owner, b"abc")
    with monkeypatch.context() as patch:
        patch.setattr("adapters.local.storage._sync", full)
        refused = await send(announced, b"abc")

    assert (refused.status, refused.code) == (503, "disk_full")
    assert (await send(announced, b"abc")).status == 204


async def test_an_upload_that_expires_while_it_is_sent_is_told_so(
    owner: Api, server: Server
) -> None:
    announced = await announce(owner, b"abc")

    async def content() -> AsyncIterator[bytes]:
        yield b"ab"
        gone = "DELETE FROM uploads WHERE id = $1"
        await database_of(server).execute(gone, announced.json["id"])
        yield b"c"

    answer = await send(announced, content())

    assert (answer.status, answer.code) == (410, "upload_expired")


async def test_a_token_opens_one_door(owner: Api, server: Server) -> None:
    announced = await announce(owner, b"abc")
    url, other = URL(announced.json["url"]), (await announce(owner, b"abc")).json["id"]
    token = url.query["token"]
    _, until, mac = token.split(".")
    expired = _tokens(server).new("upload", announced.json["id"], _past())
    for forged in ("", "x", f"{other}.{until}.{mac}", f"{token}x", token[:-1], "é.1.2"):
        answer = await Api("").request("PUT", url.with_query(token=forged), data=b"abc")
        assert (answer.status, answer.code) == (401, "unauthorized"), forged
    late = await Api("").request("PUT", url.with_query(token=expired), data=b"abc")

    assert (late.status, late.code) == (410, "upload_expired")


async def test_what_waits_is_bounded(owner: Api) -> None:
    answers = await asyncio.gather(*(announce(owner, b"a") for _ in range(53)))
    refused = [each.code for each in answers if each.status == 429]

    assert refused == ["upload_staging_limit_exceeded"] * 3
    assert sum(each.status == 201 for each in answers) == 50


async def test_uploads_of_an_organization_are_bounded_together(owner: Api) -> None:
    large = 100 * 2**20
    answers = await asyncio.gather(*(announce(owner, b"", size=large) for _ in range(23)))
    refused = [each.code for each in answers if each.status == 403]

    assert refused == ["storage_limit_exceeded"] * 3
    assert sum(each.status == 201 for each in answers) == 20


def _tokens(server: Server) -> FileTokens:
    actor = server.at.uploads._actor
    assert actor is not None
    return actor._tokens


def _past() -> datetime:
    return datetime.now(UTC) - timedelta(seconds=1)
