"""What becomes of a schedule whose time has come. Pure."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfoNotFoundError

from cronsim import CronSimError

from actors.schedules.cron import fires, next_fire
from actors.schedules.fire_records import Expansion
from actors.schedules.records import Schedule
from actors.schedules.rules import DueTime, judge_due_times

DUE_TIMES_AT_ONCE = 1000


def expand_due(schedule: Schedule, now: datetime, grace: timedelta) -> Expansion:
    """Its due times up to now, those of them that fire, and the next one; a thousand at most.

    A schedule that is not understood any more, say because its time zone is known no longer, is
    broken; it must not keep the others from firing.
    """
    first = schedule.next_run_at
    assert first is not None
    try:
        due, following = _due_times(schedule, first, now)
    except (CronSimError, ZoneInfoNotFoundError, ValueError) as error:
        why = f"its times cannot be understood any more: {error}"
        skipped = DueTime(due_at=first, fires=False, reason=f"skipped: {why}")
        return Expansion(due=[skipped], following=None, broken=why)
    judged = judge_due_times(due, following, now, grace, schedule.misfire_policy)
    return Expansion(due=[*judged], following=following)


def _due_times(
    schedule: Schedule, first: datetime, now: datetime
) -> tuple[list[datetime], datetime | None]:
    expression, zone = schedule.cron_expression, schedule.timezone
    following = next_fire(expression, zone, first)
    if following is None or following > now:
        return [first], following
    due = [first]
    for each in fires(expression, zone, first):
        if each > now or len(due) >= DUE_TIMES_AT_ONCE:
            return due, each
        due.append(each)
    return due, None
