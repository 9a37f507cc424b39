"""What whoever keeps schedules promises: a change loses no due time, and makes none."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from actors.ids import OrgId, PackageId, new_end_user_id, new_run_id
from actors.runtime import Conflict
from adapters.postgres.pool import Pool
from adapters.postgres.schedule_fires import PostgresFireRecords
from adapters.postgres.schedules import PostgresScheduleRecords
from support.due_times import MINUTE, NOON, PEOPLE, Kept, once
from support.waiting import until


@pytest.fixture(
    params=[pytest.param((PostgresScheduleRecords, PostgresFireRecords), id="postgres")]
)
async def kept(request: pytest.FixtureRequest, pool: Pool) -> Kept:
    async with pool.connection() as connection:
        await connection.execute(PEOPLE)
    schedules, fires = request.param
    return Kept(schedules(pool), fires(pool))


async def test_what_refers_to_something_that_was_just_deleted_is_refused(
    kept: Kept,
) -> None:
    made = await kept.minutely()
    with pytest.raises(Conflict):
        await kept.minutely(package_id=PackageId("@o/deleted"))
    with pytest.raises(Conflict):
        await kept.schedules.change(replace(made, user_id=None, end_user_id=new_end_user_id()))


async def test_a_change_that_moves_no_due_time_loses_none(kept: Kept) -> None:
    made = await kept.minutely()  # due long ago, and not looked at yet

    changed = await kept.schedules.change(replace(made, name="x", next_run_at=NOON + MINUTE))

    assert changed is not None
    assert (changed.name, changed.next_run_at) == ("x", NOON)


async def test_a_change_of_what_was_changed_meanwhile_is_not_written(
    kept: Kept,
) -> None:
    schedule = await kept.minutely()
    paused = await kept.schedules.change(replace(schedule, enabled=False, next_run_at=None))
    late = await kept.schedules.change(replace(schedule, name="Late"))
    found = await kept.schedules.schedule(schedule.org_id, schedule.application_id, schedule.id)

    assert late is None
    assert found == paused


async def test_a_due_time_that_came_before_its_schedule_was_moved_has_a_row(
    kept: Kept,
) -> None:
    made = await kept.minutely()
    later = datetime.now(UTC) + timedelta(days=365)

    await kept.schedules.change(replace(made, cron_expression="0 0 1 1 *", next_run_at=later))

    (fire,) = await kept.fires_of(made, 10)
    assert (fire.due_at, fire.state) == (NOON, "skipped")
    assert fire.reason is not None
    assert "changed" in fire.reason


async def test_a_due_time_written_ahead_goes_when_its_schedule_is_moved(
    kept: Kept,
) -> None:
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    made = await kept.minutely(next_run_at=soon)
    await kept.fires.expand(soon, once, 100)
    (fire,) = await kept.fires.claim(soon, soon + MINUTE, 10)

    moved = replace(made, cron_expression="0 0 1 1 *", next_run_at=soon + MINUTE)
    await kept.schedules.change(moved)

    assert await kept.fires_of(made, 10) == []
    assert await kept.fires.refuse(fire, "no", new_run_id(), soon) is None


async def test_a_schedule_disabled_while_a_due_time_is_claimed_does_not_fire(
    kept: Kept,
) -> None:
    made = await kept.minutely()
    await kept.expand(NOON)
    (fire,) = await kept.fires.claim(NOON, NOON + MINUTE, 10)

    await kept.schedules.change(replace(made, enabled=False, next_run_at=None))

    assert await kept.fires.refuse(fire, "no", new_run_id(), NOON) is None
    assert {each.state for each in await kept.fires_of(made, 10)} == {"skipped"}


@pytest.mark.parametrize("what", ["change", "disable", "remove"])
async def test_whoever_changes_a_schedule_waits_for_what_fires_it(
    kept: Kept, pool: Pool, what: str
) -> None:
    made = await kept.minutely()
    await kept.expand(NOON)
    changes: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
        "change": lambda: kept.schedules.change(replace(made, enabled=False, next_run_at=None)),
        "disable": lambda: kept.fires.disable(made, "why"),
        "remove": lambda: kept.schedules.remove(made.org_id, made.application_id, made.id),
    }
    async with pool.transaction() as connection:  # as whoever launches does
        await connection.execute("UPDATE schedule_fires SET state = 'fired'")
        changing = asyncio.create_task(changes[what]())
        await until(lambda: pool.fetchval("SELECT 1 FROM pg_locks WHERE NOT granted"))
        await connection.execute("UPDATE schedules SET last_run_at = now()")
    await changing
    states = {fire.due_at: fire.state for fire in await kept.fires_of(made, 10)}
    assert states.get(NOON) == (None if what == "remove" else "fired")


async def test_nobody_changes_what_is_another_organizations(kept: Kept) -> None:
    made = await kept.minutely()
    stolen = replace(made, org_id=OrgId("other"), name="stolen", enabled=False)
    await kept.expand(NOON)

    assert await kept.schedules.change(stolen) is None
    await kept.fires.disable(stolen, "stolen")
    assert await kept.schedules.fires(OrgId("other"), made.application_id, made.id, 10) == []

    shown = await kept.schedules.schedule(made.org_id, made.application_id, made.id)
    assert shown is not None
    assert (shown.name, shown.enabled) == (None, True)
    assert [fire.state for fire in await kept.fires_of(made, 10)] == ["due"]


async def test_disabling_skips_what_was_due_and_keeps_the_reason(
    kept: Kept,
) -> None:
    made = await kept.minutely()
    await kept.expand(NOON)

    await kept.fires.disable(made, "the user left")

    shown = await kept.schedules.schedule(made.org_id, made.application_id, made.id)
    assert shown is not None
    assert (shown.enabled, shown.disabled_reason, shown.next_run_at) == (
        False,
        "the user left",
        None,
    )
    assert [fire.state for fire in await kept.fires_of(made, 10)] == ["skipped"]
    assert await kept.fires.next_due() is None
