"""What schedules are made of, and what is kept of them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Literal, Protocol

import msgspec

from actors.contract import Resource, spell
from actors.ids import (
    ApplicationId,
    EndUserId,
    InstanceId,
    OrgId,
    PackageId,
    RunId,
    ScheduleId,
    UserId,
)
from actors.runs import Ended
from actors.schedules.rules import DueTime, MisfirePolicy, OverlapPolicy


class Schedule(Resource, frozen=True, kw_only=True, rename=spell):
    """An agent that runs by itself. Times are UTC."""

    id: ScheduleId
    package_id: PackageId
    user_id: UserId | None
    end_user_id: EndUserId | None = None
    org_id: OrgId
    application_id: ApplicationId
    name: str | None
    enabled: bool
    disabled_reason: str | None
    cron_expression: str
    timezone: str
    input: dict[str, Any] | None
    model_id_override: str | None = msgspec.field(name="model_id_override")
    generation_config_override: dict[str, Any] | None
    proxy_id_override: str | None
    version_override: str | None
    connection_overrides: dict[str, str] | None
    dependency_overrides: dict[str, str] | None
    overlap_policy: OverlapPolicy
    misfire_policy: MisfirePolicy
    last_run_at: datetime | None
    next_run_at: datetime | None
    created_at: datetime
    updated_at: datetime
    actor_name: str | None
    actor_type: Literal["user", "end_user"] = "user"
    running_runs: int = 0
    unread_count: int = 0
    last_run_number: int = 0


class DueFire(msgspec.Struct, frozen=True, kw_only=True):
    """A due time that is to become a run, held by whoever claimed it."""

    schedule: Schedule
    due_at: datetime


class Fire(Resource, frozen=True, kw_only=True, rename=spell):
    """What became of a due time."""

    due_at: datetime = msgspec.field(name="due_at")
    state: Literal["due", "fired", "skipped", "refused"]
    reason: str | None
    run_id: RunId | None


class Expansion(msgspec.Struct, frozen=True, kw_only=True):
    """The due times of a schedule whose time has come, and the next one after them.

    `broken` is why it can have no more: the schedule is to be disabled for that reason.
    """

    due: Sequence[DueTime]
    following: datetime | None
    broken: str | None = None


Expand = Callable[[Schedule], Expansion]
"""From a schedule whose time has come to what becomes of it."""


NO_LIMITS: Mapping[OrgId, int] = MappingProxyType({})
AT_ITS_TIME = timedelta()


class ScheduleRecords(Protocol):
    """Where schedules and their due times are kept. Each method is one transaction."""

    async def add(self, schedule: Schedule) -> Schedule:
        """Insert a schedule. Refuses with `Conflict` when what it refers to was deleted."""
        ...

    async def change(self, schedule: Schedule) -> Schedule | None:
        """Write what can be changed of a schedule. None when it is gone, or was changed meanwhile:
        when it is not as old any more as `updated_at` says.

        Its next due time changes only with its times. One that has come and has no row yet is
        skipped then, and rows of such as have not come are removed. When the schedule is disabled,
        everything that is due is skipped.
        """
        ...

    async def remove(self, org: OrgId, application: ApplicationId, schedule: ScheduleId) -> bool:
        """Delete a schedule and its due times; its runs stay."""
        ...

    async def schedule(
        self, org: OrgId, application: ApplicationId, schedule: ScheduleId
    ) -> Schedule | None:
        """One schedule of an application."""
        ...

    async def schedules(
        self, org: OrgId, application: ApplicationId, package: PackageId | None
    ) -> list[Schedule]:
        """The schedules of an application, or of one agent in it, oldest first."""
        ...

    async def fires(
        self, org: OrgId, application: ApplicationId, schedule: ScheduleId, limit: int
    ) -> list[Fire]:
        """What became of the last due times of a schedule, the latest first."""
        ...

    async def next_due(
        self, aside: Collection[OrgId] = (), ahead: timedelta = AT_ITS_TIME
    ) -> datetime | None:
        """When something is to be done next: a schedule falls due, or a claim runs out.

        Schedules are to be looked at so long `ahead` of their time. Due times, once they are
        there, do not count when their organization is set aside.
        """
        ...

    async def expand(
        self, now: datetime, expand: Expand, limit: int, ahead: timedelta = AT_ITS_TIME
    ) -> int:
        """Turn the due times of up to `limit` schedules that have come into rows.

        So do those that will come within `ahead`, but for schedules that skip overlaps: whether
        they do is not known before. Every due time becomes one row, once, in whichever process
        this runs. Answers how many schedules were looked at.
        """
        ...

    async def claim(
        self,
        now: datetime,
        until: datetime,
        limit: int,
        most: Mapping[OrgId, int] = NO_LIMITS,
        by: InstanceId | None = None,
    ) -> list[DueFire]:
        """Hold due times that are to be fired and that nobody holds, in the order they were due.

        It is one of each schedule at once, and no more than `most` of an organization named there.
        One of a schedule that skips overlaps is skipped while a run of it is active.
        """
        ...

    async def free(self, instance: InstanceId) -> int:
        """Let due times go that were claimed `by` an instance in a life that is over: how many."""
        ...

    async def release(self, fires: Sequence[DueFire]) -> set[tuple[ScheduleId, datetime]]:
        """Let due times go that were claimed. Answers those that still are due."""
        ...

    async def refuse(self, fire: DueFire, error: str, run: RunId, now: datetime) -> Ended | None:
        """Turn a due time into a failed run that says why. None when somebody was quicker."""
        ...

    async def disable(self, schedule: Schedule, reason: str) -> None:
        """Stop a schedule from falling due, and keep the reason. Its due times are skipped."""
        ...
