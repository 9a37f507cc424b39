import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from actors.runtime import Rejected
from actors.schedules.cron import check_cron, fires, next_fire, preview

NOW = datetime(2026, 5, 2, 8, 0, tzinfo=UTC)


def due(expression: str, zone: str, after: str, count: int) -> list[str]:
    found = preview(expression, zone, datetime.fromisoformat(after).replace(tzinfo=UTC), count)
    return [f"{each:%m-%d %H:%M}" for each in found]


@pytest.mark.parametrize(
    ("expression", "zone", "after", "expected"),
    [
        # Paris, spring: 02:00 becomes 03:00 on March 29, at 01:00 UTC.
        (
            "30 2 * * *",
            "Europe/Paris",
            "2026-03-27T12:00",
            ["03-28 01:30", "03-29 01:00", "03-30 00:30"],
        ),
        ("0 3 * * *", "Europe/Paris", "2026-03-28T12:00", ["03-29 01:00", "03-30 01:00"]),
        (
            "0 * * * *",
            "Europe/Paris",
            "2026-03-28T23:30",
            ["03-29 00:00", "03-29 01:00", "03-29 02:00"],
        ),
        (
            "*/30 * * * *",
            "Europe/Paris",
            "2026-03-29T00:15",
            ["03-29 00:30", "03-29 01:00", "03-29 01:30"],
        ),
        # Paris, autumn: 03:00 becomes 02:00 on October 25, at 01:00 UTC.
        ("30 2 * * *", "Europe/Paris", "2026-10-24T12:00", ["10-25 00:30", "10-26 01:30"]),
        ("0 3 * * *", "Europe/Paris", "2026-10-24T12:00", ["10-25 02:00", "10-26 02:00"]),
        (
            "0 * * * *",
            "Europe/Paris",
            "2026-10-24T23:30",
            ["10-25 00:00", "10-25 01:00", "10-25 02:00"],
        ),
        # New York, spring: 02:00 becomes 03:00 on March 8, at 07:00 UTC.
        ("30 2 * * *", "America/New_York", "2026-03-07T12:00", ["03-08 07:00", "03-09 06:30"]),
        ("0 9 * * 1", "America/New_York", "2026-03-01T12:00", ["03-02 14:00", "03-09 13:00"]),
        # New York, autumn: 02:00 becomes 01:00 on November 1, at 06:00 UTC.
        ("30 1 * * *", "America/New_York", "2026-10-31T12:00", ["11-01 05:30", "11-02 06:30"]),
        (
            "15 * * * *",
            "America/New_York",
            "2026-11-01T05:00",
            ["11-01 05:15", "11-01 06:15", "11-01 07:15"],
        ),
        # Lord Howe moves by half an hour. 02:00 becomes 02:30 on October 4, at 15:30 UTC.
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-02T20:00", ["10-03 15:30", "10-04 15:15"]),
        (
            "0 * * * *",
            "Australia/Lord_Howe",
            "2026-10-03T14:00",
            ["10-03 14:30", "10-03 16:00", "10-03 17:00"],
        ),
        # Autumn: 02:00 becomes 01:30 on April 5, at 15:00 UTC on April 4.
        ("45 1 * * *", "Australia/Lord_Howe", "2026-04-03T20:00", ["04-04 14:45", "04-05 15:15"]),
        (
            "0 * * * *",
            "Australia/Lord_Howe",
            "2026-04-04T13:30",
            ["04-04 14:00", "04-04 15:30", "04-04 16:30"],
        ),
        (
            "0 * * * *",
            "America/New_York",
            "2026-03-08T05:30",
            ["03-08 06:00", "03-08 07:00", "03-08 08:00"],
        ),
        # With seconds the same.
        ("0 30 2 * * *", "Europe/Paris", "2026-03-27T12:00", ["03-28 01:30", "03-29 01:00"]),
        ("0 30 2 * * *", "Europe/Paris", "2026-10-24T12:00", ["10-25 00:30", "10-26 01:30"]),
        ("0 30 2 * * *", "America/New_York", "2026-03-07T12:00", ["03-08 07:00", "03-09 06:30"]),
        ("0 30 1 * * *", "America/New_York", "2026-10-31T12:00", ["11-01 05:30", "11-02 06:30"]),
        ("0 15 2 * * *", "Australia/Lord_Howe", "2026-10-02T20:00", ["10-03 15:30", "10-04 15:15"]),
        ("0 45 1 * * *", "Australia/Lord_Howe", "2026-04-03T20:00", ["04-04 14:45", "04-05 15:15"]),
        (
            "0 0 * * * *",
            "Europe/Paris",
            "2026-10-24T23:30",
            ["10-25 00:00", "10-25 01:00", "10-25 02:00"],
        ),
        # The second time of an hour that comes twice: what ran the first time is over.
        ("30 2 * * *", "Europe/Paris", "2026-10-25T01:15", ["10-26 01:30", "10-27 01:30"]),
        ("30 1 * * *", "America/New_York", "2026-11-01T06:00", ["11-02 06:30"]),
        ("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T15:05", ["04-05 15:15"]),
        # No change of the clock.
        ("0 7 * * 1", "UTC", "2026-05-02T08:00", ["05-04 07:00", "05-11 07:00"]),
        ("0 0 29 2 *", "UTC", "2026-01-01T00:00", ["02-29 00:00"]),
        ("@daily", "Europe/Paris", "2026-05-02T08:00", ["05-02 22:00", "05-03 22:00"]),
        ("@HOURLY", "UTC", "2026-05-02T08:00", ["05-02 09:00"]),
        ("0 12 ? * MON-FRI", "UTC", "2026-05-02T08:00", ["05-04 12:00", "05-05 12:00"]),
        ("0 12 1 jan ?", "UTC", "2026-05-02T08:00", ["01-01 12:00"]),
        ("0 12 L * *", "UTC", "2026-01-15T00:00", ["01-31 12:00", "02-28 12:00", "03-31 12:00"]),
        ("0 12 LW * *", "UTC", "2026-01-15T00:00", ["01-30 12:00", "02-27 12:00"]),
        ("0 12 ? * 5L", "UTC", "2026-05-02T08:00", ["05-29 12:00", "06-26 12:00"]),
        ("0 12 * * MON#2", "UTC", "2026-05-02T08:00", ["05-11 12:00", "06-08 12:00"]),
        ("@weekly", "UTC", "2026-05-02T08:00", ["05-03 00:00", "05-10 00:00"]),
        ("@monthly", "UTC", "2026-05-02T08:00", ["06-01 00:00", "07-01 00:00"]),
        ("@yearly", "UTC", "2026-05-02T08:00", ["01-01 00:00", "01-01 00:00"]),
        ("@annually", "UTC", "2026-05-02T08:00", ["01-01 00:00"]),
        ("@midnight", "America/New_York", "2026-05-02T08:00", ["05-03 04:00"]),
        ("@daily", "Australia/Lord_Howe", "2026-10-02T20:00", ["10-03 13:30", "10-04 13:00"]),
        ("@hourly", "Europe/Paris", "2026-10-24T23:30", ["10-25 00:00", "10-25 01:00"]),
    ],
)
def test_due_times(expression: str, zone: str, after: str, expected: list[str]) -> None:
    check_cron(expression, zone, NOW)

    assert due(expression, zone, after, len(expected)) == expected


