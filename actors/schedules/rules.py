"""What becomes of due times. Pure."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

import msgspec

MisfirePolicy: TypeAlias = Literal["skip", "once"]
OverlapPolicy: TypeAlias = Literal["allow", "skip"]

MISSED = "missed: the server was not running, or not in time"
OVERLAPS = "skipped: the run before it was still active"


class DueTime(msgspec.Struct, frozen=True, kw_only=True):
    """A due time of a schedule, and whether it is to be fired. `reason` says why not."""

    due_at: datetime
    fires: bool
    reason: str | None = None


def judge_due_times(
    due: Sequence[datetime],
    following: datetime | None,
    now: datetime,
    grace: timedelta,
    policy: MisfirePolicy,
) -> Iterator[DueTime]:
    """What becomes of due times that have come, in their order; `following` is the one after them.

    One that is not older than `grace` fires, late. Older ones are skipped, or the last of them
    all fires, as `policy` says.
    """
    more_missed = following is not None and now - following > grace
    last_missed = max((each for each in due if now - each > grace), default=None)
    for each in due:
        caught_up = policy == "once" and each == last_missed and not more_missed
        if now - each > grace and not caught_up:
            yield DueTime(due_at=each, fires=False, reason=MISSED)
        else:
            yield DueTime(due_at=each, fires=True)
