"""What becomes of a schedule whose time has come. Pure."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfoNotFoundError

from cronsim import CronSimError

from actors.schedules.cron import fires, next_fire
from actors.schedules.fire_records import Expand, Expansion
from actors.schedules.records import Schedule
from actors.schedules.rules import DueTime, judge_due_times

DUE_TIMES_AT_ONCE = 1000
OF_ALL_AT_ONCE = 10_000


def expanding(now: datetime, grace: timedelta) -> Expand:
    """Expands one schedule after the other, those that are due soon included.

    All of them get so few due times that nothing waits for long behind what a server has missed
    that was off for a month; but each gets one.
    """
    left = OF_ALL_AT_ONCE

    def expand(schedule: Schedule) -> Expansion:
        nonlocal left
        assert schedule.next_run_at is not None
        most = min(max(left, 1), DUE_TIMES_AT_ONCE)
        expansion = expand_due(schedule, max(now, schedule.next_run_at), grace, most)
        left -= len(expansion.due)
        return expansion

    return expand


def expand_due(
    schedule: Schedule, now: datetime, grace: timedelta, most: int = DUE_TIMES_AT_ONCE
) -> Expansion:
    """Its due times up to now, but so many `most`; those of them that fire, and the next one.

    A schedule that is not understood any more, say because its time zone is known no longer, is
    broken; it must not keep the others from firing.
    """
    first = schedule.next_run_at
    assert first is not None
    try:
        due, following = _due_times(schedule, first, now, most)
    except (CronSimError, ZoneInfoNotFoundError, ValueError) as error:
        why = f"its times cannot be understood any more: {error}"
        skipped = DueTime(due_at=first, fires=False, reason=f"skipped: {why}")
        return Expansion(due=[skipped], following=None, broken=why)
    judged = judge_due_times(due, following, now, grace, schedule.misfire_policy)
    return Expansion(due=[*judged], following=following)


def _due_times(
    schedule: Schedule, first: datetime, now: datetime, most: int
) -> tuple[list[datetime], datetime | None]:
    expression, zone = schedule.cron_expression, schedule.timezone
    following = next_fire(expression, zone, first)
    if following is None or following > now:
        return [first], following
    due = [first]
    for each in fires(expression, zone, first):
        if each > now or len(due) >= most:
            return due, each
        due.append(each)
    return due, None
