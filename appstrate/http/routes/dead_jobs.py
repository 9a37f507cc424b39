"""Routes for the administrators of the platform: the jobs that were given up."""

from datetime import datetime

import msgspec

from actors.contract import Resource, spell
from actors.documents import as_object
from actors.files import DELETE_TOPIC, RETRY_DEAD
from actors.queue import (
    DeadJob,
    DiscardDeadJob,
    JobId,
    ListDeadJobs,
    ReadDeadJob,
    RetryDeadJob,
)
from actors.runtime import Conflict, NotFound
from appstrate.http.call import Call, Page, Query, Routes, Scope, number, page

routes = Routes()

PATH = "/api/admin/dead-jobs"
DELETIONS = "/api/admin/storage-deletion-jobs"
AFTER = Query("startingAfter", "The id of the last job of the page before.")
LIMIT = Query("limit", "Jobs on a page.", number(100, 50))
TOPIC = Query("topic", "Jobs of one topic, such as webhook.deliver.")


class StorageDeletionJob(Resource, frozen=True, kw_only=True, rename=spell):
    """A blob that could not be deleted. It is tried once more at `next_attempt_at`, or soon after,
    and so on for ever.
    """

    id: JobId
    storage_key: str
    attempts: int
    last_error: str
    next_attempt_at: datetime
    created_at: datetime
    died_at: datetime = msgspec.field(name="diedAt")


@routes.add("GET", PATH, Scope.PLATFORM, query=(TOPIC, AFTER, LIMIT))
async def list_dead_jobs(call: Call) -> Page[DeadJob]:
    """Jobs that were given up and why, of every organization, the latest first."""
    return await _listed(call, call.query("topic"))


@routes.add("GET", f"{PATH}/{{job}}", Scope.PLATFORM)
async def read_dead_job(call: Call) -> DeadJob:
    """A job that was given up: what it was about, how often it was tried, and its last error."""
    return await _dead(call)


@routes.add("POST", f"{PATH}/{{job}}/retry", Scope.PLATFORM, audit=True, refuses={409: "conflict"})
async def retry_dead_job(call: Call) -> DeadJob:
    """Try a job again, at once and with all its attempts; answers what it was."""
    return await _retried(call, await _dead(call))


@routes.add("DELETE", f"{PATH}/{{job}}", Scope.PLATFORM, status=204, audit=True)
async def discard_dead_job(call: Call) -> None:
    """Forget a job: what it was to do is never done."""
    if not await call.at.queue.ask(DiscardDeadJob(job=_job(call))):
        raise _none(call)


@routes.add("GET", DELETIONS, Scope.PLATFORM, query=(AFTER, LIMIT))
async def list_storage_deletion_jobs(call: Call) -> Page[StorageDeletionJob]:
    """Blobs that could not be deleted in eight attempts, the latest first."""
    found = await _listed(call, DELETE_TOPIC)
    return page([_deletion(each) for each in found.data], has_more=found.has_more)


@routes.add(
    "POST", f"{DELETIONS}/{{job}}/retry", Scope.PLATFORM, audit=True, refuses={409: "conflict"}
)
async def retry_storage_deletion_job(call: Call) -> StorageDeletionJob:
    """Try to delete a blob again, at once; answers how it was."""
    job = await _dead(call)
    if job.topic != DELETE_TOPIC:
        raise _none(call)
    return _deletion(await _retried(call, job))


async def _listed(call: Call, topic: str | None) -> Page[DeadJob]:
    limit, after = call.number("limit", 50, most=100), call.query("startingAfter")
    message = ListDeadJobs(topic=topic, limit=limit + 1, after=JobId(after) if after else None)
    found = await call.at.queue.ask(message)
    if len(found) > limit:
        call.next_page(startingAfter=found[limit - 1].id)
    return page(found[:limit], has_more=len(found) > limit)


async def _dead(call: Call) -> DeadJob:
    found = await call.at.queue.ask(ReadDeadJob(job=_job(call)))
    if found is None:
        raise _none(call)
    return found


async def _retried(call: Call, job: DeadJob) -> DeadJob:
    if not await call.at.queue.ask(RetryDeadJob(job=job.id)):
        raise Conflict("it is tried already, or the same work was promised anew: discard this one")
    return job


def _deletion(job: DeadJob) -> StorageDeletionJob:
    return StorageDeletionJob(
        id=job.id,
        storage_key=str(as_object(job.payload).get("key")),
        attempts=job.attempts,
        last_error=job.error,
        next_attempt_at=job.died_at + RETRY_DEAD,
        created_at=job.created_at,
        died_at=job.died_at,
    )


def _job(call: Call) -> JobId:
    return JobId(call.request.match_info["job"])


def _none(call: Call) -> NotFound:
    return NotFound(f"no job {_job(call)} was given up: it may have been retried or discarded")
