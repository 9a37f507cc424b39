"""What schedules are made of, and what is kept of them."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Literal, Protocol

import msgspec

from actors.contract import Resource, spell
from actors.ids import ApplicationId, OrgId, PackageId, RunId, ScheduleId, UserId
from actors.runs import Ended
from actors.schedules.rules import DueTime, MisfirePolicy, OverlapPolicy


class Schedule(Resource, frozen=True, kw_only=True, rename=spell):
    """An agent that runs by itself. Times are UTC."""

    id: ScheduleId
    package_id: PackageId
    user_id: UserId | None
    end_user_id: str | None = None
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


Expand = Callable[[Schedule], tuple[Iterable[DueTime], datetime | None]]
"""From a schedule whose time has come to its due times, and the next one after them."""


class ScheduleRecords(Protocol):
    """Where schedules and their due times are kept. Each method is one transaction."""

    async def add(self, schedule: Schedule) -> Schedule:
        """Insert a schedule."""
        ...

    async def change(self, schedule: Schedule) -> Schedule | None:
        """Write what can be changed of a schedule. None when it is gone."""
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

    async def fires(self, schedule: ScheduleId, limit: int) -> list[Fire]:
        """What became of the last due times of a schedule, the latest first."""
        ...

    async def next_due(self) -> datetime | None:
        """When something is to be done next: a schedule falls due, or a claim runs out."""
        ...

    async def expand(self, now: datetime, expand: Expand, limit: int) -> int:
        """Turn the due times of up to `limit` schedules that have come into rows.

        Every due time becomes one row, once, in whichever process this runs. Answers how many
        schedules were looked at.
        """
        ...

    async def claim(self, now: datetime, until: datetime, limit: int) -> list[DueFire]:
        """Hold due times that are to be fired and that nobody holds, in the order they were due.

        One of a schedule that skips overlaps is skipped while a run of it is active.
        """
        ...

    async def postpone(self, fire: DueFire, until: datetime) -> None:
        """Hold a due time until it is tried again."""
        ...

    async def refuse(self, fire: DueFire, error: str, run: RunId, now: datetime) -> Ended | None:
        """Turn a due time into a failed run that says why. None when somebody was quicker."""
        ...

    async def disable(self, schedule: ScheduleId, reason: str) -> None:
        """Stop a schedule from falling due, and keep the reason. Its due times are skipped."""
        ...
