"""Claims, leases and signs of life, as PostgreSQL keeps them."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from actors.ids import InstanceId, RunId
from actors.pubsub import PubSub
from actors.runs import (
    Capacity,
    Identity,
    Liveness,
    LiveRun,
    RunEndings,
    RunPlan,
    RunSupervisor,
    RunWatchdog,
    SweepRuns,
)
from adapters.local.pubsub import LocalPubSub
from adapters.postgres.executions import WATCHDOG_LOCK, PostgresExecutionRecords
from adapters.postgres.pool import Pool
from adapters.postgres.runs import PostgresRunRecords
from support.running import running

ME = Identity(instance=InstanceId("1"), boot="now")
OTHER = Identity(instance=InstanceId("2"), boot="now")
EARLIER = Identity(instance=InstanceId("1"), boot="before")
PLENTY = 50
LIVENESS = Liveness(heartbeat=15, stall=60, boot_deadline=300, interval=3600)


@pytest.fixture
async def records(pool: Pool) -> PostgresExecutionRecords:
    records = PostgresExecutionRecords(pool)
    for who in (ME, OTHER):
        await records.claim_instance(who, 30)
    return records


async def add(pool: Pool, org: str, *names: str, **columns: str) -> None:
    """Insert pending runs, each younger than those before it; `columns` are SQL."""
    await pool.execute(
        "INSERT INTO organizations (id, name, slug) VALUES ($1, $1, $1) ON CONFLICT DO NOTHING", org
    )
    await pool.execute(
        """
        INSERT INTO applications (id, org_id, name) VALUES ('app_' || $1, $1, 'a')
        ON CONFLICT DO NOTHING
        """,
        org,
    )
    for name in names:
        await pool.execute(
            """
            INSERT INTO runs (id, org_id, application_id, agent_scope, agent_name, run_number,
                              version_label, version_ref, started_at)
            VALUES ($1, $2, 'app_' || $2, '@a', 'b', 1, 'v', 'v', clock_timestamp())
            """,
            *(name, org),
        )
        await pool.execute(
            """
            INSERT INTO run_sinks (run_id, org_id, secret_encrypted, expires_at)
            VALUES ($1, $2, 'sealed', now() + interval '1 day')
            """,
            *(name, org),
        )
        for column, value in columns.items():
            table, key = ("runs", "id") if column in RUN_COLUMNS else ("run_sinks", "run_id")
            await pool.execute(
                f"UPDATE {table} SET {column} = {value} WHERE {key} = $1",  # noqa: S608 - the test's own words
                name,
            )


RUN_COLUMNS = ("status", "instance_id", "boot_id", "deadline_at", "plan")
MINE = {"status": "'running'", "instance_id": "'1'", "boot_id": "'now'"}


async def claimed(records: PostgresExecutionRecords, count: int, most: int = PLENTY) -> list[str]:
    """The next runs to be claimed, in order; a dot for none."""
    found = [await records.claim(ME, most) for _ in range(count)]
    return [each.run if each else "." for each in found]


async def started(records: PostgresExecutionRecords, run: str, who: Identity) -> bool:
    soon = datetime.now(UTC) + timedelta(minutes=5)
    return await records.start(RunId(run), who, (soon, soon), []) is not None


async def test_organizations_take_turns_and_within_one_the_oldest_is_first(
    pool: Pool, records: PostgresExecutionRecords
) -> None:
    await add(pool, "a", *(f"a{n}" for n in range(1, 6)))
    await add(pool, "b", "b1", "b2")
    await add(pool, "c", "c1")

    assert await claimed(records, 9) == ["a1", "b1", "c1", "a2", "b2", "a3", "a4", "a5", "."]


async def test_who_has_fewer_runs_goes_first(pool: Pool, records: PostgresExecutionRecords) -> None:
    await add(pool, "a", "a1", "a2", **MINE)
    await add(pool, "a", "a3")
    await add(pool, "b", "b1", "b2", "b3")

    assert await claimed(records, 4) == ["b1", "b2", "a3", "b3"]


async def test_an_organization_at_its_bound_waits_and_holds_up_nobody(
    pool: Pool, records: PostgresExecutionRecords
) -> None:
    await add(pool, "a", "a1", **MINE)
    await add(pool, "a", "a2", "a3")
    await add(pool, "b", "b1")

    assert await claimed(records, 3, most=2) == ["b1", "a2", "."]
    await pool.execute("UPDATE runs SET status = 'success' WHERE id = 'a1'")
    assert await claimed(records, 2, most=2) == ["a3", "."]


async def test_among_equals_the_one_served_longest_ago_goes_first(
    pool: Pool, records: PostgresExecutionRecords
) -> None:
    """However many wait, and however long: nobody has to wait for a whole flood."""
    await add(pool, "a", "a1", "a2", "a3")
    await add(pool, "b", "b1", "b2")
    order: list[str] = []
    for _ in range(5):
        order += await claimed(records, 1)
        await pool.execute("UPDATE runs SET status = 'success' WHERE id = $1", order[-1])

    assert order == ["a1", "b1", "a2", "b2", "a3"]


async def test_two_instances_never_claim_the_same_run(
    pool: Pool, records: PostgresExecutionRecords
) -> None:
    await add(pool, "a", *(f"a{n}" for n in range(30)))
    claims = [records.claim(who, PLENTY) for who in (ME, OTHER) for _ in range(10)]
    found = [each.run for each in await asyncio.gather(*claims) if each]

    assert len(found) == len(set(found)) > 0


async def test_a_claim_is_worth_nothing_once_its_claimer_is_dead(
    pool: Pool, records: PostgresExecutionRecords
) -> None:
    await add(pool, "a", "a1", "a2", "a3")
    assert await records.claim(OTHER, PLENTY) is not None
    await pool.execute("UPDATE runs SET instance_id = '1', boot_id = 'before' WHERE id = 'a2'")

    assert await claimed(records, 3) == ["a2", "a3", "."]
    await records.release_instance(OTHER)
    assert await claimed(records, 2) == ["a1", "."]


async def test_claims_can_be_given_back(pool: Pool, records: PostgresExecutionRecords) -> None:
    await add(pool, "a", "a1", "a2")
    assert await claimed(records, 2) == ["a1", "a2"]
    assert await started(records, "a1", ME)
    await records.release_claims(ME)

    assert await claimed(records, 2) == ["a2", "."]


async def test_a_run_is_started_once(pool: Pool, records: PostgresExecutionRecords) -> None:
    await add(pool, "a", "a1")
    assert await started(records, "a1", ME)
    assert not await started(records, "a1", OTHER)

    assert await records.holds(ME, [RunId("a1"), RunId("gone")]) == {"a1": "mine", "gone": "ended"}
    assert await records.holds(OTHER, [RunId("a1")]) == {"a1": "lost"}


async def test_runs_of_dead_instances_are_orphans(
    pool: Pool, records: PostgresExecutionRecords
) -> None:
    await add(pool, "a", "mine", **MINE)
    await add(pool, "a", "earlier", **MINE | {"boot_id": "'before'"})
    await add(pool, "a", "others", **MINE | {"instance_id": "'2'"})
    await add(pool, "a", "waits")
    assert await records.orphans() == ["earlier"]
    await pool.execute("UPDATE instances SET lease_until = now() WHERE id = '2'")

    assert await records.orphans() == ["earlier", "others"]


async def test_silence_has_its_reasons(pool: Pool, records: PostgresExecutionRecords) -> None:
    old, past = "now() - interval '61 s'", "now() - interval '1 s'"
    await add(pool, "a", "well", "fresh", **MINE, deadline_at="now() + interval '1 h'")
    await add(pool, "a", "stale", **MINE, touched_at=old, last_sequence="3")
    await add(pool, "a", "unborn", **MINE, boot_deadline_at=past)
    await add(pool, "a", "spoken", **MINE, boot_deadline_at=past, last_sequence="1")
    await add(pool, "a", "overdue", **MINE, deadline_at=past, plan="""'{"timeout": 7}'""")
    await add(pool, "a", "orphaned", **MINE | {"boot_id": "'before'"})
    await add(pool, "a", "waits", touched_at=old)
    counting = await records.silent(LIVENESS, counting=True)
    not_counting = await records.silent(LIVENESS, counting=False)

    assert {each.run: each.why for each in counting or []} == {
        name: name for name in ("stale", "unborn", "overdue", "orphaned")
    }
    assert [(each.run, each.timeout) for each in not_counting or []] == [("overdue", 7)]


async def test_one_instance_looks_at_a_time(pool: Pool, records: PostgresExecutionRecords) -> None:
    async with pool.transaction() as connection:
        await connection.execute("SELECT pg_advisory_xact_lock($1)", WATCHDOG_LOCK)
        assert await records.silent(LIVENESS, counting=True) is None

    assert await records.silent(LIVENESS, counting=True) == []


async def test_a_sign_of_life_is_given_for_those_that_cannot_speak_yet(
    pool: Pool, records: PostgresExecutionRecords
) -> None:
    old, later = "now() - interval '1 h'", "now() + interval '1 s'"
    await add(pool, "a", "booting", **MINE, boot_deadline_at=later, touched_at=old)
    await add(pool, "a", "late", **MINE, boot_deadline_at=old, touched_at=old)
    spoken = MINE | {"last_sequence": "1"}
    await add(pool, "a", "spoken", **spoken, boot_deadline_at=later, touched_at=old)
    await records.pump([RunId("booting"), RunId("late"), RunId("spoken")])
    fresh = await pool.fetch(
        "SELECT run_id FROM run_sinks WHERE touched_at > now() - interval '5 s'"
    )

    assert [row["run_id"] for row in fresh] == ["booting"]


def pubsub() -> PubSub:
    return LocalPubSub()


ONE = Capacity(live=1, starting=1)


def nobody(_plan: RunPlan, _secret: str) -> LiveRun:
    raise AssertionError("nothing is executed here")


@pytest.mark.usefixtures("records")
async def test_a_watchdog_that_was_blind_counts_anew(pool: Pool) -> None:
    await add(pool, "a", "stale", **MINE, touched_at="now() - interval '1 h'")
    blind, runs = Pool(), PostgresRunRecords(pool)
    looking = PostgresExecutionRecords(blind)

    async def status() -> str:
        return str(await pool.fetchval("SELECT status FROM runs"))

    async with (
        running(pubsub) as bus,
        running(lambda: RunSupervisor(nobody, RunEndings(runs, bus), ONE)) as live,
        running(
            lambda: RunWatchdog(
                looking, RunEndings(runs, bus), live, identity=ME, liveness=LIVENESS
            )
        ) as dog,
    ):
        assert await dog.ask(SweepRuns(now=1e10)) == 0  # blind
        blind._pool = pool._pool
        assert await dog.ask(SweepRuns(now=1e10 + 20)) == 0  # it sees, for the first time
        assert await dog.ask(SweepRuns(now=1e10 + 60)) == 0
        assert await status() == "running"
        assert await dog.ask(SweepRuns(now=1e10 + 80)) == 1
        assert await status() == "failed"
        blind._pool = None
