"""What every Queue promises."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from actors.queue import (
    AddJob,
    DiscardDeadJob,
    ExtendJob,
    FailJob,
    FinishJob,
    ForgetDeadJobs,
    Job,
    JobId,
    ListDeadJobs,
    NewJob,
    Queue,
    ReadDeadJob,
    RetryDeadJob,
    RetryDeadJobs,
    TakeJob,
)
from actors.runtime import Address
from actors.worker import GiveUp, Retries, work
from adapters.postgres.pool import Pool
from support.running import running
from support.waiting import eventually

MINUTE = 60.0


@pytest.fixture(params=[pytest.param("local_queue", id="local")])
async def queue(request: pytest.FixtureRequest, pool: Pool) -> AsyncIterator[Address[Queue]]:
    assert pool.was_open
    async with running(request.getfixturevalue(request.param)) as address:
        yield address


async def add(queue: Address[Queue], payload: object, **options: Any) -> str:
    job = NewJob(topic="mail", payload=payload, **options)
    return await queue.ask(AddJob(job=job))


async def take(queue: Address[Queue], *, wait: float = 0, lease: float = MINUTE) -> Job | None:
    return await queue.ask(TakeJob(topic="mail", lease=lease, wait=wait), within=wait + 10)


async def taken(queue: Address[Queue], *, lease: float = MINUTE) -> Job:
    job = await take(queue, wait=5, lease=lease)
    assert job is not None
    return job


async def died(queue: Address[Queue], payload: object, **options: Any) -> JobId:
    """A job that was added, taken and given up."""
    await add(queue, payload, **options)
    job = await taken(queue)
    await queue.ask(FailJob(job=job.id, token=job.token, error="no such box", retry_at=None))
    return job.id


def soon(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


async def test_jobs_are_given_in_order_and_each_to_one(queue: Address[Queue]) -> None:
    for n in range(5):
        await add(queue, {"n": n})

    jobs = [await taken(queue) for _ in range(5)]

    assert [job.payload["n"] for job in jobs] == [0, 1, 2, 3, 4]
    assert [job.attempt for job in jobs] == [1] * 5
    assert await take(queue) is None


async def test_many_takers_never_share_a_job(queue: Address[Queue]) -> None:
    for n in range(40):
        await add(queue, n)

    jobs = await asyncio.gather(*(taken(queue) for _ in range(40)))

    assert sorted(job.payload for job in jobs) == list(range(40))


async def test_who_waits_is_woken(queue: Address[Queue]) -> None:
    waiting = asyncio.ensure_future(take(queue, wait=30))
    await take(queue)
    await add(queue, "now")

    async with asyncio.timeout(2):
        job = await waiting

    assert job is not None
    assert job.payload == "now"


async def test_topics_do_not_mix(queue: Address[Queue]) -> None:
    await add(queue, "mail")

    assert await queue.ask(TakeJob(topic="other", lease=MINUTE, wait=0)) is None


async def test_a_delayed_job_comes_when_it_is_due_and_not_before(queue: Address[Queue]) -> None:
    due = soon(0.3)
    await add(queue, "later", due_at=due)
    await add(queue, "never", due_at=soon(3600))

    assert await take(queue) is None
    await taken(queue)

    assert datetime.now(UTC) >= due


async def test_a_finished_job_is_gone(queue: Address[Queue]) -> None:
    await add(queue, 1)
    job = await taken(queue, lease=0.01)

    assert await queue.ask(FinishJob(job=job.id, token=job.token))
    assert not await queue.ask(FinishJob(job=job.id, token=job.token))
    assert await take(queue, wait=0.1) is None


async def test_a_job_whose_holder_died_is_given_to_another(queue: Address[Queue]) -> None:
    await add(queue, 1)
    dead = await taken(queue, lease=0.05)

    job = await taken(queue)

    assert (job.id, job.attempt) == (dead.id, 2)
    assert not await queue.ask(FinishJob(job=dead.id, token=dead.token))
    assert not await queue.ask(ExtendJob(job=dead.id, token=dead.token, lease=MINUTE))
    assert not await queue.ask(FailJob(job=dead.id, token=dead.token, error="late", retry_at=None))
    assert await queue.ask(FinishJob(job=job.id, token=job.token))


async def test_an_extended_job_stays_with_its_holder(queue: Address[Queue]) -> None:
    await add(queue, 1)
    job = await taken(queue, lease=0.2)

    assert await queue.ask(ExtendJob(job=job.id, token=job.token, lease=MINUTE))

    assert await take(queue, wait=0.3) is None
    assert await queue.ask(FinishJob(job=job.id, token=job.token))


async def test_a_failed_job_is_taken_again_when_it_is_told_to(queue: Address[Queue]) -> None:
    await add(queue, 1)
    job = await taken(queue)
    again = soon(0.2)
    await queue.ask(FailJob(job=job.id, token=job.token, error="no", retry_at=again))

    second = await taken(queue)

    assert second.attempt == 2
    assert datetime.now(UTC) >= again


async def test_a_job_given_up_is_listed_and_may_be_retried_by_hand(queue: Address[Queue]) -> None:
    await add(queue, {"to": "ana"})
    job = await taken(queue)
    await queue.ask(FailJob(job=job.id, token=job.token, error="no such box", retry_at=None))

    (dead,) = await queue.ask(ListDeadJobs(topic="mail"))
    assert (dead.id, dead.error, dead.attempts) == (job.id, "no such box", 1)
    assert await take(queue) is None
    assert await queue.ask(RetryDeadJob(job=dead.id))

    assert (await taken(queue)).attempt == 1
    assert await queue.ask(ListDeadJobs()) == []
    assert not await queue.ask(RetryDeadJob(job=dead.id))


async def test_dead_jobs_come_in_pages_and_are_read_one_by_one(queue: Address[Queue]) -> None:
    jobs = [await died(queue, n) for n in range(3)]
    first = await queue.ask(ListDeadJobs(topic="mail", limit=2))
    second = await queue.ask(ListDeadJobs(topic="mail", limit=2, after=first[-1].id))
    one = await queue.ask(ReadDeadJob(job=jobs[0]))

    assert [job.id for job in first + second] == jobs[::-1]
    assert one == second[0]
    assert await queue.ask(ListDeadJobs(topic="other")) == []


async def test_a_dead_job_is_discarded_and_a_living_one_is_not(queue: Address[Queue]) -> None:
    dead = await died(queue, 1)
    living = JobId(await add(queue, 2))

    assert await queue.ask(DiscardDeadJob(job=dead))
    assert not await queue.ask(DiscardDeadJob(job=dead))
    assert not await queue.ask(DiscardDeadJob(job=living))
    assert await queue.ask(ReadDeadJob(job=living)) is None
    assert (await taken(queue)).id == living
    assert await queue.ask(ListDeadJobs()) == []


@pytest.mark.parametrize("job", ["", "0", "x", "-1", "٣", "9" * 40])
async def test_what_is_no_id_is_not_found(queue: Address[Queue], job: str) -> None:
    for message in (RetryDeadJob, DiscardDeadJob, ReadDeadJob):
        assert not await queue.ask(message(job=JobId(job)))


async def test_dead_jobs_of_a_topic_are_tried_once_more_each(queue: Address[Queue]) -> None:
    await died(queue, 1)
    await died(queue, 2)

    assert await queue.ask(RetryDeadJobs(topic="mail", before=soon(-MINUTE))) == 0
    assert await queue.ask(RetryDeadJobs(topic="other", before=soon(1))) == 0
    assert await queue.ask(RetryDeadJobs(topic="mail", before=soon(1))) == 2
    assert [(await taken(queue)).attempt for _ in range(2)] == [2, 2]


async def test_of_dead_jobs_of_a_key_one_is_tried_again(queue: Address[Queue]) -> None:
    dead = [await died(queue, n, key="k") for n in range(2)]

    assert await queue.ask(RetryDeadJobs(topic="mail", before=soon(1))) == 1
    assert not await queue.ask(RetryDeadJob(job=dead[0]))
    assert (await taken(queue)).id == dead[1]


async def test_old_dead_jobs_are_forgotten(queue: Address[Queue]) -> None:
    await died(queue, 1)
    await add(queue, 2)

    assert await queue.ask(ForgetDeadJobs(before=soon(-MINUTE))) == 0
    assert await queue.ask(ForgetDeadJobs(before=soon(1))) == 1
    assert (await taken(queue)).payload == 2


async def test_a_full_group_waits_and_holds_up_nobody(queue: Address[Queue]) -> None:
    for n in range(3):
        await add(queue, f"slow {n}", group="slow")
    await add(queue, "quick", group="quick")
    await add(queue, "alone")
    few = TakeJob(topic="mail", lease=MINUTE, wait=0, most_of_group=2)
    jobs = [await queue.ask(few) for _ in range(5)]

    held = [job for job in jobs if job is not None]
    assert [job.payload for job in held] == ["slow 0", "quick", "alone", "slow 1"]
    waiting = asyncio.ensure_future(
        queue.ask(TakeJob(topic="mail", lease=MINUTE, wait=30, most_of_group=2), within=40)
    )
    await queue.ask(few)
    await queue.ask(FinishJob(job=held[0].id, token=held[0].token))
    async with asyncio.timeout(2):
        last = await waiting

    assert last is not None
    assert last.payload == "slow 2"


async def test_groups_that_are_behind_hold_up_none_that_is_not(queue: Address[Queue]) -> None:
    for n in range(3):
        for group in ("one", "other"):
            await add(queue, f"{group} {n}", group=group)
    few = TakeJob(topic="mail", lease=MINUTE, wait=0, most_of_group=3)
    await queue.ask(few)
    await queue.ask(few)
    await add(queue, "new", group="new")
    jobs = [await queue.ask(few) for _ in range(5)]
    in_order = await queue.ask(TakeJob(topic="mail", lease=MINUTE, wait=0))

    assert [job and job.payload for job in jobs] == ["new", "one 1", "other 1", "one 2", "other 2"]
    assert in_order is None


async def test_without_a_bound_groups_do_not_matter(queue: Address[Queue]) -> None:
    for payload, group in (("a 0", "a"), ("a 1", "a"), ("b 0", "b")):
        await add(queue, payload, group=group)

    assert [(await taken(queue)).payload for _ in range(3)] == ["a 0", "a 1", "b 0"]


async def test_a_key_is_there_once_until_it_is_done(queue: Address[Queue]) -> None:
    first = await add(queue, 1, key="k")

    assert await add(queue, 2, key="k") == first
    job = await taken(queue)
    assert job.payload == 1
    assert await take(queue) is None
    await queue.ask(FinishJob(job=job.id, token=job.token))
    assert await add(queue, 3, key="k") != first


async def test_of_those_who_add_a_key_at_once_each_is_told_the_same_job(
    queue: Address[Queue],
) -> None:
    for n in range(10):
        told = await asyncio.gather(*(add(queue, n, key="k") for _ in range(8)))
        job = await taken(queue)

        assert set(told) == {job.id}
        assert await queue.ask(FinishJob(job=job.id, token=job.token))


async def test_a_worker_carries_out_retries_and_gives_up(queue: Address[Queue]) -> None:
    done: list[tuple[str, int]] = []

    async def carry_out(job: Job) -> None:
        done.append((job.payload, job.attempt))
        if job.payload == "hopeless":
            raise GiveUp("never")
        if job.payload == "always fails" or job.attempt == 1:
            raise ValueError("not now")

    retries = Retries(attempts=3, delays=[0.01])
    working = asyncio.ensure_future(
        work(queue, "mail", carry_out, retries=retries, lease=MINUTE, concurrency=2)
    )
    for payload in ("works", "always fails", "hopeless"):
        await add(queue, payload)

    async with asyncio.timeout(10):
        while len(await queue.ask(ListDeadJobs())) < 2 or len(done) < 6:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    working.cancel()
    await asyncio.wait((working,))

    assert sorted(done) == [
        *[("always fails", n) for n in (1, 2, 3)],
        ("hopeless", 1),
        *[("works", n) for n in (1, 2)],
    ]
    assert {job.error for job in await queue.ask(ListDeadJobs())} == {
        "never",
        "ValueError: not now",
    }


async def test_a_worker_holds_few_jobs_of_a_group_at_once(queue: Address[Queue]) -> None:
    begun: list[str] = []
    all_quick, over = asyncio.Event(), asyncio.Event()

    async def carry_out(job: Job) -> None:
        begun.append(job.payload)
        if begun.count("quick") == 3:
            all_quick.set()
        if job.payload == "slow":
            await over.wait()

    for payload in ("slow",) * 5 + ("quick",) * 3:
        await add(queue, payload, group=payload)
    working = asyncio.ensure_future(
        work(
            *(queue, "mail", carry_out),
            retries=Retries(attempts=1, delays=[1]),
            concurrency=4,
            most_of_group=2,
        )
    )
    async with asyncio.timeout(5):
        await all_quick.wait()
    assert begun.count("slow") == 2
    over.set()
    await eventually(lambda: begun.count("slow") == 5)
    working.cancel()
    await asyncio.wait((working,))


def test_delays_grow_and_end() -> None:
    retries = Retries(attempts=4, delays=[30, 300], jitter=0.1)

    assert [retries.after(n, 0) for n in (1, 2, 3, 4)] == [30, 300, 300, None]
    assert retries.after(1, 1) == pytest.approx(33)


async def test_a_worker_that_is_stopped_ends_or_gives_back_what_it_has_at_hand(
    queue: Address[Queue],
) -> None:
    begun: set[str] = set()
    soon_over = asyncio.Event()

    async def carry_out(job: Job) -> None:
        begun.add(job.payload)
        await (soon_over.wait() if job.payload == "quick" else asyncio.Event().wait())

    for payload in ("quick", "slow"):
        await add(queue, payload)
    retries = Retries(attempts=1, delays=[MINUTE])
    working = asyncio.ensure_future(work(queue, "mail", carry_out, retries=retries, concurrency=3))
    await eventually(lambda: len(begun) == 2)
    await add(queue, "late", due_at=soon(0.2))
    working.cancel()
    await asyncio.wait((working,), timeout=0)
    soon_over.set()
    await asyncio.wait((working,))
    left = [await taken(queue) for _ in range(2)]

    assert working.cancelled()
    assert [(job.payload, job.attempt) for job in left] == [("late", 1), ("slow", 2)]
    assert await take(queue) is None
    assert await queue.ask(ListDeadJobs()) == []
