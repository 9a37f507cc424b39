"""What administrators of the platform do about jobs that were given up."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from actors.files import DELETE_TOPIC, SweepFiles
from actors.queue import AddJob, FailJob, JobId, NewJob, TakeJob, WakeQueue
from appstrate.boot import Server, serving
from appstrate.settings import read_settings
from support.api import PASSWORD, Api, new_owner
from support.postgres import Postgres, url_of
from support.sinks import database_of
from support.waiting import until

EMAIL = "root@example.com"
JOBS = "/api/admin/dead-jobs"
DELETIONS = "/api/admin/storage-deletion-jobs"


@pytest.fixture(scope="module")
async def platform(
    tmp_path_factory: pytest.TempPathFactory, postgres: Postgres
) -> AsyncIterator[Server]:
    environment = {
        "DATA_DIR": str(tmp_path_factory.mktemp("jobs")),
        "DATABASE_URL": url_of(await postgres.fresh_database()),
        "PORT": "0",
        "APP_ENV": "test",
        "RATE_LIMIT_FACTOR": "1000",
        "SIDECAR_POOL_SIZE": "0",
        "AUTH_PLATFORM_ADMIN_EMAILS": EMAIL,
    }
    async with serving(read_settings(environment)) as server:
        yield server


@pytest.fixture(scope="module")
async def root(platform: Server) -> Api:
    api = Api(platform.url)
    body = {"email": EMAIL, "password": PASSWORD, "name": "Root"}
    assert (await api.post("/api/auth/sign-up/email", body)).status == 200
    return api


async def died(server: Server, topic: str, payload: object, error: str = "no") -> JobId:
    """A job that was given up."""
    await server.at.queue.ask(AddJob(job=NewJob(topic=topic, payload=payload)))
    job = await server.at.queue.ask(TakeJob(topic=topic, lease=60))
    assert job is not None
    await server.at.queue.ask(FailJob(job=job.id, token=job.token, error=error, retry_at=None))
    return job.id


async def test_dead_jobs_are_listed_read_retried_and_discarded(platform: Server, root: Api) -> None:
    jobs = [await died(platform, "mail", {"to": n}, f"no box {n}") for n in range(3)]
    first = await root.get(JOBS, params={"topic": "mail", "limit": "2"})
    second = await root.get(
        JOBS, params={"topic": "mail", "limit": "2", "startingAfter": first.json["data"][-1]["id"]}
    )
    one = await root.get(f"{JOBS}/{jobs[0]}")
    retried = await root.post(f"{JOBS}/{jobs[0]}/retry")
    discarded = await root.delete(f"{JOBS}/{jobs[1]}")
    left = await root.get(JOBS, params={"topic": "mail"})
    taken = await platform.at.queue.ask(TakeJob(topic="mail", lease=60))

    assert [each["id"] for each in first.json["data"] + second.json["data"]] == jobs[::-1]
    assert (first.json["hasMore"], second.json["hasMore"]) == (True, False)
    assert 'rel="next"' in first.headers["Link"]
    assert (one.json["error"], one.json["payload"], one.json["attempts"]) == (
        "no box 0",
        {"to": 0},
        1,
    )
    assert (retried.status, retried.json, discarded.status) == (200, one.json, 204)
    assert [each["id"] for each in left.json["data"]] == [jobs[2]]
    assert taken is not None
    assert (taken.id, taken.attempt) == (jobs[0], 1)
    for gone in (jobs[0], jobs[1], "x"):
        assert (await root.get(f"{JOBS}/{gone}")).status == 404
        assert (await root.post(f"{JOBS}/{gone}/retry")).status == 404
        assert (await root.delete(f"{JOBS}/{gone}")).status == 404


async def test_what_is_done_about_them_is_written_down(platform: Server, root: Api) -> None:
    job, other = await died(platform, "told", 1), await died(platform, "told", 2)
    await root.post(f"{JOBS}/{job}/retry")
    await root.delete(f"{JOBS}/{other}")
    found = [
        (await root.get("/api/admin/audit", params={"resource": each})).json["data"]
        for each in (job, other)
    ]

    assert [[each["action"] for each in rows] for rows in found] == [
        ["retry_dead_job"],
        ["discard_dead_job"],
    ]


async def test_a_job_of_a_key_that_is_there_anew_is_not_retried(
    platform: Server, root: Api
) -> None:
    for _ in range(2):
        await platform.at.queue.ask(AddJob(job=NewJob(topic="keyed", key="k")))
        job = await platform.at.queue.ask(TakeJob(topic="keyed", lease=60))
        assert job is not None
        await platform.at.queue.ask(FailJob(job=job.id, token=job.token, error="no", retry_at=None))
    newer, older = (await root.get(JOBS, params={"topic": "keyed"})).json["data"]

    assert (await root.post(f"{JOBS}/{newer['id']}/retry")).status == 200
    assert (await root.post(f"{JOBS}/{older['id']}/retry")).status == 409


async def test_only_administrators_of_the_platform_see_them(platform: Server) -> None:
    job = await died(platform, "secret", 1)
    owner = await new_owner(platform.url)
    for api, status in ((owner, 403), (await owner.with_key(), 403), (Api(platform.url), 401)):
        for path in (JOBS, f"{JOBS}/{job}", DELETIONS):
            assert (await api.get(path)).status == status
        for path in (f"{JOBS}/{job}/retry", f"{DELETIONS}/{job}/retry"):
            assert (await api.post(path)).status == status
        assert (await api.delete(f"{JOBS}/{job}")).status == status


async def test_a_blob_that_cannot_be_deleted_is_told_and_tried_for_ever(
    platform: Server, root: Api
) -> None:
    pool, key = database_of(platform), "x" * 300  # longer than a file's name may be
    job = NewJob(topic=DELETE_TOPIC, payload={"key": key})
    added = await platform.at.queue.ask(AddJob(job=job))
    hurry = "UPDATE jobs SET due_at = now() WHERE id = $1 AND token IS NULL AND died_at IS NULL"

    async def dead() -> bool:
        await pool.execute(hurry, int(added))
        platform.at.queue.tell(WakeQueue(topic=DELETE_TOPIC))
        return bool((await root.get(DELETIONS)).json["data"])

    await until(dead)
    (found,) = (await root.get(DELETIONS)).json["data"]
    again = datetime.fromisoformat(found["next_attempt_at"])

    assert (found["id"], found["storage_key"], found["attempts"]) == (added, key, 8)
    assert found["last_error"]
    assert again - datetime.fromisoformat(found["diedAt"]) == timedelta(hours=6)

    now = datetime.now(UTC)
    await platform.at.file_sweeper.ask(SweepFiles(now=now + timedelta(hours=5)))
    assert (await root.get(DELETIONS)).json["data"] == [found]
    await platform.at.file_sweeper.ask(SweepFiles(now=now + timedelta(hours=7)))

    async def attempts() -> list[int]:
        return [each["attempts"] for each in (await root.get(DELETIONS)).json["data"]]

    async def tried_once_more() -> bool:
        return await attempts() == [9]

    await until(tried_once_more)
    other = await died(platform, "other", 1)
    assert (await root.post(f"{DELETIONS}/{other}/retry")).status == 404
    assert (await root.post(f"{DELETIONS}/{added}/retry")).json["attempts"] == 9
    assert await attempts() == []
