"""Keeps blobs: named streams of bytes, written whole or not at all.

A key is a path of 1 to 32 segments joined by `/`, at most 512 bytes; a segment has letters,
digits and `@ . _ + = -`, and does not start with a dot. `check_key` refuses all others, so no key
can leave its place. Implementations: LocalStorage (a directory).
"""

import asyncio
import re
from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Annotated, Any, TypeAlias, assert_never

import msgspec

from actors.runtime import Actor, Lane, Rejected, Request, Unavailable

KEY_LIMIT = 512
IDLE_SECONDS = 30.0
SEGMENT = re.compile(r"[A-Za-z0-9@_+=-][A-Za-z0-9@._+=-]*")

Body: TypeAlias = AsyncIterator[bytes]


class PutBlob(Request["Storage", int], frozen=True, kw_only=True):
    """Store `body` under `key`, replacing what was there, and answer its size in bytes.

    Readers see the old blob or the new one, whole, also after a crash. If the body fails, is idle
    for 30 s, or is longer than `limit` bytes (`Rejected`, code payload_too_large), nothing is
    stored and the old blob stays. The body is closed in every case.
    """

    streaming = True
    key: str
    body: Body
    limit: int | None = None


class OpenBlob(Request["Storage", "Blob"], frozen=True, kw_only=True):
    """The blob last put under `key`, opened for one reading; refuses with `NotFound`.

    Whoever asked closes it. A blob that is replaced or deleted meanwhile is still read to its end.
    Only bytes from `start` are read, and at most `length` of them; what lies behind the end of the
    blob is empty.
    """

    key: str
    start: Annotated[int, msgspec.Meta(ge=0)] = 0
    length: Annotated[int, msgspec.Meta(ge=0)] | None = None


class FindBlob(Request["Storage", int | None], frozen=True, kw_only=True):
    """The size of the blob under `key` in bytes; None when there is none."""

    key: str


class CopyBlob(Request["Storage", None], frozen=True, kw_only=True):
    """Put the blob under `source` under `key` too, replacing what was there.

    Cheap however large it is: no bytes pass through the server. Refuses with `NotFound`.
    """

    source: str
    key: str


class StoredBlob(msgspec.Struct, frozen=True, kw_only=True):
    """A blob in a list: its key and its size in bytes."""

    key: str
    size: int


class ListBlobs(Request["Storage", list[StoredBlob]], frozen=True, kw_only=True):
    """Up to `limit` blobs below the folder `key`, in the order of their keys, after `after`.

    What is put or deleted meanwhile may be in it or not.
    """

    key: str
    after: str = ""
    limit: int = 1000


class DeleteBlob(Request["Storage", None], frozen=True, kw_only=True):
    """Delete the blob under `key`; deleting one that is not there does nothing."""

    key: str


class Blob:
    """An open blob: the size of all of it in bytes, and its content, or the part of it that was
    asked for, to be iterated once and closed.
    """

    def __init__(self, size: int, content: Body) -> None:
        self.size = size
        self._content = content

    def __aiter__(self) -> Body:
        return self._content

    async def aclose(self) -> None:
        """Release what the blob holds open."""
        await close_body(self._content)

    async def read(self) -> bytes:
        """All that was asked for at once, for what is known to be small. Closes the blob."""
        try:
            return b"".join([chunk async for chunk in self._content])
        finally:
            await self.aclose()


StorageMessage: TypeAlias = PutBlob | OpenBlob | FindBlob | CopyBlob | ListBlobs | DeleteBlob


class Storage(Actor):
    """Keeps blobs. Uploads have a lane of their own, so slow ones never block reads.

    It is wider than the lane of any actor that brings files: one with slow senders blocks no other.
    """

    lanes = (Lane("uploads", 64, (PutBlob,), limit=256), Lane("rest", 32))

    async def receive(self, message: StorageMessage) -> Any:
        check_key(message.key)
        match message:
            case PutBlob():
                return await self._put(message)
            case OpenBlob():
                return await self.open(message)
            case FindBlob():
                return await self.find(message)
            case CopyBlob():
                check_key(message.source)
                return await self.copy(message)
            case ListBlobs():
                return await self.list(message)
            case DeleteBlob():
                return await self.delete(message)
            case _:
                assert_never(message)

    async def _put(self, message: PutBlob) -> int:
        try:
            body = guarded(message.body, message.limit)
            return await self.put(msgspec.structs.replace(message, body=body))
        finally:
            await close_body(message.body)

    @abstractmethod
    async def put(self, message: PutBlob) -> int: ...

    @abstractmethod
    async def open(self, message: OpenBlob) -> Blob: ...

    @abstractmethod
    async def find(self, message: FindBlob) -> int | None: ...

    @abstractmethod
    async def copy(self, message: CopyBlob) -> None: ...

    @abstractmethod
    async def list(self, message: ListBlobs) -> list[StoredBlob]: ...

    @abstractmethod
    async def delete(self, message: DeleteBlob) -> None: ...


def check_key(key: str) -> None:
    """Refuse a key that is not one."""
    segments = key.split("/")
    safe = all(SEGMENT.fullmatch(segment) for segment in segments)
    if not safe or len(segments) > 32 or len(key) > KEY_LIMIT:
        raise Rejected(f"{key[:100]!r} is not a valid storage key", param="key")


async def close_body(body: Body) -> None:
    """Close a body that can be closed, which generators can."""
    close = getattr(body, "aclose", None)
    if close is not None:
        await close()


async def guarded(body: Body, limit: int | None = None) -> AsyncGenerator[bytes, None]:
    """The same bytes, given up when none come for 30 s or more than `limit` have come."""
    size = 0
    while True:
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                chunk = await anext(body)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise Unavailable(f"nothing arrived for {IDLE_SECONDS:g} s") from None
        size += len(chunk)
        if limit is not None and size > limit:
            raise Rejected(f"more than {limit} bytes", code="payload_too_large")
        yield chunk


async def chunks(content: bytes) -> Body:
    """Bytes that are in memory already, as a body."""
    yield content
