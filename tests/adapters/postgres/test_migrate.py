import asyncio
from collections.abc import AsyncIterator
from itertools import chain
from pathlib import Path

import pytest

from adapters.postgres.migrate import MigrationError, migrate
from adapters.postgres.pool import Pool
from support.postgres import Postgres


@pytest.fixture
async def pool(postgres: Postgres) -> AsyncIterator[Pool]:
    pool = Pool()
    await pool.open(**await postgres.fresh_database())
    yield pool
    await pool.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE first (n int);\n")
    (tmp_path / "0002_second.sql").write_text("CREATE TABLE second (n int);\n")
    return tmp_path


async def test_migrations_run_once_and_in_order(pool: Pool, folder: Path) -> None:
    assert await migrate(pool, folder) == ["first", "second"]
    assert await migrate(pool, folder) == []
    assert await pool.fetchval("SELECT count(*) FROM second") == 0


async def test_a_failing_migration_is_undone_and_the_earlier_ones_stay(
    pool: Pool, folder: Path
) -> None:
    bad = folder / "0003_bad.sql"
    bad.write_text("CREATE TABLE third (n int); SELECT 1/0;")
    with pytest.raises(MigrationError, match="0003_bad failed and was undone"):
        await migrate(pool, folder)
    bad.write_text("CREATE TABLE third (n int);")

    assert await migrate(pool, folder) == ["bad"]


async def test_a_changed_migration_is_refused(pool: Pool, folder: Path) -> None:
    await migrate(pool, folder)
    (folder / "0001_first.sql").write_text("CREATE TABLE first (n bigint);\n")

    with pytest.raises(MigrationError, match=r"0001 \(first\) is not the one"):
        await migrate(pool, folder)


async def test_a_missing_file_in_the_middle_is_refused(pool: Pool, folder: Path) -> None:
    (folder / "0001_first.sql").unlink()

    with pytest.raises(MigrationError, match="without a gap"):
        await migrate(pool, folder)


async def test_a_newer_database_is_refused_with_both_versions(pool: Pool, folder: Path) -> None:
    await migrate(pool, folder)
    (folder / "0002_second.sql").unlink()

    with pytest.raises(MigrationError, match="at 0002, this program at 0001"):
        await migrate(pool, folder)


async def test_a_newer_database_that_promised_compatibility_is_accepted(
    pool: Pool, folder: Path
) -> None:
    second = folder / "0002_second.sql"
    second.write_text("-- compatible\nCREATE TABLE second (n int);\n")
    await migrate(pool, folder)
    second.unlink()

    assert await migrate(pool, folder) == []


async def test_an_empty_folder_is_a_damaged_installation(pool: Pool, tmp_path: Path) -> None:
    with pytest.raises(MigrationError, match="installation is damaged"):
        await migrate(pool, tmp_path)


async def test_several_instances_may_boot_at_once(postgres: Postgres, folder: Path) -> None:
    connect = await postgres.fresh_database()
    pools = [Pool() for _ in range(4)]
    for pool in pools:
        await pool.open(**connect)
    applied = await asyncio.gather(*(migrate(pool, folder) for pool in pools))
    for pool in pools:
        await pool.close()

    assert sorted(chain(*applied)) == ["first", "second"]
