"""What whoever keeps due times promises: each once, whoever looks, whatever dies."""

import asyncio
from datetime import timedelta

import pytest

from actors.ids import InstanceId, OrgId, new_run_id
from actors.schedules import Expansion
from actors.schedules.rules import DueTime
from adapters.postgres.pool import Pool
from adapters.postgres.schedule_fires import PostgresFireRecords
from adapters.postgres.schedules import PostgresScheduleRecords
from support.due_times import MINUTE, NOON, PEOPLE, Kept, once


@pytest.fixture(
    params=[pytest.param((PostgresScheduleRecords, PostgresFireRecords), id="postgres")]
)
async def kept(request: pytest.FixtureRequest, pool: Pool) -> Kept:
    async with pool.connection() as connection:
        await connection.execute(PEOPLE)
    schedules, fires = request.param
    return Kept(schedules(pool), fires(pool))


async def test_every_due_time_becomes_one_row(kept: Kept) -> None:
    made = await kept.minutely()

    looked = await asyncio.gather(*(kept.expand(NOON + 3 * MINUTE) for _ in range(5)))

    assert sum(looked) == 1
    assert [fire.due_at for fire in await kept.fires_of(made, 10)] == [
        NOON + n * MINUTE for n in (3, 2, 1, 0)
    ]
    assert await kept.expand(NOON + 3 * MINUTE) == 0


async def test_a_clock_that_jumps_backwards_makes_no_second_row(kept: Kept) -> None:
    made = await kept.minutely()
    await kept.expand(NOON)

    assert await kept.expand(NOON - timedelta(hours=1)) == 0
    assert await kept.expand(NOON) == 0
    assert [fire.due_at for fire in await kept.fires_of(made, 10)] == [NOON]
    assert await kept.expand(NOON + MINUTE) == 1


async def test_due_times_can_be_written_ahead_unless_overlaps_are_skipped(
    kept: Kept,
) -> None:
    second = timedelta(seconds=1)
    made = await kept.minutely()
    await kept.minutely(overlap_policy="skip")

    assert await kept.fires.next_due([], second) == NOON - second
    assert await kept.fires.expand(NOON - second, once, 100, second) == 1
    assert [fire.state for fire in await kept.fires_of(made, 10)] == ["due"]
    assert await kept.fires.expand(NOON, once, 100, second) == 1


async def test_a_schedule_that_is_broken_is_disabled_with_the_reason(
    kept: Kept,
) -> None:
    made = await kept.minutely()
    skipped = DueTime(due_at=NOON, fires=False, reason="skipped")
    broken = Expansion(due=[skipped], following=None, broken="no such zone")

    await kept.fires.expand(NOON, lambda _: broken, 100)

    shown = await kept.schedules.schedule(made.org_id, made.application_id, made.id)
    assert shown is not None
    assert (shown.enabled, shown.disabled_reason) == (False, "no such zone")
    assert [fire.state for fire in await kept.fires_of(made, 10)] == ["skipped"]


async def test_old_ones_are_skipped_with_a_reason_and_late_ones_fire(
    kept: Kept,
) -> None:
    made = await kept.minutely()

    await kept.expand(NOON + 3 * MINUTE)

    found = await kept.fires_of(made, 10)
    assert [fire.state for fire in found] == ["due", "due", "skipped", "skipped"]
    assert found[-1].reason is not None
    assert "missed" in found[-1].reason


async def test_one_may_make_up_for_all_that_were_missed(kept: Kept) -> None:
    made = await kept.minutely(misfire_policy="once")

    await kept.expand(NOON + timedelta(minutes=10, seconds=30), timedelta(seconds=5))

    found = await kept.fires_of(made, 20)
    assert [fire.due_at for fire in found if fire.state == "due"] == [NOON + 10 * MINUTE]
    assert len(found) == 11


async def test_a_due_time_is_held_by_one_and_falls_back_when_its_holder_dies(
    kept: Kept,
) -> None:
    await kept.minutely()
    await kept.expand(NOON)
    until = NOON + MINUTE

    held = await asyncio.gather(*(kept.fires.claim(NOON, until, 10) for _ in range(5)))

    assert sorted(len(claimed) for claimed in held) == [0, 0, 0, 0, 1]
    assert await kept.fires.next_due() == until
    again = await kept.fires.claim(until, until + MINUTE, 10)
    assert [fire.due_at for fire in again] == [NOON]


