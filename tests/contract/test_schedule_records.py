"""What whoever keeps schedules promises: every due time once, whoever looks, whatever dies."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from actors.ids import (
    ApplicationId,
    InstanceId,
    OrgId,
    PackageId,
    UserId,
    new_end_user_id,
    new_run_id,
    new_schedule_id,
)
from actors.runtime import Conflict
from actors.schedules import Expansion, Fire, Schedule, ScheduleRecords, expand_due
from actors.schedules.rules import DueTime
from adapters.postgres.pool import Pool
from adapters.postgres.schedules import PostgresScheduleRecords
from support.waiting import until

NOON = datetime(2026, 5, 2, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PEOPLE = """
    INSERT INTO users (id, email, name) VALUES ('u', 'u@example.com', 'Ada');
    INSERT INTO organizations (id, name, slug, created_by) VALUES ('o', 'O', 'o', 'u');
    INSERT INTO applications (id, org_id, name) VALUES ('a', 'o', 'A');
    INSERT INTO packages (id, org_id, type, source, draft_manifest) VALUES
        ('@o/agent', 'o', 'agent', 'local', '{}');
"""


@pytest.fixture(params=[pytest.param(PostgresScheduleRecords, id="postgres")])
async def records(request: pytest.FixtureRequest, pool: Pool) -> ScheduleRecords:
    async with pool.connection() as connection:
        await connection.execute(PEOPLE)
    kept: ScheduleRecords = request.param(pool)
    return kept


async def minutely(records: ScheduleRecords, **fields: Any) -> Schedule:
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
    return await records.add(replace(fresh, **fields))


def once(schedule: Schedule) -> Expansion:
    assert schedule.next_run_at is not None
    return Expansion(due=[DueTime(due_at=schedule.next_run_at, fires=True)], following=None)


async def test_what_refers_to_something_that_was_just_deleted_is_refused(
    records: ScheduleRecords,
) -> None:
    made = await minutely(records)
    with pytest.raises(Conflict):
        await minutely(records, package_id=PackageId("@o/deleted"))
    with pytest.raises(Conflict):
        await records.change(replace(made, user_id=None, end_user_id=new_end_user_id()))


async def fires_of(records: ScheduleRecords, schedule: Schedule, limit: int) -> list[Fire]:
    return await records.fires(schedule.org_id, schedule.application_id, schedule.id, limit)


async def expand(records: ScheduleRecords, now: datetime, grace: timedelta = MINUTE) -> int:
    return await records.expand(now, lambda schedule: expand_due(schedule, now, grace), 100)


async def test_every_due_time_becomes_one_row(records: ScheduleRecords) -> None:
    made = await minutely(records)

    looked = await asyncio.gather(*(expand(records, NOON + 3 * MINUTE) for _ in range(5)))

    assert sum(looked) == 1
    assert [fire.due_at for fire in await fires_of(records, made, 10)] == [
        NOON + n * MINUTE for n in (3, 2, 1, 0)
    ]
    assert await expand(records, NOON + 3 * MINUTE) == 0


async def test_a_clock_that_jumps_backwards_makes_no_second_row(records: ScheduleRecords) -> None:
    made = await minutely(records)
    await expand(records, NOON)

    assert await expand(records, NOON - timedelta(hours=1)) == 0
    assert await expand(records, NOON) == 0
    assert [fire.due_at for fire in await fires_of(records, made, 10)] == [NOON]
    assert await expand(records, NOON + MINUTE) == 1


async def test_due_times_can_be_written_ahead_unless_overlaps_are_skipped(
    records: ScheduleRecords,
) -> None:
    second = timedelta(seconds=1)
    made = await minutely(records)
    await minutely(records, overlap_policy="skip")

    assert await records.next_due([], second) == NOON - second
    assert await records.expand(NOON - second, once, 100, second) == 1
    assert [fire.state for fire in await fires_of(records, made, 10)] == ["due"]
    assert await records.expand(NOON, once, 100, second) == 1


async def test_a_schedule_that_is_broken_is_disabled_with_the_reason(
    records: ScheduleRecords,
) -> None:
    made = await minutely(records)
    skipped = DueTime(due_at=NOON, fires=False, reason="skipped")
    broken = Expansion(due=[skipped], following=None, broken="no such zone")

    await records.expand(NOON, lambda _: broken, 100)

    shown = await records.schedule(made.org_id, made.application_id, made.id)
    assert shown is not None
    assert (shown.enabled, shown.disabled_reason) == (False, "no such zone")
    assert [fire.state for fire in await fires_of(records, made, 10)] == ["skipped"]


async def test_a_change_that_moves_no_due_time_loses_none(records: ScheduleRecords) -> None:
    made = await minutely(records)  # due long ago, and not looked at yet

    changed = await records.change(replace(made, name="x", next_run_at=NOON + MINUTE))

    assert changed is not None
    assert (changed.name, changed.next_run_at) == ("x", NOON)


async def test_a_change_of_what_was_changed_meanwhile_is_not_written(
    records: ScheduleRecords,
) -> None:
    schedule = await minutely(records)
    paused = await records.change(replace(schedule, enabled=False, next_run_at=None))
    late = await records.change(replace(schedule, name="Late"))
    found = await records.schedule(schedule.org_id, schedule.application_id, schedule.id)

    assert late is None
    assert found == paused


async def test_a_due_time_that_came_before_its_schedule_was_moved_has_a_row(
    records: ScheduleRecords,
) -> None:
    made = await minutely(records)
    later = datetime.now(UTC) + timedelta(days=365)

    await records.change(replace(made, cron_expression="0 0 1 1 *", next_run_at=later))

    (fire,) = await fires_of(records, made, 10)
    assert (fire.due_at, fire.state) == (NOON, "skipped")
    assert fire.reason is not None
    assert "changed" in fire.reason


async def test_a_due_time_written_ahead_goes_when_its_schedule_is_moved(
    records: ScheduleRecords,
) -> None:
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    made = await minutely(records, next_run_at=soon)
    await records.expand(soon, once, 100)
    (fire,) = await records.claim(soon, soon + MINUTE, 10)

    await records.change(replace(made, cron_expression="0 0 1 1 *", next_run_at=soon + MINUTE))

    assert await fires_of(records, made, 10) == []
    assert await records.refuse(fire, "no", new_run_id(), soon) is None


async def test_a_schedule_disabled_while_a_due_time_is_claimed_does_not_fire(
    records: ScheduleRecords,
) -> None:
    made = await minutely(records)
    await expand(records, NOON)
    (fire,) = await records.claim(NOON, NOON + MINUTE, 10)

    await records.change(replace(made, enabled=False, next_run_at=None))

    assert await records.refuse(fire, "no", new_run_id(), NOON) is None
    assert {each.state for each in await fires_of(records, made, 10)} == {"skipped"}


@pytest.mark.parametrize("what", ["change", "disable", "remove"])
async def test_whoever_changes_a_schedule_waits_for_what_fires_it(
    records: ScheduleRecords, pool: Pool, what: str
) -> None:
    made = await minutely(records)
    await expand(records, NOON)
    changes: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
        "change": lambda: records.change(replace(made, enabled=False, next_run_at=None)),
        "disable": lambda: records.disable(made, "why"),
        "remove": lambda: records.remove(made.org_id, made.application_id, made.id),
    }
    async with pool.transaction() as connection:  # as whoever launches does
        await connection.execute("UPDATE schedule_fires SET state = 'fired'")
        changing = asyncio.create_task(changes[what]())
        await until(lambda: pool.fetchval("SELECT 1 FROM pg_locks WHERE NOT granted"))
        await connection.execute("UPDATE schedules SET last_run_at = now()")
    await changing
    kept = {fire.due_at: fire.state for fire in await fires_of(records, made, 10)}
    assert kept.get(NOON) == (None if what == "remove" else "fired")


async def test_nobody_changes_what_is_another_organizations(records: ScheduleRecords) -> None:
    made = await minutely(records)
    stolen = replace(made, org_id=OrgId("other"), name="stolen", enabled=False)
    await expand(records, NOON)

    assert await records.change(stolen) is None
    await records.disable(stolen, "stolen")
    assert await records.fires(OrgId("other"), made.application_id, made.id, 10) == []

    shown = await records.schedule(made.org_id, made.application_id, made.id)
    assert shown is not None
    assert (shown.name, shown.enabled) == (None, True)
    assert [fire.state for fire in await fires_of(records, made, 10)] == ["due"]


async def test_old_ones_are_skipped_with_a_reason_and_late_ones_fire(
    records: ScheduleRecords,
) -> None:
    made = await minutely(records)

    await expand(records, NOON + 3 * MINUTE)

    found = await fires_of(records, made, 10)
    assert [fire.state for fire in found] == ["due", "due", "skipped", "skipped"]
    assert found[-1].reason is not None
    assert "missed" in found[-1].reason


async def test_one_may_make_up_for_all_that_were_missed(records: ScheduleRecords) -> None:
    made = await minutely(records, misfire_policy="once")

    await expand(records, NOON + timedelta(minutes=10, seconds=30), timedelta(seconds=5))

    found = await fires_of(records, made, 20)
    assert [fire.due_at for fire in found if fire.state == "due"] == [NOON + 10 * MINUTE]
    assert len(found) == 11


async def test_a_due_time_is_held_by_one_and_falls_back_when_its_holder_dies(
    records: ScheduleRecords,
) -> None:
    await minutely(records)
    await expand(records, NOON)
    until = NOON + MINUTE

    held = await asyncio.gather(*(records.claim(NOON, until, 10) for _ in range(5)))

    assert sorted(len(claimed) for claimed in held) == [0, 0, 0, 0, 1]
    assert await records.next_due() == until
    again = await records.claim(until, until + MINUTE, 10)
    assert [fire.due_at for fire in again] == [NOON]


async def test_what_a_killed_instance_held_is_free_at_its_next_life(
    records: ScheduleRecords,
) -> None:
    await minutely(records)
    await minutely(records)
    await expand(records, NOON)
    mine, other = InstanceId("1"), InstanceId("2")
    (first,) = await records.claim(NOON, NOON + MINUTE, 1, by=mine)
    (second,) = await records.claim(NOON, NOON + MINUTE, 1, by=other)

    assert await records.free(mine) == 1

    (again,) = await records.claim(NOON, NOON + MINUTE, 10, by=mine)
    assert (again.schedule.id, again.due_at) == (first.schedule.id, NOON)
    assert second.schedule.id != first.schedule.id


async def test_those_of_one_schedule_are_given_in_order_one_at_a_time(
    records: ScheduleRecords,
) -> None:
    await minutely(records)
    await expand(records, NOON + MINUTE, timedelta(hours=1))
    now = NOON + MINUTE

    first = await records.claim(now, now + MINUTE, 10)
    assert [fire.due_at for fire in first] == [NOON]
    assert await records.claim(now, now + MINUTE, 10) == []
    ended = await records.refuse(first[0], "no model", new_run_id(), now)
    assert ended is not None
    run = ended.run
    assert (run.status, run.error, run.run_number) == ("failed", "no model", 1)

    second = await records.claim(now, now + MINUTE, 10)
    assert [fire.due_at for fire in second] == [NOON + MINUTE]


async def test_a_due_time_is_refused_once(records: ScheduleRecords) -> None:
    await minutely(records)
    await expand(records, NOON)
    (fire,) = await records.claim(NOON, NOON + MINUTE, 10)

    runs = [await records.refuse(fire, "no", new_run_id(), NOON) for _ in range(2)]

    assert runs[0] is not None
    assert runs[1] is None


async def test_what_is_released_can_be_claimed_again_unless_it_was_fired(
    records: ScheduleRecords,
) -> None:
    made = await minutely(records)
    await minutely(records)
    await expand(records, NOON)
    claimed = await records.claim(NOON, NOON + MINUTE, 10)
    (mine,) = [fire for fire in claimed if fire.schedule.id == made.id]
    await records.refuse(mine, "no", new_run_id(), NOON)

    still = await records.release(claimed)

    again = await records.claim(NOON, NOON + MINUTE, 10)
    assert still == {(fire.schedule.id, fire.due_at) for fire in again}
    assert len(again) == 1
    assert made.id not in {fire.schedule.id for fire in again}


async def test_no_more_are_claimed_of_an_organization_than_are_wanted(
    records: ScheduleRecords,
) -> None:
    await minutely(records, next_run_at=NOON + 2 * MINUTE)
    await minutely(records, next_run_at=NOON)
    await minutely(records, next_run_at=NOON + MINUTE)
    now, org = NOON + 2 * MINUTE, OrgId("o")
    await records.expand(now, once, 100)

    assert await records.claim(now, now + MINUTE, 10, {org: 0}) == []
    assert await records.next_due([org]) is None
    assert await records.next_due([]) == NOON
    first = await records.claim(now, now + MINUTE, 10, {org: 2})
    assert [fire.due_at for fire in first] == [NOON, NOON + MINUTE]


async def test_overlaps_are_skipped_where_the_schedule_says_so(
    records: ScheduleRecords, pool: Pool
) -> None:
    made = await minutely(records, overlap_policy="skip")
    await pool.execute(
        """
        INSERT INTO runs (id, org_id, application_id, package_id, agent_scope, agent_name,
                          run_number, version_label, version_ref, schedule_id, status)
        VALUES ('run_x', 'o', 'a', '@o/agent', '@o', 'agent', 1, '1', '1', $1, 'running')
        """,
        made.id,
    )
    await expand(records, NOON)

    assert await records.claim(NOON, NOON + MINUTE, 10) == []
    (skipped,) = await fires_of(records, made, 10)
    assert (skipped.state, skipped.run_id) == (
        "skipped",
        None,
    )


async def test_disabling_skips_what_was_due_and_keeps_the_reason(
    records: ScheduleRecords,
) -> None:
    made = await minutely(records)
    await expand(records, NOON)

    await records.disable(made, "the user left")

    shown = await records.schedule(made.org_id, made.application_id, made.id)
    assert shown is not None
    assert (shown.enabled, shown.disabled_reason, shown.next_run_at) == (
        False,
        "the user left",
        None,
    )
    assert [fire.state for fire in await fires_of(records, made, 10)] == ["skipped"]
    assert await records.next_due() is None
