"""What whoever keeps runs promises about the events of many of them at the same time."""

import asyncio
import secrets
from typing import Any
from uuid import uuid4

import pytest

from actors.ids import RunId
from actors.runs import Ingested, RunEvent, RunRecords, effects
from adapters.postgres.pool import Pool
from adapters.postgres.runs import PostgresRunRecords
from support.waiting import until

RUNS = [RunId(f"run_{n}") for n in range(20)]
PEOPLE = """
    INSERT INTO organizations (id, name, slug) VALUES ('o', 'O', 'o');
    INSERT INTO applications (id, org_id, name) VALUES ('a', 'o', 'A');
    INSERT INTO runs (id, org_id, application_id, agent_scope, agent_name, run_number,
                      version_label, version_ref)
        SELECT 'run_' || n, 'o', 'a', '@o', 'agent', n, 'draft', 'draft'
        FROM generate_series(0, 19) n;
    INSERT INTO run_sinks (run_id, org_id, secret_encrypted, expires_at)
        SELECT id, 'o', 'sealed', now() + interval '1 day' FROM runs;
"""


@pytest.fixture(params=[pytest.param(PostgresRunRecords, id="postgres")])
async def records(request: pytest.FixtureRequest, pool: Pool) -> RunRecords:
    async with pool.connection() as connection:
        await connection.execute(PEOPLE)
    kept: RunRecords = request.param(pool)
    return kept


async def send(
    records: RunRecords, run: RunId, sequence: int, message_id: str | None = None, data: Any = None
) -> Ingested:
    event = RunEvent(
        specversion="1.0",
        type="appstrate.progress",
        source="test",
        id="1",
        time="now",
        datacontenttype="application/json",
        data={"message": f"event {sequence}", "data": data},
        sequence=sequence,
    )
    return await records.ingest(run, message_id or str(uuid4()), event, effects(event))


async def log_of(pool: Pool, run: RunId) -> list[tuple[int, str]]:
    rows = await pool.fetch(
        "SELECT position, message FROM run_logs WHERE run_id = $1 ORDER BY id", run
    )
    return [tuple(row) for row in rows]


async def test_what_comes_at_the_same_time_is_committed_together(
    records: RunRecords, pool: Pool
) -> None:
    taken = await asyncio.gather(*(send(records, run, 1, data=[1, {"a": 2}]) for run in RUNS))
    assert {each.outcome for each in taken} == {"persisted"}
    assert [each.lines[0].run_id for each in taken] == RUNS
    assert taken[0].lines == await records.logs(taken[0].lines[0].org_id, RUNS[0], 0, ["debug"], 9)
    assert await pool.fetchval("SELECT count(DISTINCT xmin::text) FROM run_logs") == 1


async def test_each_run_keeps_its_order_whatever_the_others_do(
    records: RunRecords, pool: Pool
) -> None:
    async def play(run: RunId) -> None:
        for number in range(1, 21):
            assert (await send(records, run, number)).outcome == "persisted"

    await asyncio.gather(*map(play, RUNS))
    for run in RUNS:
        assert await log_of(pool, run) == [(n, f"event {n}") for n in range(1, 21)]


async def test_events_of_one_run_at_once_end_in_order(records: RunRecords, pool: Pool) -> None:
    numbers = [3, 1, 5, 2, 4]
    taken = await asyncio.gather(*(send(records, RUNS[0], n, data=[n]) for n in numbers))
    assert [n for n, each in zip(numbers, taken, strict=True) if each.outcome == "persisted"]
    assert await log_of(pool, RUNS[0]) == [(n, f"event {n}") for n in range(1, 6)]
    lines = sorted((line for each in taken for line in each.lines), key=lambda line: line.id)
    assert [line.position for line in lines] == [1, 2, 3, 4, 5]
    assert [line.data for line in lines] == [[1], [2], [3], [4], [5]]


