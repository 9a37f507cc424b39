"""Schedules and their due times as their records keep them, for tests of those."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from actors.ids import ApplicationId, OrgId, PackageId, UserId, new_schedule_id
from actors.schedules import (
    Expansion,
    Fire,
    FireRecords,
    Schedule,
    ScheduleRecords,
    expand_due,
)
from actors.schedules.rules import DueTime

NOON = datetime(2026, 5, 2, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PEOPLE = """
    INSERT INTO users (id, email, name) VALUES ('u', 'u@example.com', 'Ada');
    INSERT INTO organizations (id, name, slug, created_by) VALUES ('o', 'O', 'o', 'u');
    INSERT INTO applications (id, org_id, name) VALUES ('a', 'o', 'A');
    INSERT INTO packages (id, org_id, type, source, draft_manifest) VALUES
        ('@o/agent', 'o', 'agent', 'local', '{}');
"""


@dataclass(frozen=True)
class Kept:
    """The two sides of what is kept: schedules for people, due times for whoever fires them."""

    schedules: ScheduleRecords
    fires: FireRecords

    async def minutely(self, **fields: Any) -> Schedule:
        """Make a schedule that is due every minute from noon on."""
        fresh = Schedule(
            id=new_schedule_id(),
            package_id=PackageId("@o/agent"),
            user_id=UserId("u"),
            org_id=OrgId("o"),
            application_id=ApplicationId("a"),
            name=None,
            enabled=True,
            disabled_reason=None,
            cron_expression="* * * * *",
            timezone="UTC",
            input={"topic": "x"},
            model_id_override=None,
            generation_config_override=None,
            proxy_id_override=None,
            version_override=None,
            connection_overrides=None,
            dependency_overrides=None,
            overlap_policy="allow",
            misfire_policy="skip",
            last_run_at=None,
            next_run_at=NOON,
            created_at=NOON,
            updated_at=NOON,
            actor_name=None,
        )
        return await self.schedules.add(replace(fresh, **fields))

    async def fires_of(self, schedule: Schedule, limit: int) -> list[Fire]:
        """The last due times of a schedule."""
        return await self.schedules.fires(
            schedule.org_id, schedule.application_id, schedule.id, limit
        )

    async def expand(self, now: datetime, grace: timedelta = MINUTE) -> int:
        """Turn what has come into rows, as the product does."""
        return await self.fires.expand(now, lambda each: expand_due(each, now, grace), 100)


def once(schedule: Schedule) -> Expansion:
    """The expansion of a schedule that is due once."""
    assert schedule.next_run_at is not None
    return Expansion(due=[DueTime(due_at=schedule.next_run_at, fires=True)], following=None)
