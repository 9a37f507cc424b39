"""Deleting runs, with everything that refers to them."""

from typing import Literal, TypeAlias

import asyncpg

from actors.ids import ApplicationId, OrgId, PackageId, RunId
from adapters.postgres.pool import Pool

ACTIVE = "status IN ('pending', 'running')"
# Whether another run that is active reads what a run `r` has brought or published.
READ_ELSEWHERE = """
    EXISTS (
        SELECT FROM documents d JOIN document_links l ON l.document_id = d.id
        JOIN runs reader ON reader.id = l.consumer_run_id
        WHERE d.run_id = r.id AND reader.id <> r.id AND reader.status IN ('pending', 'running')
    )
"""
Deletion: TypeAlias = Literal["deleted", "active", "read", "missing"]


async def delete_run(pool: Pool, org: OrgId, application: ApplicationId, run: RunId) -> Deletion:
    """Delete one run, unless it is active or its documents are read."""
    async with pool.transaction() as connection:
        active = await connection.fetchval(
            f"""
            SELECT {ACTIVE} FROM runs WHERE org_id = $1 AND application_id = $2 AND id = $3
            FOR UPDATE
            """,
            *(org, application, run),
        )
        if active is None:
            return "missing"
        if active:
            return "active"
        if await _are_read(connection, [run]):
            return "read"
        await connection.execute("DELETE FROM runs WHERE id = $1", run)
        return "deleted"


async def delete_runs(
    pool: Pool, org: OrgId, application: ApplicationId, package: PackageId
) -> int | Literal["active", "read"]:
    """Delete the runs of an agent, unless one is active, or its documents are read. Those launched
    meanwhile stay.
    """
    which = "org_id = $1 AND application_id = $2 AND package_id = $3"
    async with pool.transaction() as connection:
        active = await connection.fetchval(
            f"SELECT EXISTS (SELECT FROM runs WHERE {which} AND {ACTIVE})",
            *(org, application, package),
        )
        if active:
            return "active"
        rows = await connection.fetch(
            f"SELECT id FROM runs WHERE {which} AND NOT {ACTIVE} ORDER BY id FOR UPDATE",
            *(org, application, package),
        )
        runs = [row["id"] for row in rows]
        if await _are_read(connection, runs):
            return "read"
        await connection.execute("DELETE FROM runs WHERE id = ANY ($1)", runs)
        return len(runs)


async def _are_read(connection: asyncpg.Connection, runs: list[RunId]) -> bool:
    # A run that is launched with one of them meanwhile waits here, or is seen in what follows.
    await connection.execute(
        "SELECT FROM documents WHERE run_id = ANY ($1) ORDER BY id FOR UPDATE", runs
    )
    read: bool = await connection.fetchval(
        f"SELECT EXISTS (SELECT FROM runs r WHERE r.id = ANY ($1) AND {READ_ELSEWHERE})", runs
    )
    return read
