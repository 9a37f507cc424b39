"""Putting a file's bytes into the storage, such that none are left behind by whatever fails."""

import hashlib
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any

from actors.files.records import DELETE_TOPIC
from actors.queue import AddJob, NewJob, Queue
from actors.runtime import Address, Rejected
from actors.storage import Body, CopyBlob, DeleteBlob, PutBlob, Storage, close_body

LOOK_AGAIN = timedelta(hours=24)
"""Longer than anything takes from a blob to the row that tells of it."""


class FileBlobs:
    """Blobs that a row of the database will tell of.

    Before one is put, a job is added which looks a day later whether such a row has come, and
    deletes the blob if not: a crash at any moment leaves nothing for ever.
    """

    def __init__(self, storage: Address[Storage], queue: Address[Queue]) -> None:
        self._storage = storage
        self._queue = queue

    async def put(
        self,
        key: str,
        body: Body,
        *,
        limit: int,
        size: int | None = None,
        sha256: str | None = None,
    ) -> tuple[int, str]:
        """Store a body of at most `limit` bytes; answers its size and digest, in hexadecimal.

        Nothing is stored when it has another `size` (`invalid_request`) or digest
        (`checksum_mismatch`) than announced. The body is closed in every case.
        """
        digest = hashlib.sha256()
        try:
            await self._promise(key)
            checked = _checked(body, digest, size, sha256)
            stored = await self._storage.ask(PutBlob(key=key, body=checked, limit=limit))
        finally:
            await close_body(body)
        return stored, digest.hexdigest()

    async def copy(self, source: str, key: str) -> None:
        """Store what is under another key."""
        await self._promise(key)
        await self._storage.ask(CopyBlob(source=source, key=key))

    def drop(self, key: str) -> None:
        """Delete a blob nothing will tell of; if that fails, it happens a day later."""
        self._storage.tell(DeleteBlob(key=key))

    async def _promise(self, key: str) -> None:
        due = datetime.now(UTC) + LOOK_AGAIN
        job = NewJob(topic=DELETE_TOPIC, payload={"key": key}, due_at=due)
        await self._queue.ask(AddJob(job=job))


async def _checked(
    body: Body, digest: Any, size: int | None, sha256: str | None
) -> AsyncGenerator[bytes, None]:
    read = 0
    async for chunk in body:
        digest.update(chunk)
        read += len(chunk)
        yield chunk
    if size is not None and read != size:
        raise Rejected(f"{read} bytes were sent, but {size} were announced as the size")
    if sha256 is not None and digest.hexdigest() != sha256:
        raise Rejected(
            f"the SHA-256 of what was sent is {digest.hexdigest()}, but another was announced",
            code="checksum_mismatch",
        )
