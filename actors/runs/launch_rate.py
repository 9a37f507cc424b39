"""How often an organization may launch, whoever of it does and wherever its runs are executed."""

from actors.ids import OrgId
from actors.limiter import Limiter, Rule, TakeTurn
from actors.runtime import Address


class LaunchRate:
    """Counts launches of each organization (`per_org_global_rate_per_min`)."""

    def __init__(self, limiter: Address[Limiter], per_minute: int) -> None:
        self._limiter = limiter
        self._rule = Rule(name="launches", limit=per_minute)

    async def take(self, org: OrgId) -> None:
        """Count one launch, or refuse it with `org_run_rate_limited`."""
        taken = await self._limiter.ask(TakeTurn(rule=self._rule, key=org))
        taken.check("too many launches of this organization", code="org_run_rate_limited")
