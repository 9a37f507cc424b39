"""Lets go of files whose time is over, and of blobs nothing tells of any more."""

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeAlias

import structlog

from actors.documents import as_object
from actors.files.records import DELETE_TOPIC, SweepRecords
from actors.queue import Job, Queue, RetryDeadJobs, WakeQueue
from actors.runtime import Actor, Address, AskError, Lane, Request, Unavailable
from actors.storage import DeleteBlob, Storage
from actors.worker import GiveUp, Retries, work

log = structlog.get_logger("files")

INTERVAL = 15 * 60.0
AT_ONCE = 500
# About an hour; what is dead then is tried once more every six hours, for ever.
PATIENCE = Retries(attempts=8, delays=[30.0 * 2**n for n in range(7)])
RETRY_DEAD = timedelta(hours=6)


class SweepFiles(Request["FileSweeper", int], frozen=True, kw_only=True):
    """Delete what has expired at a moment; answers how many uploads and documents that were.

    Deletions that were given up long before that moment are tried once more.
    """

    now: datetime


FileSweeperMessage: TypeAlias = SweepFiles


class FileSweeper(Actor):
    """Deletes blobs as the queue tells, and every 15 minutes what has expired."""

    lanes = (Lane("sweeps", 1, limit=16),)

    def __init__(
        self, records: SweepRecords, storage: Address[Storage], queue: Address[Queue]
    ) -> None:
        super().__init__()
        self._records = records
        self._storage = storage
        self._queue = queue

    async def started(self) -> None:
        deleting = work(self._queue, DELETE_TOPIC, self._delete, retries=PATIENCE, concurrency=4)
        self.own(deleting, "deletions")
        self.own(self._sweep_regularly(), "sweeps")

    async def receive(self, message: FileSweeperMessage) -> Any:
        return await self._sweep(message.now)

    async def _sweep_regularly(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                await self._sweep(datetime.now(UTC))
            except (Unavailable, AskError) as problem:
                log.warning("files not swept for now", why=str(problem))

    async def _sweep(self, now: datetime) -> int:
        await self._queue.ask(RetryDeadJobs(topic=DELETE_TOPIC, before=now - RETRY_DEAD))
        total = 0
        while gone := await self._records.sweep(now, AT_ONCE):
            total += gone
        if total:
            log.info("expired files deleted", files=total)
            self._queue.tell(WakeQueue(topic=DELETE_TOPIC))
        return total

    async def _delete(self, job: Job) -> None:
        key = as_object(job.payload).get("key")
        if not isinstance(key, str):
            raise GiveUp("this job names no blob")
        await self._records.delete_unkept(key, partial(self._storage.ask, DeleteBlob(key=key)))
