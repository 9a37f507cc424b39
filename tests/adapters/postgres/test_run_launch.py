"""Many runs in one statement: numbered, in order, as many as there is room for, once."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from actors.ids import ApplicationId, OrgId, PackageId, ScheduleId, new_run_id
from actors.packages import AgentDefinition
from actors.runs import LogEntry, NewRun, RunPlan, ScheduledFire
from adapters.postgres.pool import Pool
from adapters.postgres.runs import PostgresRunRecords

NOON = datetime(2026, 5, 2, 12, 0, tzinfo=UTC)
SETTING = """
    INSERT INTO organizations (id, name, slug) VALUES ('o', 'O', 'o'), ('p', 'P', 'p');
    INSERT INTO applications (id, org_id, name) VALUES ('ao', 'o', 'A'), ('ap', 'p', 'A');
    INSERT INTO packages (id, org_id, type, source, draft_manifest)
    SELECT name, 'o', 'agent', 'local', '{}' FROM unnest('{@o/one,@o/two}'::text[]) name;
    INSERT INTO schedules (id, org_id, application_id, package_id, cron_expression, timezone,
        overlap_policy, misfire_policy) VALUES
        ('s', 'o', 'ao', '@o/one', '@daily', 'UTC', 'allow', 'skip');
"""


@pytest.fixture
async def records(pool: Pool) -> PostgresRunRecords:
    await pool.execute(SETTING)
    return PostgresRunRecords(pool)


def new(org: str = "o", agent: str = "@o/one", **fields: Any) -> NewRun:
    definition = AgentDefinition(
        package=PackageId(agent),
        version_label="1.0.0",
        version_ref="1.0.0",
        manifest={},
        prompt="Do.",
        skills=[],
        parts=[],
    )
    plan = RunPlan(
        run=new_run_id(),
        org=OrgId(org),
        application=ApplicationId(f"a{org}"),
        user=None,
        api_key=None,
        agent=definition,
        input={"text": "a \u0000 b"},
        prompt="Do.",
        model=None,
        timeout=60,
        output_schema=None,
        runtime_tools=[],
    )
    first = LogEntry(event="progress", level="info", message="created", data={"n": 1})
    expires = datetime.now(UTC) + timedelta(hours=1)
    return NewRun(plan=replace(plan, **fields), sealed_secret="x", expires_at=expires, first=first)


async def due(pool: Pool, *times: datetime) -> list[ScheduledFire]:
    for time in times:
        await pool.execute(
            "INSERT INTO schedule_fires (schedule_id, due_at, state) VALUES ('s', $1, 'due')",
            time,
        )
    return [ScheduledFire(schedule=ScheduleId("s"), due_at=time) for time in times]


async def test_runs_are_numbered_by_their_agents_in_the_order_given(
    records: PostgresRunRecords,
) -> None:
    await records.launch([new()], 100)
    many = [new(), new(agent="@o/two"), new(), new(org="p")]

    launched = await records.launch(many, 100)

    assert [run.id for run, _ in launched] == [each.plan.run for each in many]
    assert [run.run_number for run, _ in launched] == [2, 1, 3, 1]
    started = [run.started_at for run, _ in launched]
    assert started == sorted(set(started))
    assert {line.run_id for _, line in launched} == {run.id for run, _ in launched}
    assert launched[0][0].input == {"text": "a \u0000 b"}


async def test_each_organization_gets_as_many_as_it_has_room_for(
    records: PostgresRunRecords,
) -> None:
    many = [new() for _ in range(4)] + [new(org="p") for _ in range(2)]

    launched = await records.launch(many, 3)

    assert [run.id for run, _ in launched] == [many[n].plan.run for n in (0, 1, 2, 4, 5)]
    assert [run.run_number for run, _ in launched] == [1, 2, 3, 1, 2]
    assert [run.org_id for run, _ in await records.launch([new(), new(org="p")], 3)] == ["p"]


async def test_a_due_time_becomes_one_run_whoever_is_quicker(
    records: PostgresRunRecords, pool: Pool
) -> None:
    fires = await due(pool, NOON, NOON + timedelta(minutes=1))

    launched = await asyncio.gather(
        *(records.launch([new(fire=fire) for fire in fires], 100) for _ in range(5))
    )

    runs = [run for some in launched for run, _ in some]
    assert sorted(run.run_number for run in runs) == [1, 2]
    kept = await pool.fetch("SELECT state, run_id FROM schedule_fires ORDER BY due_at")
    assert {(row["state"], row["run_id"]) for row in kept} == {("fired", run.id) for run in runs}
    assert await pool.fetchval("SELECT count(*) FROM runs") == 2


async def test_a_due_time_without_room_stays_due(records: PostgresRunRecords, pool: Pool) -> None:
    fires = await due(pool, NOON, NOON + timedelta(minutes=1))

    launched = await records.launch([new(fire=fire) for fire in fires], 1)

    assert len(launched) == 1
    kept = await pool.fetch("SELECT state FROM schedule_fires ORDER BY due_at")
    assert [row["state"] for row in kept] == ["fired", "due"]
