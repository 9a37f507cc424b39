"""Transactions that change the same rows at once: one waits for the other, none deadlocks."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from actors.files import Document, FileLimits, InputFile
from actors.ids import (
    ApplicationId,
    DocumentId,
    EndUserId,
    OrgId,
    PackageId,
    RunId,
    ScheduleId,
    UploadId,
    new_run_id,
)
from actors.packages import AgentDefinition
from actors.runs import LogEntry, NewRun, RunPlan, ScheduledFire
from actors.runtime import Conflict
from adapters.postgres.end_users import PostgresEndUserRecords
from adapters.postgres.pool import Pool
from adapters.postgres.run_deletion import delete_run
from adapters.postgres.run_files import PostgresRunFileRecords
from adapters.postgres.runs import PostgresRunRecords
from adapters.postgres.schedules import PostgresScheduleRecords
from support.waiting import until

ORG, APPLICATION, EU, RUN = OrgId("o"), ApplicationId("a"), EndUserId("e"), RunId("r")
SETTING = """
    INSERT INTO organizations (id, name, slug) VALUES ('o', 'O', 'o');
    INSERT INTO applications (id, org_id, name) VALUES ('a', 'o', 'A');
    INSERT INTO packages (id, org_id, type, source, draft_manifest) VALUES
        ('@o/agent', 'o', 'agent', 'local', '{}');
    INSERT INTO end_users (id, org_id, application_id) VALUES ('e', 'o', 'a');
    INSERT INTO schedules (id, org_id, application_id, package_id, cron_expression, timezone,
        overlap_policy, misfire_policy, end_user_id) VALUES
        ('s', 'o', 'a', '@o/agent', '@daily', 'UTC', 'allow', 'skip', 'e');
    INSERT INTO runs (id, org_id, application_id, package_id, agent_scope, agent_name, run_number,
        input, version_label, version_ref, status, end_user_id, schedule_id)
    VALUES ('r', 'o', 'a', '@o/agent', '@o', 'agent', 1, '{}', '1.0.0', '1.0.0', 'running', 'e',
        's');
    INSERT INTO schedule_fires (schedule_id, due_at, state, run_id)
    VALUES ('s', now() - interval '1 hour', 'fired', 'r');
