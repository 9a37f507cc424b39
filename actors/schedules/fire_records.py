"""The due times of schedules, from the moment they come until something has become of them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Protocol

import msgspec

from actors.ids import InstanceId, OrgId, RunId, ScheduleId
from actors.runs import Ended
from actors.schedules.records import Schedule
from actors.schedules.rules import DueTime


class DueFire(msgspec.Struct, frozen=True, kw_only=True):
    """A due time that is to become a run, held by whoever claimed it."""

    schedule: Schedule
    due_at: datetime


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


class FireRecords(Protocol):
    """Where due times are kept. Each method is one transaction."""

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