async def test_what_a_killed_instance_held_is_free_at_its_next_life(
    kept: Kept,
) -> None:
    await kept.minutely()
    await kept.minutely()
    await kept.expand(NOON)
    mine, other = InstanceId("1"), InstanceId("2")
    (first,) = await kept.fires.claim(NOON, NOON + MINUTE, 1, by=mine)
    (second,) = await kept.fires.claim(NOON, NOON + MINUTE, 1, by=other)

    assert await kept.fires.free(mine) == 1

    (again,) = await kept.fires.claim(NOON, NOON + MINUTE, 10, by=mine)
    assert (again.schedule.id, again.due_at) == (first.schedule.id, NOON)
    assert second.schedule.id != first.schedule.id


async def test_those_of_one_schedule_are_given_in_order_one_at_a_time(
    kept: Kept,
) -> None:
    await kept.minutely()
    await kept.expand(NOON + MINUTE, timedelta(hours=1))
    now = NOON + MINUTE

    first = await kept.fires.claim(now, now + MINUTE, 10)
    assert [fire.due_at for fire in first] == [NOON]
    assert await kept.fires.claim(now, now + MINUTE, 10) == []
    ended = await kept.fires.refuse(first[0], "no model", new_run_id(), now)
    assert ended is not None
    run = ended.run
    assert (run.status, run.error, run.run_number) == ("failed", "no model", 1)

    second = await kept.fires.claim(now, now + MINUTE, 10)
    assert [fire.due_at for fire in second] == [NOON + MINUTE]


async def test_a_due_time_is_refused_once(kept: Kept) -> None:
    await kept.minutely()
    await kept.expand(NOON)
    (fire,) = await kept.fires.claim(NOON, NOON + MINUTE, 10)

    runs = [await kept.fires.refuse(fire, "no", new_run_id(), NOON) for _ in range(2)]

    assert runs[0] is not None
    assert runs[1] is None


async def test_what_is_released_can_be_claimed_again_unless_it_was_fired(
    kept: Kept,
) -> None:
    made = await kept.minutely()
    await kept.minutely()
    await kept.expand(NOON)
    claimed = await kept.fires.claim(NOON, NOON + MINUTE, 10)
    (mine,) = [fire for fire in claimed if fire.schedule.id == made.id]
    await kept.fires.refuse(mine, "no", new_run_id(), NOON)

    still = await kept.fires.release(claimed)

    again = await kept.fires.claim(NOON, NOON + MINUTE, 10)
    assert still == {(fire.schedule.id, fire.due_at) for fire in again}
    assert len(again) == 1
    assert made.id not in {fire.schedule.id for fire in again}


async def test_no_more_are_claimed_of_an_organization_than_are_wanted(
    kept: Kept,
) -> None:
    await kept.minutely(next_run_at=NOON + 2 * MINUTE)
    await kept.minutely(next_run_at=NOON)
    await kept.minutely(next_run_at=NOON + MINUTE)
    now, org = NOON + 2 * MINUTE, OrgId("o")
    await kept.fires.expand(now, once, 100)

    assert await kept.fires.claim(now, now + MINUTE, 10, {org: 0}) == []
    assert await kept.fires.next_due([org]) is None
    assert await kept.fires.next_due([]) == NOON
    first = await kept.fires.claim(now, now + MINUTE, 10, {org: 2})
    assert [fire.due_at for fire in first] == [NOON, NOON + MINUTE]


async def test_overlaps_are_skipped_where_the_schedule_says_so(kept: Kept, pool: Pool) -> None:
    made = await kept.minutely(overlap_policy="skip")
    await pool.execute(
        """
        INSERT INTO runs (id, org_id, application_id, package_id, agent_scope, agent_name,
                          run_number, version_label, version_ref, schedule_id, status)
        VALUES ('run_x', 'o', 'a', '@o/agent', '@o', 'agent', 1, '1', '1', $1, 'running')
        """,
        made.id,
    )
    await kept.expand(NOON)

    assert await kept.fires.claim(NOON, NOON + MINUTE, 10) == []
    (skipped,) = await kept.fires_of(made, 10)
    assert (skipped.state, skipped.run_id) == (
        "skipped",
        None,
    )
