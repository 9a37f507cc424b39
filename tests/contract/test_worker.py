"""What a worker promises of the jobs it has at hand, over every Queue."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from actors.queue import AddJob, Job, NewJob, Queue, TakeJob
from actors.runtime import Address
from actors.worker import Retries, work
from adapters.postgres.pool import Pool
from support.running import running
from support.waiting import eventually

LEASE = 0.6


@pytest.fixture(params=[pytest.param("local_queue", id="local")])
async def queue(request: pytest.FixtureRequest, pool: Pool) -> AsyncIterator[Address[Queue]]:
    assert pool.was_open
    async with running(request.getfixturevalue(request.param)) as address:
        yield address


async def test_a_job_that_takes_longer_than_its_lease_stays_with_its_worker(
    queue: Address[Queue],
) -> None:
    begun: list[int] = []
    over = asyncio.Event()

    async def carry_out(job: Job) -> None:
        begun.append(job.attempt)
        await over.wait()

    await queue.ask(AddJob(job=NewJob(topic="mail")))
    retries = Retries(attempts=3, delays=[60])
    working = asyncio.ensure_future(work(queue, "mail", carry_out, retries=retries, lease=LEASE))
    await eventually(lambda: begun == [1])

    assert await queue.ask(TakeJob(topic="mail", lease=60, wait=3 * LEASE)) is None
    over.set()
    assert await queue.ask(TakeJob(topic="mail", lease=60, wait=2 * LEASE)) is None

    working.cancel()
    await asyncio.wait((working,))
    assert begun == [1]
