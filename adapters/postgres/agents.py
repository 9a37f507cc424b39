"""How applications have set their agents up, in PostgreSQL."""

import msgspec

from actors.agents import AgentSetup, InputSettings
from actors.ids import ApplicationId, OrgId, PackageId
from adapters.postgres.models import AGENT, CHOICE
from adapters.postgres.pool import Pool


class PostgresSetupRecords:
    """`SetupRecords` over the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def setup(
        self, org: OrgId, application: ApplicationId, package: PackageId
    ) -> AgentSetup | None:
        row = await self._pool.fetchrow(
            f"SELECT a.input_settings, a.proxy_id FROM ({AGENT}) p {CHOICE}",
            *(org, application, package),
        )
        if row is None:
            return None
        kept = msgspec.convert(row["input_settings"] or {}, InputSettings)
        return AgentSetup(input=kept, proxy_id=row["proxy_id"])

    async def set_input(
        self, org: OrgId, application: ApplicationId, package: PackageId, settings: InputSettings
    ) -> bool:
        return await self._set("input_settings", org, application, package, settings)

    async def set_proxy(
        self, org: OrgId, application: ApplicationId, package: PackageId, proxy: str | None
    ) -> bool:
        return await self._set("proxy_id", org, application, package, proxy)

    async def _set(
        self,
        column: str,
        org: OrgId,
        application: ApplicationId,
        package: PackageId,
        value: object,
    ) -> bool:
        kept = await self._pool.fetchval(
            f"""
            INSERT INTO application_packages AS a (application_id, package_id, {column})
            SELECT $2, p.id, $4 FROM ({AGENT}) p
            ON CONFLICT (application_id, package_id) DO UPDATE SET
                {column} = excluded.{column}, updated_at = now()
            RETURNING 1
            """,
            *(org, application, package, value),
        )
        return kept is not None
