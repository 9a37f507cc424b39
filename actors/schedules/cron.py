"""When a schedule is due: cron expressions in a time zone.

Five fields, six with seconds in front, names (`MON`, `JAN`), `?` for a day that does not matter,
and presets. Changes of the clock are handled as Debian's cron does: a job at a time of day that
is skipped runs at the end of the gap, one at a time that comes twice runs once, and jobs that run
every hour or more often keep their rhythm.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import lru_cache
from itertools import islice
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from actors.runtime import FieldProblem, Rejected

PRESETS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
LONGEST = 200
SIX = 6
# What a field may hold, under the name it has in CronSim's messages.
PARTS = {
    "second": "0-59",
    "minute": "0-59",
    "hour": "0-23",
    "day-of-month": "1-31, L or LW",
    "month": "1-12 or JAN-DEC",
    "day-of-week": "0-7, SUN-SAT, 5L or FRI#2",
}
NEVER = "is never due: no day fits it"
FORMS = "*, lists (1,2), ranges upwards (1-5) and steps (*/5)"


def fires(expression: str, zone: str, after: datetime) -> Iterator[datetime]:
    """The due times after a moment, in UTC, ascending; it ends when none is left in 50 years.

    Expression and zone are those `check_cron` accepted.
    """
    fields = _fields(expression).split()
    before = after.replace(second=0, microsecond=0) - timedelta(seconds=1)
    # Changes of the clock are handled in expressions of five fields alone.
    minutes = CronSim(" ".join(fields[-5:]), before.astimezone(_zone(zone)))
    seconds = sorted(CronSim(" ".join(fields), after).seconds) if len(fields) == SIX else [0]
    for minute in minutes:
        for second in seconds:
            due = minute.astimezone(UTC) + timedelta(seconds=second)
            if due > after:  # an hour that comes twice is counted from its first time
                yield due


@lru_cache(maxsize=1024)
def next_fire(expression: str, zone: str, after: datetime) -> datetime | None:
    """The first due time after a moment, in UTC. Many schedules are due at the same moments."""
    return next(fires(expression, zone, after), None)


def preview(expression: str, zone: str, after: datetime, count: int = 5) -> list[datetime]:
    """The next few due times after a moment, in UTC."""
    return list(islice(fires(expression, zone, after), count))


def check_cron(expression: str, zone: str, now: datetime) -> None:
    """Refuse a zone nobody knows, an expression nobody understands, and one that is never due.

    Every problem is told at once, with its field's name.
    """
    problems: list[FieldProblem] = []
    known = _is_zone(zone)
    if not known:
        near = _near_zone(zone)
        told = f"{zone[:50]!r} is no time zone of the IANA database"
        told += f": did you mean {near}?" if near else ", such as Europe/Paris"
        problems.append(FieldProblem(field="timezone", code="invalid_value", message=told))
    if why := _problem(expression, zone if known else "UTC", now):
        problems.append(FieldProblem(field="cron_expression", code="invalid_value", message=why))
    if problems:
        first = problems[0]
        raise Rejected(
            f"{first.field}: {first.message}",
            code="validation_failed",
            param=first.field,
            problems=problems,
        )


def _problem(expression: str, zone: str, now: datetime) -> str | None:
    preset = expression.strip().lower()
    if preset.startswith("@") and preset not in PRESETS:
        what = "is no preset"
        if preset == "@reboot":
            what = "cannot be @reboot, for a start of the server is no time of day"
        return f"{what}: there are {', '.join(PRESETS)}"
    if len(expression) > LONGEST:
        return f"is too long: {LONGEST} characters at most"
    fields = _fields(expression).split()
    if len(fields) not in (5, SIX):
        return (
            f"must have five fields (minute hour day month weekday), or six with seconds in "
            f"front, not {len(fields)}"
        )
    try:
        due = next_fire(expression, zone, now)
    except CronSimError as error:
        return _misread(fields, str(error), now)
    except (AssertionError, ValueError, TypeError, IndexError):
        return "cannot be understood"
    return None if due is not None else NEVER


def _misread(fields: list[str], error: str, now: datetime) -> str:
    """What is wrong with an expression, from CronSim's message, which names the field."""
    name = error.removeprefix("Bad ")
    parts = list(PARTS)[-len(fields) :]
    if name not in parts:
        return f"cannot be understood: {error.lower()}"
    if name == "day-of-month" and _is_day(fields[-3], now):
        return NEVER
    found = fields[parts.index(name)]
    return f"cannot be understood: {found!r} is no {name}, which is {PARTS[name]}, with {FORMS}"


def _is_day(field: str, now: datetime) -> bool:
    """Whether the days of some month are meant, be it another month than was said."""
    try:
        CronSim(f"0 0 {field} * *", now)
    except CronSimError:
        return False
    return True


def _fields(expression: str) -> str:
    wanted = expression.strip()
    if wanted.startswith("@"):
        return PRESETS.get(wanted.lower(), wanted)
    fields = wanted.split()
    # The days of the month and of the week are the last but two, and the last.
    return " ".join(
        "*" if field == "?" and place in (len(fields) - 3, len(fields) - 1) else field
        for place, field in enumerate(fields)
    )


def _is_zone(name: str) -> bool:
    return name in _known_zones()


def _near_zone(name: str) -> str | None:
    """The zone that was probably meant: by a city, or by a name that is nearly right."""
    wanted = name.strip().lower().replace(" ", "_")[:50]
    zones = {zone.lower(): zone for zone in sorted(_known_zones())}
    cities = {lower.rpartition("/")[2]: zone for lower, zone in zones.items() if "/" in lower}
    if wanted in zones:
        return zones[wanted]
    if name.isupper() or any(each.isdigit() for each in name):
        return None  # an abbreviation or an offset: what is nearly the same may be far away
    for known in (zones, cities):
        if near := get_close_matches(wanted, known, n=1, cutoff=0.8):
            return known[near[0]]
    return None


@lru_cache(maxsize=1)
def _known_zones() -> frozenset[str]:
    # Where one is, a machine may have a zone of its own: no other has the same.
    return frozenset(available_timezones()) - {"localtime"}


def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