def test_six_fields_begin_with_seconds() -> None:
    found = preview("*/20 * * * * *", "UTC", NOW, 3)

    assert [each.second for each in found] == [20, 40, 0]


def test_seconds_go_on_within_a_minute_and_from_minute_to_minute() -> None:
    started = datetime(2026, 3, 29, 0, 59, 59, 500_000, tzinfo=UTC)
    found = preview("10,50 30 2 * * *", "Europe/Paris", started, 3)
    again = next_fire("10,50 30 2 * * *", "Europe/Paris", found[0])

    assert [f"{each:%d %H:%M:%S}" for each in found] == [
        "29 01:00:10",
        "29 01:00:50",
        "30 00:30:10",
    ]
    assert again == found[1]


@pytest.mark.parametrize("zone", ["Europe/Paris", "America/New_York", "Australia/Lord_Howe", "UTC"])
@pytest.mark.parametrize(
    "expression",
    ["0 * * * *", "*/7 * * * *", "30 2 * * *", "*/10 0 * * * *", "5,35 30 2 * * *", "0 45 1 * * *"],
)
def test_due_times_around_every_change_ascend_and_none_comes_twice(
    expression: str, zone: str
) -> None:
    for month in (3, 4, 10, 11):
        previous = datetime(2026, month, 1, tzinfo=UTC)
        for each in fires(expression, zone, previous):
            assert each > previous
            if each.month != month:
                break
            previous = each


@pytest.mark.parametrize("zone", ["Europe/Paris", "America/New_York", "Australia/Lord_Howe"])
@pytest.mark.parametrize("expression", ["30 2 * * *", "45 1 * * *", "0 45 1 * * *", "5 */2 * * *"])
def test_whenever_one_asks_the_next_due_time_is_ahead(expression: str, zone: str) -> None:
    for day in ((3, 8), (3, 29), (4, 4), (10, 3), (10, 25), (11, 1)):
        for minutes in range(0, 24 * 60, 20):
            asked = datetime(2026, *day, tzinfo=UTC) + timedelta(minutes=minutes)
            found = next_fire(expression, zone, asked)
            assert found is not None
            assert found > asked


