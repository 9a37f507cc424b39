"""Rules of launching: what every run is bound by. Pure."""

from typing import Annotated

import msgspec

from actors.packages import Manifest
from actors.packages.manifest import effective_timeout


class RunLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds on every run (`PLATFORM_RUN_LIMITS`); seconds, counts, MiB and processors."""

    timeout_ceiling_seconds: Annotated[float, msgspec.Meta(gt=0)] = 1800
    per_org_global_rate_per_min: Annotated[int, msgspec.Meta(ge=1)] = 200
    max_concurrent_per_org: Annotated[int, msgspec.Meta(ge=1)] = 50
    max_pending_per_org: Annotated[int, msgspec.Meta(ge=1)] = 1000
    agent_memory_ceiling_mb: Annotated[int, msgspec.Meta(ge=1)] = 1536
    agent_cpu_ceiling: Annotated[float, msgspec.Meta(gt=0)] = 2


class EventLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds on what a run sends (`REMOTE_RUN_EVENT_LIMITS`): `burst` events per second.

    `rate_per_sec` is part of the contract and means nothing.
    """

    rate_per_sec: Annotated[int, msgspec.Meta(ge=1)] = 50
    burst: Annotated[int, msgspec.Meta(ge=1)] = 200


def run_timeout(manifest: Manifest, limits: RunLimits) -> float:
    """The budget of a run in seconds: the agent's own, lowered to the platform's ceiling."""
    return min(effective_timeout(manifest), limits.timeout_ceiling_seconds)
