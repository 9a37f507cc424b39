"""Jobs: work that was promised, and is tried until it is done or given up.

Queues are pulled: a consumer takes a job of a topic under a lease, and finishes it, fails it or
extends its lease. The queue never calls a consumer. A job is carried out at least once: one whose
lease has run out is given to somebody else, so what a job does must bear being done twice.
Jobs of a topic are given in the order in which they are due. They survive the process, in every
tier. Implementations: LocalQueue (in the database).
"""

from abc import abstractmethod
from datetime import datetime
from typing import Any, NewType, Protocol, TypeAlias, assert_never

import msgspec

from actors.contract import Resource, spell
from actors.runtime import Actor, Lane, Request

JobId = NewType("JobId", str)


class NewJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job to be done from `due_at` on; None means at once.

    With a `key` there is at most one job of that key and topic that is not done: adding another
    one changes nothing. A taker may want few jobs of one `group` at once.
    """

    topic: str
    payload: Any = None
    due_at: datetime | None = None
    key: str | None = None
    group: str | None = None


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job somebody holds. `attempt` counts from 1; `token` proves the hold."""

    id: JobId
    topic: str
    payload: Any
    attempt: int
    token: str


class DeadJob(Resource, frozen=True, kw_only=True, rename=spell):
    """A job that was given up, and why."""

    id: JobId
    topic: str
    payload: Any
    attempts: int
    error: str
    created_at: datetime
    died_at: datetime = msgspec.field(name="diedAt")


class AddJob(Request["Queue", JobId], frozen=True, kw_only=True):
    """Add a job; answers once it would survive. Answers the one that is there for a known key."""

    job: NewJob


class TakeJob(Request["Queue", Job | None], frozen=True, kw_only=True):
    """The next due job of a topic, held for `lease` seconds; None when none comes in `wait`.

    With `most_of_group` no job of a group is given while so many of that group are held, by
    whomever; takers who come at the same moment may exceed it by one each. Groups of which none is
    held come first then, so that many that are behind hold up none that is not.
    """

    topic: str
    lease: float
    wait: float = 20.0
    most_of_group: int | None = None


class FinishJob(Request["Queue", bool], frozen=True, kw_only=True):
    """The job is done. False when it is not this holder's any more."""

    job: JobId
    token: str


class FailJob(Request["Queue", bool], frozen=True, kw_only=True):
    """The attempt failed: to be taken again from `retry_at` on, or given up when that is None.

    False when it is not this holder's any more.
    """

    job: JobId
    token: str
    error: str
    retry_at: datetime | None


class ExtendJob(Request["Queue", bool], frozen=True, kw_only=True):
    """Hold the job for `lease` more seconds from now. False when somebody else may have it."""

    job: JobId
    token: str
    lease: float


class WakeQueue(Request["Queue", None], frozen=True, kw_only=True):
    """Jobs of a topic were added in a transaction of somebody's own: look for them now.

    Usually told. Without it they are found within seconds.
    """

    topic: str


class ListDeadJobs(Request["Queue", list[DeadJob]], frozen=True, kw_only=True):
    """The jobs that were given up, the latest first; those `after` one, which is still there."""

    topic: str | None = None
    limit: int = 100
    after: JobId | None = None


class ReadDeadJob(Request["Queue", DeadJob | None], frozen=True, kw_only=True):
    """A job that was given up; None when there is none."""

    job: JobId


class RetryDeadJob(Request["Queue", bool], frozen=True, kw_only=True):
    """Try a job that was given up again, with all its attempts.

    False when there is none, or another one of its key.
    """

    job: JobId


class RetryDeadJobs(Request["Queue", int], frozen=True, kw_only=True):
    """Try the jobs of a topic that were given up before a moment once more each.

    Their attempts are counted on. Answers how many that are.
    """

    topic: str
    before: datetime


class DiscardDeadJob(Request["Queue", bool], frozen=True, kw_only=True):
    """Forget a job that was given up. False when there is none."""

    job: JobId


class ForgetDeadJobs(Request["Queue", int], frozen=True, kw_only=True):
    """Forget every job that was given up before a moment; answers how many."""

    before: datetime