def test_asking_again_from_a_due_time_gives_the_next_one() -> None:
    moment = datetime(2026, 10, 24, tzinfo=UTC)
    for expected in preview("30 2 * * *", "Europe/Paris", moment, 4):
        found = next_fire("30 2 * * *", "Europe/Paris", moment)
        assert found == expected
        moment = expected


@pytest.mark.parametrize(
    ("expression", "zone", "fields"),
    [
        ("0 7 * *", "UTC", ["cron_expression"]),
        ("", "UTC", ["cron_expression"]),
        ("60 * * * *", "UTC", ["cron_expression"]),
        ("0 0 30 2 *", "UTC", ["cron_expression"]),
        ("@reboot", "UTC", ["cron_expression"]),
        ("? * * * *", "UTC", ["cron_expression"]),
        ("FRI#2/3 * * * *", "UTC", ["cron_expression"]),
        ("* * * * FRI#2/3", "UTC", ["cron_expression"]),
        ("0 " * 500, "UTC", ["cron_expression"]),
        ("0 7 * * *", "Europe/Pariss", ["timezone"]),
        ("0 7 * * *", "", ["timezone"]),
        ("0 7 * * *", "../etc/passwd", ["timezone"]),
        ("x", "y", ["timezone", "cron_expression"]),
    ],
)
def test_what_would_never_fire_is_refused(expression: str, zone: str, fields: list[str]) -> None:
    with pytest.raises(Rejected) as caught:
        check_cron(expression, zone, NOW)

    assert [problem.field for problem in caught.value.problems] == fields


@pytest.mark.parametrize(
    ("zone", "meant"),
    [
        ("Europe/Pariss", "Europe/Paris"),
        ("europe/paris", "Europe/Paris"),
        ("Paris", "Europe/Paris"),
        ("new york", "America/New_York"),
        ("utc", "UTC"),
    ],
)
def test_a_zone_that_is_nearly_right_is_named(zone: str, meant: str) -> None:
    with pytest.raises(Rejected, match=rf"did you mean {meant}\?"):
        check_cron("@daily", zone, NOW)


def test_a_zone_that_is_nothing_like_one_gets_an_example() -> None:
    with pytest.raises(Rejected, match="such as Europe/Paris"):
        check_cron("@daily", "Olympus Mons", NOW)


@pytest.mark.parametrize(
    "zone", ["CEST", "AEST", "WEST", "PST", "GMT+2", "UTC+02:00", "Etc/GMT+15"]
)
def test_an_abbreviation_or_an_offset_is_taken_for_no_other(zone: str) -> None:
    with pytest.raises(Rejected, match="such as Europe/Paris"):
        check_cron("@daily", zone, NOW)


def test_the_zone_of_this_machine_is_none_of_the_database() -> None:
    with pytest.raises(Rejected, match="no time zone"):
        check_cron("@daily", "localtime", NOW)


def test_zones_are_known_where_the_machine_has_none() -> None:
    asked = (
        "from datetime import UTC, datetime\n"
        "from actors.schedules.cron import check_cron, preview\n"
        "check_cron('@daily', 'Europe/Paris', datetime(2026, 5, 2, tzinfo=UTC))\n"
        "print(preview('@daily', 'UTC', datetime(2026, 5, 2, tzinfo=UTC), 1))\n"
    )
    bare = os.environ | {"PYTHONTZPATH": ""}
    command = [sys.executable, "-c", asked]
    said = subprocess.run(command, env=bare, capture_output=True, text=True, check=False)

    assert "2026, 5, 3" in said.stdout, said.stderr


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("60 * * * *", "'60' is no minute, which is 0-59"),
        ("0 60 * * * *", "'60' is no minute"),
        ("99 0 * * * *", "'99' is no second"),
        ("0 0 * * FRI-MON", "'FRI-MON' is no day-of-week.*ranges upwards"),
        ("0 0 15W * *", "'15W' is no day-of-month, which is 1-31, L or LW"),
        ("0 0 1 1 * 2030", "'2030' is no day-of-week"),
        ("0 0 30 2 *", "never due"),
        ("0 0 31 4,6 ?", "never due"),
        ("0 " * 150, "too long"),
        (f"{','.join(map(str, range(60)))} {','.join(map(str, range(24)))} * * *", "too long"),
        ("0 0 * *", "five fields"),
    ],
)
def test_what_is_wrong_with_an_expression_is_told(expression: str, told: str) -> None:
    with pytest.raises(Rejected, match=told):
        check_cron(expression, "UTC", NOW)


def test_reboot_is_refused_in_words() -> None:
    with pytest.raises(Rejected, match=r"start of the server.*there are @yearly"):
        check_cron("@reboot", "UTC", NOW)


def test_asking_is_quick_enough_for_many_schedules() -> None:
    found = preview("0 3 * * *", "Europe/Paris", NOW, 365)

    assert found[-1] - found[0] > timedelta(days=363)
