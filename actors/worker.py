"""Carries out the jobs of a topic: takes them, keeps hold of them, tries again with patience."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import structlog

from actors.queue import ExtendJob, FailJob, FinishJob, Job, Queue, TakeJob
from actors.runtime import Address, AskError, Refusal, Unavailable

log = structlog.get_logger("worker")

WAIT_SECONDS = 20.0
PAUSE_SECONDS = 1.0
LONGEST_ERROR = 2000
# Together less than an actor may take to end.
FINISH_SECONDS = 1.0
GIVE_BACK_SECONDS = 0.5


class GiveUp(Exception):  # noqa: N818 - a decision, not an error
    """The job will never succeed: it is not tried again. The message says why."""


class Retries(msgspec.Struct, frozen=True, kw_only=True):
    """How often a job is tried, and how long after each failed attempt, in seconds.

    The last delay counts for all later attempts; each is lengthened at random by up to `jitter`
    of itself, so that what failed together is not tried together.
    """

    attempts: int
    delays: Sequence[float]
    jitter: float = 0.1

    def after(self, attempt: int, chance: float) -> float | None:
        """Seconds until the next attempt after this one failed; None when it was the last.

        `chance` is between 0 and 1.
        """
        if attempt >= self.attempts:
            return None
        delay = self.delays[min(attempt, len(self.delays)) - 1]
        return delay * (1 + self.jitter * chance)


async def work(
    queue: Address[Queue],
    topic: str,
    carry_out: Callable[[Job], Awaitable[None]],
    *,
    retries: Retries,
    lease: float = 60.0,
    concurrency: int = 1,
    most_of_group: int | None = None,
) -> None:
    """Carry out the jobs of a topic for ever, so many at a time. An actor owns this as a task.

    A job fails when `carry_out` raises; it is given up after its last attempt, or at once when
    that raises `GiveUp`. While one is carried out its lease is renewed. Of each group at most
    `most_of_group` are carried out at once, over all instances. When it is cancelled it takes no
    more, and those at hand have a second to end; the others are given back, to be taken at once.
    """
    taking = TakeJob(topic=topic, lease=lease, wait=WAIT_SECONDS, most_of_group=most_of_group)
    free = asyncio.Semaphore(concurrency)
    at_hand: set[asyncio.Task[None]] = set()
    async with asyncio.TaskGroup() as group:
        try:
            while True:
                await free.acquire()
                job = await _take(queue, taking)
                trying = group.create_task(_attempt(queue, job, carry_out, retries, lease))
                at_hand.add(trying)
                trying.add_done_callback(at_hand.discard)
                trying.add_done_callback(lambda _: free.release())
        finally:
            if at_hand:
                await asyncio.wait(at_hand, timeout=FINISH_SECONDS)


async def _take(queue: Address[Queue], taking: TakeJob) -> Job:
    while True:
        try:
            job = await queue.ask(taking, within=WAIT_SECONDS + 30)
            if job is not None:
                return job
        except (Unavailable, AskError) as problem:
            log.warning("no jobs for now", topic=taking.topic, why=str(problem))
            await asyncio.sleep(PAUSE_SECONDS)


async def _attempt(
    queue: Address[Queue],
    job: Job,
    carry_out: Callable[[Job], Awaitable[None]],
    retries: Retries,
    lease: float,
) -> None:
    holding = asyncio.ensure_future(_keep_hold(queue, job, lease))
    try:
        await queue.ask(await _carried_out(job, carry_out, retries))
    except (Unavailable, AskError) as problem:
        # Its lease runs out, and somebody takes it again.
        log.warning("how a job ended was not kept", job=job.id, why=str(problem))
    except asyncio.CancelledError:
        await _give_back(queue, job)
        raise
    finally:
        holding.cancel()


async def _give_back(queue: Address[Queue], job: Job) -> None:
    interrupted = FailJob(
        job=job.id, token=job.token, error="it was interrupted", retry_at=datetime.now(UTC)
    )
    with contextlib.suppress(Unavailable, AskError):  # its lease runs out
        await queue.ask(interrupted, within=GIVE_BACK_SECONDS)


async def _carried_out(
    job: Job, carry_out: Callable[[Job], Awaitable[None]], retries: Retries
) -> FinishJob | FailJob:
    """Make an attempt; what is to be said of it."""
    try:
        await carry_out(job)
    except GiveUp as reason:
        return _failure(job, str(reason), None)
    except Refusal as refusal:
        return _failure(job, refusal.detail, retries)
    except Exception as error:
        log.exception("job failed", topic=job.topic, job=job.id, attempt=job.attempt)
        return _failure(job, f"{type(error).__name__}: {error}", retries)
    return FinishJob(job=job.id, token=job.token)


async def _keep_hold(queue: Address[Queue], job: Job, lease: float) -> None:
    while True:
        await asyncio.sleep(lease / 3)
        try:
            await queue.ask(ExtendJob(job=job.id, token=job.token, lease=lease))
        except (Unavailable, AskError) as problem:
            log.warning("lease of a job not renewed", job=job.id, why=str(problem))


def _failure(job: Job, error: str, retries: Retries | None) -> FailJob:
    delay = retries.after(job.attempt, random.random()) if retries is not None else None  # noqa: S311 - jitter is no secret
    retry_at = None if delay is None else datetime.now(UTC) + timedelta(seconds=delay)
    return FailJob(job=job.id, token=job.token, error=error[:LONGEST_ERROR], retry_at=retry_at)