QueueMessage: TypeAlias = (
    AddJob
    | TakeJob
    | FinishJob
    | FailJob
    | ExtendJob
    | WakeQueue
    | ListDeadJobs
    | ReadDeadJob
    | RetryDeadJob
    | RetryDeadJobs
    | DiscardDeadJob
    | ForgetDeadJobs
)


class Queue(Actor):
    """Keeps jobs. Whoever waits for one has a lane of its own."""

    lanes = (Lane("takers", 256, (TakeJob,)), Lane("rest", 16))

    async def receive(self, message: QueueMessage) -> Any:
        match message:
            case TakeJob():
                return await self.take(message)
            case AddJob():
                return await self.add(message.job)
            case FinishJob() | FailJob():
                return await self.end_hold(message)
            case ExtendJob():
                return await self.extend(message)
            case WakeQueue():
                return self.wake(message.topic)
            case ListDeadJobs():
                return await self.dead(message)
            case ReadDeadJob():
                return await self.dead_job(message.job)
            case RetryDeadJob():
                return await self.revive(message.job)
            case RetryDeadJobs():
                return await self.revive_all(message.topic, message.before)
            case DiscardDeadJob():
                return await self.discard(message.job)
            case ForgetDeadJobs():
                return await self.forget(message.before)
            case _:
                assert_never(message)

    @abstractmethod
    async def add(self, job: NewJob) -> JobId: ...

    @abstractmethod
    async def take(self, message: TakeJob) -> Job | None: ...

    @abstractmethod
    async def end_hold(self, message: FinishJob | FailJob) -> bool: ...

    @abstractmethod
    async def extend(self, message: ExtendJob) -> bool: ...

    @abstractmethod
    def wake(self, topic: str) -> None: ...

    @abstractmethod
    async def dead(self, message: ListDeadJobs) -> list[DeadJob]: ...

    @abstractmethod
    async def dead_job(self, job: JobId) -> DeadJob | None: ...

    @abstractmethod
    async def revive(self, job: JobId) -> bool: ...

    @abstractmethod
    async def revive_all(self, topic: str, before: datetime) -> int: ...

    @abstractmethod
    async def discard(self, job: JobId) -> bool: ...

    @abstractmethod
    async def forget(self, before: datetime) -> int: ...


class JobRecords(Protocol):
    """Where jobs are kept. Each method is one transaction; times are the caller's."""

    async def add(self, job: NewJob, now: datetime) -> JobId:
        """Insert a job, or find the one with its key that is not done."""
        ...

    async def take(
        self, topic: str, token: str, now: datetime, until: datetime, most_of_group: int | None
    ) -> Job | None:
        """Hold the job of a topic that is due first and that nobody holds. Never blocks.

        With `most_of_group`: the first of groups of which none is held, else of those with room.
        """
        ...

    async def next_due(
        self, topic: str, now: datetime, most_of_group: int | None
    ) -> datetime | None:
        """When the first job of a topic can be taken, of groups that are not full now."""
        ...

    async def finish(self, job: JobId, token: str) -> str | None:
        """Remove a job; its topic, or None when it is not held with this token."""
        ...

    async def fail(
        self, job: JobId, token: str, error: str, retry_at: datetime | None, now: datetime
    ) -> str | None:
        """Give a job back, or give it up; its topic, or None when not held with this token."""
        ...

    async def extend(self, job: JobId, token: str, until: datetime) -> bool:
        """Hold a job longer, if it is held with this token."""
        ...

    async def dead(self, topic: str | None, limit: int, after: JobId | None) -> list[DeadJob]:
        """Jobs that were given up, the latest first; those after one."""
        ...

    async def dead_job(self, job: JobId) -> DeadJob | None:
        """A job that was given up."""
        ...

    async def revive(self, job: JobId, now: datetime) -> str | None:
        """Make a job that was given up due again; its topic, or None when there is none."""
        ...

    async def revive_all(self, topic: str, before: datetime, now: datetime) -> int:
        """Make the jobs of a topic that were given up before a moment due, with their attempts."""
        ...

    async def discard(self, job: JobId) -> bool:
        """Delete a job that was given up."""
        ...

    async def forget(self, before: datetime) -> int:
        """Delete the jobs that were given up before a moment."""
        ...
