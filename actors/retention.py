"""What is kept for how long, and the nightly job that deletes the rest.

Nothing that can be read is deleted unless the operator says after how many days, but the
definitions of inline runs. What is active is left alone, however old. Usage is never deleted: it is
what somebody has paid.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Protocol, TypeAlias, assert_never

import msgspec
import structlog

from actors.queue import AddJob, ForgetDeadJobs, Job, NewJob, Queue
from actors.runtime import Actor, Address, Request
from actors.worker import Retries, work

log = structlog.get_logger("retention")

TOPIC = "retention"
HOUR = 3
RETRIES = Retries(attempts=6, delays=(60, 300, 1800, 7200))
LINES_AT_ONCE = 1000
RUNS_AT_ONCE = 20
LEFTOVERS_DAYS = 30
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class RetentionPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """After how many days from the end of a run what is deleted; None: never."""

    inline_days: int = 30
    run_days: int | None = None
    log_days: int | None = None


class Purged(msgspec.Struct, frozen=True, kw_only=True):
    """How much was deleted: definitions of inline runs, lines of logs
    (or model calls, where those were more), whole runs, and rows nobody asks for any more.
    """

    definitions: int = 0
    lines: int = 0
    runs: int = 0
    leftovers: int = 0


class PurgeExpired(Request["Retention", Purged], frozen=True, kw_only=True):
    """Delete what is to be deleted at this moment."""

    now: datetime


RetentionMessage: TypeAlias = PurgeExpired


class DeletedLines(msgspec.Struct, frozen=True, kw_only=True):
    """How much of what explains runs was deleted at once, and the end of the run it has come to.

    `reached` is None when there is no more.
    """

    number: int
    reached: datetime | None


class RetentionRecords(Protocol):
    """Deletes in small batches, each a transaction; answers how many, fewer than the limit at last.

    A run counts from its end; one that has not ended is never touched.
    """

    async def lines(
        self, since: datetime, before: datetime, limit: int, *, inline_only: bool
    ) -> DeletedLines:
        """Delete the logs, and what else explains a run, of runs that ended before a moment.

        It begins with those that ended at `since`, and takes them in that order.
        """
        ...

    async def definitions(self, before: datetime, limit: int) -> int:
        """Blank the manifests and prompts of inline runs that ended before a moment."""
        ...

    async def runs(self, before: datetime, limit: int) -> int:
        """Delete runs that ended before a moment."""
        ...

    async def leftovers(self, now: datetime, before: datetime, limit: int) -> int:
        """Delete sessions that have expired by now, and what is older than a moment: due times
        of schedules and attempts to deliver but the latest of each schedule and webhook, and events
        of webhooks without an attempt. At most so many rows of each; answers the most of one.
        """
        ...


class Retention(Actor):
    """Works every night at 03:00 UTC, on one instance, and catches up on a night it has missed."""

    def __init__(
        self,
        records: RetentionRecords,
        queue: Address[Queue],
        policy: RetentionPolicy,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__()
        self._records = records
        self._queue = queue
        self._policy = policy
        self._now = now

    async def started(self) -> None:
        self.own(self._work(), "nights")

    async def receive(self, message: RetentionMessage) -> Any:
        match message:
            case PurgeExpired():
                return await self._purge(message.now)
            case _:
                assert_never(message)

    async def _work(self) -> None:
        await self._plan_next()
        await work(self._queue, TOPIC, self._carry_out, retries=RETRIES)

    async def _carry_out(self, _: Job) -> None:
        # Before anything may fail, so that a bad night is not the last.
        await self._plan_next()
        purged = await self._purge(self._now())
        if purged != Purged():
            log.info("deleted what was old", **msgspec.structs.asdict(purged))

    async def _plan_next(self) -> None:
        night = next_night(self._now())
        job = NewJob(topic=TOPIC, due_at=night, key=night.date().isoformat())
        await self._queue.ask(AddJob(job=job))

    async def _purge(self, now: datetime) -> Purged:
        policy, records = self._policy, self._records
        inline = now - timedelta(days=policy.inline_days)
        lines = await self._purge_lines(inline, inline_only=True)
        definitions = await _all(partial(records.definitions, inline, RUNS_AT_ONCE), RUNS_AT_ONCE)
        runs = 0
        for days in (policy.log_days, policy.run_days):
            if days is not None:
                before = now - timedelta(days=days)
                lines += await self._purge_lines(before, inline_only=False)
        if policy.run_days is not None:
            before = now - timedelta(days=policy.run_days)
            runs = await _all(partial(records.runs, before, RUNS_AT_ONCE), RUNS_AT_ONCE)
        leftovers = await self._purge_leftovers(now)
        return Purged(definitions=definitions, lines=lines, runs=runs, leftovers=leftovers)

    async def _purge_lines(self, before: datetime, *, inline_only: bool) -> int:
        total, since = 0, BEGINNING
        while True:
            deleted = await self._records.lines(
                since, before, LINES_AT_ONCE, inline_only=inline_only
            )
            total += deleted.number
            if deleted.reached is None:
                return total
            since = deleted.reached

    async def _purge_leftovers(self, now: datetime) -> int:
        before = now - timedelta(days=LEFTOVERS_DAYS)
        batch = partial(self._records.leftovers, now, before, LINES_AT_ONCE)
        return await _all(batch, LINES_AT_ONCE) + await self._queue.ask(
            ForgetDeadJobs(before=before)
        )


def next_night(now: datetime) -> datetime:
    """The next time it is 03:00 UTC, never now."""
    today = now.astimezone(UTC).replace(hour=HOUR, minute=0, second=0, microsecond=0)
    return today if today > now else today + timedelta(days=1)


async def _all(batch: Callable[[], Awaitable[int]], limit: int) -> int:
    """Delete batch by batch until one is not full."""
    total = 0
    while True:
        deleted = await batch()
        total += deleted
        if deleted < limit:
            return total