async def test_an_event_that_cannot_be_written_harms_no_other(
    records: RunRecords, pool: Pool
) -> None:
    too_long = secrets.token_hex(4000)  # for an index
    sent = [send(records, run, 1, too_long if run == RUNS[7] else None) for run in RUNS]
    taken = await asyncio.gather(*sent, return_exceptions=True)
    broken = [run for run, each in zip(RUNS, taken, strict=True) if isinstance(each, Exception)]
    assert broken == [RUNS[7]]
    for run in RUNS:
        expected = [] if run == RUNS[7] else [(1, "event 1")]
        assert await log_of(pool, run) == expected
    assert (await send(records, RUNS[7], 1)).outcome == "persisted"


async def test_whoever_gives_up_takes_nobody_along(records: RunRecords, pool: Pool) -> None:
    first, *others = [asyncio.create_task(send(records, run, 1)) for run in RUNS]
    await asyncio.sleep(0)
    first.cancel()
    taken = await asyncio.gather(*others)
    assert {each.outcome for each in taken} == {"persisted"}
    await asyncio.wait({first})
    again = await send(records, RUNS[0], 1)
    assert again.outcome in ("persisted", "replay")
    assert await log_of(pool, RUNS[0]) == [(1, "event 1")]


async def test_a_run_somebody_is_busy_with_keeps_nobody_waiting(
    records: RunRecords, pool: Pool
) -> None:
    async with pool.transaction() as connection:
        await connection.execute("UPDATE run_sinks SET touched_at = now() WHERE run_id = 'run_0'")
        busy = asyncio.create_task(send(records, RUNS[0], 1))
        taken = await asyncio.gather(*(send(records, run, 1) for run in RUNS[1:]))
        assert {each.outcome for each in taken} == {"persisted"}
        await until(lambda: locked(pool))
        assert not busy.done()
    assert (await busy).outcome == "persisted"
    assert await log_of(pool, RUNS[0]) == [(1, "event 1")]


async def test_a_run_that_is_being_deleted_keeps_nobody_waiting(
    records: RunRecords, pool: Pool
) -> None:
    async with pool.transaction() as connection:
        await connection.execute("SELECT FROM runs WHERE id = 'run_0' FOR UPDATE")
        async with asyncio.timeout(5):
            gone = asyncio.create_task(send(records, RUNS[0], 1))
            taken = await asyncio.gather(*(send(records, run, 1) for run in RUNS[1:]))
        assert {each.outcome for each in taken} == {"persisted"}
        await until(lambda: locked(pool))
        assert not gone.done()
    assert (await gone).outcome == "persisted"


async def test_a_batch_that_never_ends_is_given_up_and_its_events_taken_one_by_one(
    records: RunRecords, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.postgres.ingestion.COMMIT_SECONDS", 0.2)
    async with pool.transaction() as connection:
        await connection.execute("LOCK TABLE run_messages IN SHARE MODE")
        sent = [asyncio.create_task(send(records, run, 1)) for run in RUNS[:3]]
        await until(lambda: alone(pool, 3))
    assert {each.outcome for each in await asyncio.gather(*sent)} == {"persisted"}
    assert [await log_of(pool, run) for run in RUNS[:3]] == [[(1, "event 1")]] * 3


async def alone(pool: Pool, most: int) -> bool:
    waiting = await pool.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ $1",
        "INSERT INTO run_messages SELECT",
    )
    return bool(waiting == most)


async def locked(pool: Pool) -> bool:
    waiting = await pool.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted")
    return bool(waiting)


async def test_a_repeated_message_counts_once(records: RunRecords, pool: Pool) -> None:
    taken = await asyncio.gather(*(send(records, RUNS[0], 1, "same") for _ in range(5)))
    assert sorted(each.outcome for each in taken) == ["persisted", *["replay"] * 4]
    assert (await send(records, RUNS[0], 2, "same")).outcome == "replay"
    assert await log_of(pool, RUNS[0]) == [(1, "event 1")]


async def test_an_ended_run_takes_nothing(records: RunRecords, pool: Pool) -> None:
    await pool.execute("UPDATE run_sinks SET closed_at = now() WHERE run_id = 'run_0'")
    ended, other = await asyncio.gather(send(records, RUNS[0], 1), send(records, RUNS[1], 1))
    assert ended.closed
    assert not ended.lines
    assert other.outcome == "persisted"
