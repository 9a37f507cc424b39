"""Carries out the jobs of a topic: takes them, keeps hold of them, tries again with patience."""

import asyncio
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
) -> None:
    """Carry out the jobs of a topic for ever, so many at a time. An actor owns this as a task.

    A job fails when `carry_out` raises; it is given up after its last attempt, or at once when
    that raises `GiveUp`. While one is carried out its lease is renewed.
    """
    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(_work_alone(queue, topic, carry_out, retries, lease))


async def _work_alone(
    queue: Address[Queue],
    topic: str,
    carry_out: Callable[[Job], Awaitable[None]],
    retries: Retries,
    lease: float,
) -> None:
    while True:
        try:
            taking = TakeJob(topic=topic, lease=lease, wait=WAIT_SECONDS)
            job = await queue.ask(taking, within=WAIT_SECONDS + 30)
            if job is not None:
                await _attempt(queue, job, carry_out, retries, lease)
        except (Unavailable, AskError) as problem:
            log.warning("no jobs for now", topic=topic, why=str(problem))
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
        await carry_out(job)
    except GiveUp as reason:
        await queue.ask(_failure(job, str(reason), None))
    except Refusal as refusal:
        await queue.ask(_failure(job, refusal.detail, retries))
    except Exception as error:
        log.exception("job failed", topic=job.topic, job=job.id, attempt=job.attempt)
        await queue.ask(_failure(job, f"{type(error).__name__}: {error}", retries))
    else:
        await queue.ask(FinishJob(job=job.id, token=job.token))
    finally:
        holding.cancel()


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
