"""Jobs in the database, and waking within this process."""

import asyncio
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from actors.queue import (
    DeadJob,
    ExtendJob,
    FailJob,
    FinishJob,
    Job,
    JobId,
    JobRecords,
    ListDeadJobs,
    NewJob,
    Queue,
    TakeJob,
)

LOOK_AGAIN_SECONDS = 5.0
AT_ONCE_SECONDS = 0.001


class LocalQueue(Queue):
    """Durable, because jobs are rows; prompt, because whoever adds one here wakes who waits.

    Waiters look into the database when they are woken, when the next job falls due, and every
    few seconds, for what was added elsewhere.
    """

    def __init__(
        self, records: JobRecords, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        super().__init__()
        self._records = records
        self._now = now
        self._news: dict[str, asyncio.Event] = {}

    async def add(self, job: NewJob) -> JobId:
        added = await self._records.add(job, self._now())
        self.wake(job.topic)
        return added

    async def take(self, message: TakeJob) -> Job | None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + message.wait
        while True:
            # Before looking: what is added while we look must not be slept through.
            news = self._news.setdefault(message.topic, asyncio.Event())
            now = self._now()
            until = now + timedelta(seconds=message.lease)
            token = secrets.token_hex(16)
            most = message.most_of_group
            job = await self._records.take(message.topic, token, now, until, most)
            left = deadline - loop.time()
            if job is not None or left <= 0:
                return job
            await self._wait(news, min(left, await self._until_due(message.topic, most)))

    async def _until_due(self, topic: str, most_of_group: int | None) -> float:
        due = await self._records.next_due(topic, self._now(), most_of_group)
        if due is None:
            return LOOK_AGAIN_SECONDS
        seconds = (due - self._now()).total_seconds()
        return min(max(seconds, AT_ONCE_SECONDS), LOOK_AGAIN_SECONDS)

    async def _wait(self, news: asyncio.Event, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await news.wait()
        except TimeoutError:
            pass

    async def end_hold(self, message: FinishJob | FailJob) -> bool:
        job, token = message.job, message.token
        if isinstance(message, FinishJob):
            topic = await self._records.finish(job, token)
        else:
            again, now = message.retry_at, self._now()
            topic = await self._records.fail(job, token, message.error, again, now)
        if topic is not None:
            # Who waits may have to wake sooner than they think, or find room in its group.
            self.wake(topic)
        return topic is not None

    async def extend(self, message: ExtendJob) -> bool:
        until = self._now() + timedelta(seconds=message.lease)
        return await self._records.extend(message.job, message.token, until)

    def wake(self, topic: str) -> None:
        news = self._news.pop(topic, None)
        if news is not None:
            news.set()

    async def dead(self, message: ListDeadJobs) -> list[DeadJob]:
        return await self._records.dead(message.topic, message.limit, message.after)

    async def dead_job(self, job: JobId) -> DeadJob | None:
        return await self._records.dead_job(job)

    async def revive(self, job: JobId) -> bool:
        topic = await self._records.revive(job, self._now())
        if topic is not None:
            self.wake(topic)
        return topic is not None

    async def revive_all(self, topic: str, before: datetime) -> int:
        revived = await self._records.revive_all(topic, before, self._now())
        if revived:
            self.wake(topic)
        return revived

    async def discard(self, job: JobId) -> bool:
        return await self._records.discard(job)

    async def forget(self, before: datetime) -> int:
        return await self._records.forget(before)