"""


@pytest.fixture(autouse=True)
async def setting(pool: Pool) -> None:
    await pool.execute(SETTING)


@pytest.mark.parametrize("what", ["end user", "schedule"])
async def test_what_a_run_refers_to_is_deleted_while_it_publishes(pool: Pool, what: str) -> None:
    publishing = PostgresRunFileRecords(pool).add_output(_document(), FileLimits())
    removing = (
        PostgresEndUserRecords(pool).remove(ORG, APPLICATION, EU)
        if what == "end user"
        else PostgresScheduleRecords(pool).remove(ORG, APPLICATION, ScheduleId("s"))
    )
    # Bytes are counted while the run is held, before anything is written that refers to others.
    held = "SELECT FROM organizations WHERE id = 'o' FOR NO KEY UPDATE"
    published, removed = await _one_after_the_other(pool, held, publishing, removing)

    assert published.presentation == "primary"
    assert removed
    assert await pool.fetchval("SELECT count(*) FROM documents") == int(what == "schedule")


async def test_an_end_user_is_deleted_while_a_schedule_of_theirs_is_run_by_hand(pool: Pool) -> None:
    launching = PostgresRunRecords(pool).launch([_new_run()], 10)
    removing = PostgresEndUserRecords(pool).remove(ORG, APPLICATION, EU)
    # The last that a launch looks at, before the end user.
    held = "SELECT FROM organizations WHERE id = 'o' FOR UPDATE"
    launched, removed = await _one_after_the_other(pool, held, launching, removing)

    assert len(launched) == 1
    assert removed
    assert await pool.fetchval("SELECT count(*) FROM schedules") == 0


async def test_a_schedule_is_deleted_while_a_run_of_it_is(pool: Pool) -> None:
    await pool.execute("UPDATE runs SET status = 'success'")
    await pool.execute(
        """
        INSERT INTO documents (id, org_id, application_id, purpose, run_id, storage_key, name, mime,
            size, sha256) VALUES ('d', 'o', 'a', 'agent_output', 'r', 'k', 'n', 'text/plain', 0, '')
        """
    )
    deleting = delete_run(pool, ORG, APPLICATION, RUN)
    removing = PostgresScheduleRecords(pool).remove(ORG, APPLICATION, ScheduleId("s"))
    held = "SELECT FROM documents FOR UPDATE"
    deleted, removed = await _one_after_the_other(pool, held, deleting, removing)

    assert deleted == "deleted"
    assert removed


async def test_an_upload_for_one_use_is_of_one_of_two_runs_that_began_together(pool: Pool) -> None:
    await pool.execute(
        """
        INSERT INTO uploads (id, org_id, application_id, name, mime, size, expires_at, storage_key,
            sha256) VALUES ('u', 'o', 'a', 'a.csv', 'text/csv', 1, now() + interval '1 hour', 'k',
            'x')
        """
    )
    # As if the first had been planned when the second had begun already.
    until_then = datetime.now(UTC) + timedelta(seconds=1)
    records = PostgresRunRecords(pool)
    first, second = (
        records.launch([_new_run(files=[_file(number, until_then)])], 10) for number in "12"
    )

    async def over() -> bool:
        return datetime.now(UTC) > until_then

    held = "SELECT FROM organizations WHERE id = 'o' FOR UPDATE"
    with pytest.raises(Conflict, match="given to another run"):
        await _one_after_the_other(pool, held, first, second, over)

    assert await pool.fetchval("SELECT count(*) FROM documents") == 1


async def _one_after_the_other(
    pool: Pool,
    held: str,
    first: Awaitable[Any],
    second: Awaitable[Any],
    condition: Callable[[], Awaitable[object]] | None = None,
) -> tuple[Any, Any]:
    """What two transactions answer, of which the first waits for what is held, and the second for
    the first, until a condition holds.
    """
    blocked = "SELECT count(*) FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0"
    async with pool.transaction() as connection:
        await connection.execute(held)
        one = asyncio.ensure_future(first)
        await until(lambda: _equals(pool.fetchval(blocked), 1))
        other = asyncio.ensure_future(second)
        await until(lambda: _equals(pool.fetchval(blocked), 2))
        if condition is not None:
            await until(condition)
    return await one, await other


async def _equals(value: Coroutine[Any, Any, Any], wanted: int) -> bool:
    return bool(await value == wanted)


def _document() -> Document:
    return Document(
        id=DocumentId("d"),
        org_id=ORG,
        application_id=APPLICATION,
        purpose="agent_output",
        run_id=RUN,
        package_id=PackageId("@o/agent"),
        user_id=None,
        storage_key="k",
        name="a.csv",
        mime="text/csv",
        size=1,
        sha256="x",
        presentation="primary",
        created_at=datetime.now(UTC),
    )


def _file(number: str, reusable_until: datetime) -> InputFile:
    return InputFile(
        document=DocumentId(number),
        workspace_name="a.csv",
        storage_key=number,
        name="a.csv",
        mime="text/csv",
        size=1,
        sha256="x",
        new=True,
        upload=UploadId("u"),
        reusable_until=reusable_until,
    )


def _new_run(**fields: Any) -> NewRun:
    definition = AgentDefinition(
        package=PackageId("@o/agent"),
        version_label="1.0.0",
        version_ref="1.0.0",
        manifest={},
        prompt="Do.",
        skills=[],
        parts=[],
    )
    plan = RunPlan(
        run=new_run_id(),
        org=ORG,
        application=APPLICATION,
        user=None,
        end_user=EU,
        api_key=None,
        agent=definition,
        input={},
        prompt="Do.",
        model=None,
        timeout=60,
        output_schema=None,
        runtime_tools=[],
        fire=ScheduledFire(schedule=ScheduleId("s")),
    )
    first = LogEntry(event="progress", level="info", message="created", data={})
    plan = replace(plan, **fields)
    return NewRun(plan=plan, sealed_secret="x", expires_at=datetime.now(UTC), first=first)
