"""Due times over jumps of the clock, and who waits in line. Time is a parameter."""

from datetime import UTC, datetime, timedelta

from actors.ids import ApplicationId, OrgId, PackageId, ScheduleId, UserId
from actors.schedules import Expansion, Line, Schedule, expand_due, expanding
from actors.schedules.rules import MisfirePolicy

NOON = datetime(2026, 5, 2, 12, 0, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
A, B = OrgId("a"), OrgId("b")


def schedule(
    cron: str = "* * * * *", zone: str = "UTC", policy: MisfirePolicy = "skip"
) -> Schedule:
    return Schedule(
        id=ScheduleId("sched_1"),
        package_id=PackageId("@o/agent"),
        user_id=UserId("u"),
        org_id=OrgId("o"),
        application_id=ApplicationId("a"),
        name=None,
        enabled=True,
        disabled_reason=None,
        cron_expression=cron,
        timezone=zone,
        input=None,
        model_id_override=None,
        generation_config_override=None,
        proxy_id_override=None,
        version_override=None,
        connection_overrides=None,
        dependency_overrides=None,
        overlap_policy="allow",
        misfire_policy=policy,
        last_run_at=None,
        next_run_at=NOON,
        created_at=NOON,
        updated_at=NOON,
        actor_name=None,
    )


def fired(expansion: Expansion) -> list[datetime]:
    return [due.due_at for due in expansion.due if due.fires]


def test_what_is_due_now_fires_and_the_next_one_is_known() -> None:
    found = expand_due(schedule(), NOON, MINUTE)

    assert (fired(found), found.following) == ([NOON], NOON + MINUTE)


def test_a_clock_that_jumps_forwards_has_a_row_for_each_due_time_it_jumped_over() -> None:
    found = expand_due(schedule(), NOON + HOUR + 30 * SECOND, MINUTE)

    assert [due.due_at for due in found.due] == [NOON + n * MINUTE for n in range(61)]
    assert fired(found) == [NOON + HOUR]
    assert all(due.reason for due in found.due if not due.fires)
    assert found.following == NOON + HOUR + MINUTE


def test_one_makes_up_for_all_a_jump_has_missed() -> None:
    found = expand_due(schedule("0 * * * *", policy="once"), NOON + 5 * HOUR + 30 * MINUTE, MINUTE)

    assert fired(found) == [NOON + 5 * HOUR]


def test_what_was_missed_for_long_comes_in_parts() -> None:
    found = expand_due(schedule("* * * * * *", policy="once"), NOON + HOUR, MINUTE)

    assert len(found.due) == 1000
    assert fired(found) == []
    assert found.following == NOON + 1000 * SECOND


def test_what_many_have_missed_comes_in_parts_in_which_each_has_its_share() -> None:
    expand = expanding(NOON + HOUR, MINUTE)
    found = [expand(schedule("* * * * * *")) for _ in range(100)]

    assert sum(len(each.due) for each in found) < 11_000
    assert all(each.due for each in found)
    assert found[-1].following == NOON + SECOND


def test_a_schedule_that_is_due_soon_is_expanded_before_its_time() -> None:
    found = expanding(NOON - SECOND / 2, MINUTE)(schedule())

    assert (fired(found), found.following) == ([NOON], NOON + MINUTE)


def test_a_schedule_that_is_understood_no_more_is_broken_and_harms_no_other() -> None:
    for broken in (schedule(zone="Atlantis/Capital"), schedule("61 * * * *")):
        found = expand_due(broken, NOON, MINUTE)

        assert found.broken is not None
        assert (fired(found), found.following, len(found.due)) == ([], None, 1)


def test_whoever_waits_in_line_has_none_claimed_until_its_time_and_then_a_few() -> None:
    line = Line()
    line.wait(A, NOON + SECOND)

    assert line.most(NOON) == {A: 0}
    assert line.next(None) == line.next(NOON + MINUTE) == NOON + SECOND
    assert line.most(NOON + SECOND) == {A: 16}


def test_the_line_is_left_when_no_more_wait() -> None:
    line = Line()
    line.wait(A, NOON)
    line.wait(B, NOON + MINUTE)

    line.served({A: 16}, NOON)
    assert line.most(NOON) == {A: 16, B: 0}
    line.served({A: 3}, NOON)
    assert line.most(NOON) == {B: 0}
    line.served({}, NOON + MINUTE)
    assert line.most(NOON + MINUTE) == {}
    assert line.next(None) is None
