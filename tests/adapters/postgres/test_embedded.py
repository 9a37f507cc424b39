"""The embedded server: first boot, orphans, locks, kill -9, paths with spaces."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from adapters.postgres.embedded import EmbeddedPostgres, EmbeddedPostgresError

HOLDER = """
import asyncio, sys
from pathlib import Path
from adapters.postgres.embedded import EmbeddedPostgres
async def main():
    server = EmbeddedPostgres(Path(sys.argv[1]))
    connect = await server.start()
    import asyncpg
    connection = await asyncpg.connect(**connect)
    await connection.execute("CREATE TABLE IF NOT EXISTS t (n int)")
    print("ready", flush=True)
    n = 0
    while True:
        n += 1
        await connection.execute("INSERT INTO t VALUES ($1)", n)
        print(n, flush=True)
asyncio.run(main())
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "a folder with spaces" / "postgres"


async def count(connect: dict[str, object]) -> int:
    connection = await asyncpg.connect(**connect)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM t"))
    finally:
        await connection.close()


async def test_first_boot_and_restart_keep_data_and_privacy(root: Path) -> None:
    first = EmbeddedPostgres(root)
    connection = await asyncpg.connect(**await first.start())
    await connection.execute("CREATE TABLE t (n int); INSERT INTO t VALUES (1)")
    await connection.close()
    await first.stop()
    again = EmbeddedPostgres(root)
    try:
        assert await count(await again.start()) == 1
        assert root.stat().st_mode & 0o777 == 0o700
        assert (root / "password").stat().st_mode & 0o777 == 0o600
        assert root.parent.stat().st_mode & 0o777 != 0o700 or os.umask(0o022) == 0o077
    finally:
        await again.stop()


async def test_a_folder_in_use_is_refused_with_the_process_that_holds_it(root: Path) -> None:
    first = EmbeddedPostgres(root)
    await first.start()
    try:
        with pytest.raises(EmbeddedPostgresError, match=f"process {os.getpid()}") as caught:
            await EmbeddedPostgres(root).start()
        assert "choose another DATA_DIR" in str(caught.value)
    finally:
        await first.stop()


async def test_an_interrupted_initdb_leaves_no_half_cluster(root: Path) -> None:
    (root / "pgdata.init" / "base").mkdir(parents=True)
    (root / "pgdata.init" / "PG_VERSION").write_text("18")
    server = EmbeddedPostgres(root)
    connection = await asyncpg.connect(**await server.start())
    await connection.close()
    await server.stop()


async def test_a_stale_pid_file_with_a_recycled_number_is_no_obstacle(root: Path) -> None:
    server = EmbeddedPostgres(root)
    await server.start()
    await server.stop()
    (root / "pgdata" / "postmaster.pid").write_text(f"{os.getpid()}\n/elsewhere\n")
    again = EmbeddedPostgres(root)
    await again.start()
    await again.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
async def test_kill_9_of_the_parent_loses_no_acknowledged_row(root: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(root)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    acknowledged = 0
    for line in holder.stdout:
        acknowledged = int(line) if line.strip().isdigit() else 0
        if acknowledged >= 200:
            break
    os.kill(holder.pid, signal.SIGKILL)
    for line in holder.stdout:
        acknowledged = int(line)
    holder.communicate()
    server = EmbeddedPostgres(root)
    try:
        assert await count(await server.start()) >= acknowledged
    finally:
        await server.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are found through /proc")
async def test_an_orphan_that_ignored_its_parents_death_is_stopped(root: Path) -> None:
    first = EmbeddedPostgres(root)
    await first.start()
    assert first._lock is not None
    assert first._process is not None
    first._lock.close()  # as if this process had died, and PostgreSQL had not noticed
    again = EmbeddedPostgres(root)
    try:
        await again.start()
        await asyncio.wait_for(first._process.wait(), 5)
    finally:
        await again.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives up being root")
async def test_started_by_root_it_does_not_run_as_root(root: Path) -> None:
    server = EmbeddedPostgres(root)
    await server.start()
    try:
        assert server._process is not None
        status = Path(f"/proc/{server._process.pid}/status").read_text()
        uid = next(line for line in status.splitlines() if line.startswith("Uid:"))
        assert "0" not in uid.split()[1:]
    finally:
        await server.stop()
