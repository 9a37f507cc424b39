"""What schedules are made of, and what is kept of them."""

from datetime import datetime
from typing import Any, Literal, Protocol

import msgspec

from actors.contract import Resource, spell
from actors.ids import ApplicationId, EndUserId, OrgId, PackageId, RunId, ScheduleId, UserId
from actors.schedules.rules import MisfirePolicy, OverlapPolicy


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


class Fire(Resource, frozen=True, kw_only=True, rename=spell):
    """What became of a due time."""

    due_at: datetime = msgspec.field(name="due_at")
    state: Literal["due", "fired", "skipped", "refused"]
    reason: str | None
    run_id: RunId | None


class ScheduleRecords(Protocol):
    """Where people keep schedules. Each method is one transaction."""

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
