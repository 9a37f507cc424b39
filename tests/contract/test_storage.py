"""What every Storage promises."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable

import pytest

from actors.runtime import ActorCrashed, Address, HandlerError, NotFound, Rejected, Unavailable
from actors.storage import (
    Body,
    CopyBlob,
    DeleteBlob,
    FindBlob,
    ListBlobs,
    OpenBlob,
    PutBlob,
    Storage,
    chunks,
)
from support.running import running


@pytest.fixture(params=[pytest.param("local_storage", id="local")])
def factory(request: pytest.FixtureRequest) -> Callable[[], Storage]:
    made: Callable[[], Storage] = request.getfixturevalue(request.param)
    return made


@pytest.fixture
async def storage(factory: Callable[[], Storage]) -> AsyncIterator[Address[Storage]]:
    async with running(factory) as address:
        yield address


async def put(storage: Address[Storage], key: str, content: bytes) -> int:
    return await storage.ask(PutBlob(key=key, body=chunks(content)))


async def read(storage: Address[Storage], key: str) -> bytes:
    return await (await storage.ask(OpenBlob(key=key))).read()


async def test_a_blob_is_read_as_it_was_put(storage: Address[Storage]) -> None:
    content = bytes(range(256)) * 5000
    assert await put(storage, "a/b/@acme/c-1.0.0.afps", content) == len(content)
    blob = await storage.ask(OpenBlob(key="a/b/@acme/c-1.0.0.afps"))

    assert blob.size == len(content)
    assert await blob.read() == content


async def test_an_empty_blob_is_a_blob(storage: Address[Storage]) -> None:
    await put(storage, "empty", b"")

    assert await read(storage, "empty") == b""


async def test_a_blob_put_twice_keeps_the_last_body(storage: Address[Storage]) -> None:
    await put(storage, "k", b"one")
    await put(storage, "k", b"two")

    assert await read(storage, "k") == b"two"


async def test_a_blob_closed_unread_holds_nothing(storage: Address[Storage]) -> None:
    await put(storage, "a", b"x")
    blob = await storage.ask(OpenBlob(key="a"))
    await blob.aclose()
    del blob
    gc.collect()  # what is still open would warn now, and warnings are errors


async def test_a_missing_blob_is_refused(storage: Address[Storage]) -> None:
    await put(storage, "folder/k", b"x")
    for key in ("missing", "folder", "folder/k/deeper"):
        with pytest.raises(NotFound):
            await storage.ask(OpenBlob(key=key))


@pytest.mark.parametrize(
    ("start", "length", "expected"),
    [
        (0, 4, b"0123"),
        (3, 2, b"34"),
        (8, None, b"89"),
        (8, 100, b"89"),
        (0, 0, b""),
        (10, None, b""),
        (99, 1, b""),
    ],
)
async def test_a_part_of_a_blob_is_read_alone(
    storage: Address[Storage], start: int, length: int | None, expected: bytes
) -> None:
    await put(storage, "k", b"0123456789")
    blob = await storage.ask(OpenBlob(key="k", start=start, length=length))

    assert blob.size == 10
    assert await blob.read() == expected


async def test_a_range_crosses_chunks(storage: Address[Storage]) -> None:
    content = bytes(range(256)) * 4000
    await put(storage, "k", content)
    blob = await storage.ask(OpenBlob(key="k", start=70_001, length=800_000))

    assert await blob.read() == content[70_001:870_001]


async def test_a_blob_can_be_looked_for(storage: Address[Storage]) -> None:
    await put(storage, "folder/k", b"12345")

    assert await storage.ask(FindBlob(key="folder/k")) == 5
    assert await storage.ask(FindBlob(key="folder")) is None
    assert await storage.ask(FindBlob(key="folder/k/deeper")) is None
    assert await storage.ask(FindBlob(key="other")) is None


async def test_a_copy_is_a_blob_of_its_own(storage: Address[Storage]) -> None:
    await put(storage, "a/k", b"one")
    await put(storage, "b/k", b"in the way")
    await storage.ask(CopyBlob(source="a/k", key="b/k"))
    await put(storage, "a/k", b"two")
    await storage.ask(CopyBlob(source="a/k", key="c/k"))
    await storage.ask(DeleteBlob(key="a/k"))

    assert await read(storage, "b/k") == b"one"
    assert await read(storage, "c/k") == b"two"
    with pytest.raises(NotFound):
        await storage.ask(CopyBlob(source="a/k", key="d/k"))
    with pytest.raises(Rejected):
        await storage.ask(CopyBlob(source="../a", key="d/k"))


async def test_blobs_are_listed_in_the_order_of_their_keys(storage: Address[Storage]) -> None:
    keys = ["a/b/c", "a/b-c", "a/b.d", "a/bb", "a/b0", "a/A", "a/b/d/e"]
    for key in [*keys, "b/other"]:
        await put(storage, key, key.encode())
    found = await storage.ask(ListBlobs(key="a"))

    assert [(blob.key, blob.size) for blob in found] == [(key, len(key)) for key in sorted(keys)]
    paged: list[str] = []
    while page := await storage.ask(ListBlobs(key="a", after=paged[-1] if paged else "", limit=2)):
        paged += [blob.key for blob in page]
    assert paged == sorted(keys)
    assert await storage.ask(ListBlobs(key="nothing")) == []


async def test_deleting_is_idempotent(storage: Address[Storage]) -> None:
    await put(storage, "k", b"x")
    await storage.ask(DeleteBlob(key="k"))
    await storage.ask(DeleteBlob(key="k"))

    with pytest.raises(NotFound):
        await storage.ask(OpenBlob(key="k"))


@pytest.mark.parametrize(
    "key", ["", "/a", "a/", "a//b", "../a", "a/../b", ".hidden", "a/.b", "a\\b", "a\0b", "a b"]
)
async def test_a_key_that_could_leave_its_place_is_refused(
    storage: Address[Storage], key: str
) -> None:
    with pytest.raises(Rejected):
        await put(storage, key, b"x")
    with pytest.raises(Rejected):
        await storage.ask(OpenBlob(key=key))


async def test_a_body_that_fails_stores_nothing_and_is_closed(storage: Address[Storage]) -> None:
    closed: list[bool] = []

    async def broken() -> Body:
        try:
            yield b"half"
            raise ConnectionResetError("the client went away")
        finally:
            closed.append(True)

    await put(storage, "k", b"whole")
    with pytest.raises((HandlerError, ActorCrashed)):
        await storage.ask(PutBlob(key="k", body=broken()))

    assert await read(storage, "k") == b"whole"
    assert closed == [True]


async def test_a_body_over_its_limit_stores_nothing(storage: Address[Storage]) -> None:
    with pytest.raises(Rejected) as caught:
        await storage.ask(PutBlob(key="k", body=chunks(b"12345"), limit=4))

    assert caught.value.code == "payload_too_large"
    with pytest.raises(NotFound):
        await storage.ask(OpenBlob(key="k"))


async def test_a_body_that_goes_silent_is_given_up(
    storage: Address[Storage], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.storage.IDLE_SECONDS", 0.01)

    async def silent() -> Body:
        yield b"one"
        await asyncio.sleep(3600)

    with pytest.raises(Unavailable, match="nothing arrived"):
        await storage.ask(PutBlob(key="k", body=silent()))


async def test_a_slow_upload_outlives_the_deadline_of_its_ask(storage: Address[Storage]) -> None:
    gate = asyncio.Event()

    async def slow() -> Body:
        yield b"one "
        await gate.wait()
        yield b"two"

    upload = asyncio.create_task(storage.ask(PutBlob(key="k", body=slow()), within=0.02))
    await asyncio.sleep(0.1)
    gate.set()
    await upload

    assert await read(storage, "k") == b"one two"


async def test_slow_uploads_do_not_block_reads(storage: Address[Storage]) -> None:
    gate = asyncio.Event()

    async def slow() -> Body:
        await gate.wait()
        yield b"late"

    await put(storage, "k", b"here")
    uploads = [
        asyncio.create_task(storage.ask(PutBlob(key=f"slow/{n}", body=slow()))) for n in range(99)
    ]
    assert await asyncio.wait_for(read(storage, "k"), 2) == b"here"
    gate.set()
    await asyncio.gather(*uploads)

    assert await read(storage, "slow/98") == b"late"


async def test_a_cancelled_upload_stores_nothing(storage: Address[Storage]) -> None:
    begun = asyncio.Event()

    async def endless() -> Body:
        while True:
            begun.set()
            yield b"x"
            await asyncio.sleep(0)

    upload = asyncio.create_task(storage.ask(PutBlob(key="k", body=endless())))
    await begun.wait()
    upload.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upload
    await asyncio.sleep(0.05)

    with pytest.raises(NotFound):
        await storage.ask(OpenBlob(key="k"))


async def test_writers_of_one_key_never_mix(storage: Address[Storage]) -> None:
    bodies = [bytes([n]) * 300_000 for n in range(8)]
    await asyncio.gather(*(put(storage, "k", body) for body in bodies))

    assert await read(storage, "k") in bodies


async def test_a_blob_being_read_survives_its_replacement(storage: Address[Storage]) -> None:
    await put(storage, "k", b"old" * 200_000)
    blob = await storage.ask(OpenBlob(key="k"))
    await put(storage, "k", b"new")

    assert await blob.read() == b"old" * 200_000


async def test_blobs_survive_a_restart(factory: Callable[[], Storage]) -> None:
    async with running(factory) as first:
        await put(first, "k", b"kept")
    async with running(factory) as second:
        assert await read(second, "k") == b"kept"
