"""What is kept of who executes which run: claims, leases, signs of life."""

from datetime import datetime
from typing import Literal, Protocol, TypeAlias

import msgspec

from actors.ids import RunId
from actors.runs.events import LogEntry
from actors.runs.liveness import Identity, Liveness, SilentRun
from actors.runs.plan import RunPlan
from actors.runs.records import Started

Hold: TypeAlias = Literal["mine", "ended", "lost"]


class ClaimedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A pending run and what starting it needs. No plan: what is stored cannot be read."""

    run: RunId
    plan: RunPlan | None
    sealed_secret: str


class ExecutionRecords(Protocol):
    """Which instance executes what. Each method is one transaction."""

    async def claim_instance(self, who: Identity, lease: float) -> None:
        """Say that this boot of this instance lives, for `lease` seconds from now."""
        ...

    async def release_instance(self, who: Identity) -> None:
        """Give back the lease, and every claim on a run that was never started."""
        ...

    async def release_claims(self, who: Identity) -> None:
        """Give back every claim on a run that was never started."""
        ...

    async def claim(self, who: Identity, most_of_organization: int) -> ClaimedRun | None:
        """Claim the run whose turn it is, in one statement; it stays pending until `start`.

        The turn is that of the organization which has the fewest runs started or claimed, among
        equals of the one served longest ago, and within it that of the oldest run. An
        organization with `most_of_organization` of them has no turn. A claim ends with the lease
        of its instance. Two instances never claim the same run; claiming at the same moment, they
        may pass an organization's bound by one each.
        """
        ...

    async def start(
        self, run: RunId, who: Identity, times: tuple[datetime, datetime], lines: list[LogEntry]
    ) -> Started | None:
        """Pending → running, executed by this instance. None when it is pending no more.

        `times` are the deadline of its first event and that of its end; its sink stays open until
        the latter at least.
        """
        ...

    async def orphans(self) -> list[RunId]:
        """Running runs whose instance is dead: it has booted anew, or its lease has run out."""
        ...

    async def holds(self, who: Identity, runs: list[RunId]) -> dict[RunId, Hold]:
        """What has become of runs that are executed here: still ours, ended, or another's."""
        ...

    async def pump(self, runs: list[RunId]) -> None:
        """Note a sign of life of those which have sent no event and are before their deadline."""
        ...

    async def silent(self, liveness: Liveness, *, counting: bool) -> list[SilentRun] | None:
        """Up to 200 runs that are past their deadline or, when `counting`, silent for too long.

        None when another instance is looking at this moment.
        """
        ...
