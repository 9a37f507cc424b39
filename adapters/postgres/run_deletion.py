"""Deleting runs, with everything that refers to them."""

from typing import Literal

from actors.ids import ApplicationId, OrgId, PackageId, RunId
from adapters.postgres.pool import Pool

ACTIVE = "status IN ('pending', 'running')"


async def delete_run(
    pool: Pool, org: OrgId, application: ApplicationId, run: RunId
) -> Literal["deleted", "active", "missing"]:
    """Delete one run, unless it is active."""
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
        await connection.execute("DELETE FROM runs WHERE id = $1", run)
        return "deleted"


async def delete_runs(
    pool: Pool, org: OrgId, application: ApplicationId, package: PackageId
) -> int | None:
    """Delete the runs of an agent, unless one is active. Those launched meanwhile stay."""
    which = "org_id = $1 AND application_id = $2 AND package_id = $3"
    async with pool.transaction() as connection:
        active = await connection.fetchval(
            f"SELECT EXISTS (SELECT FROM runs WHERE {which} AND {ACTIVE})",
            *(org, application, package),
        )
        if active:
            return None
        done = await connection.execute(
            f"DELETE FROM runs WHERE {which} AND NOT {ACTIVE}", *(org, application, package)
        )
        return int(done.rpartition(" ")[2])
