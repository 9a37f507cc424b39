"""How a run shows that it lives, and what is said of one that does not. Pure."""

from typing import Literal, TypeAlias

import msgspec

from actors.ids import InstanceId, RunId
from actors.runs.finalize import Report

INTERRUPTED = "Server restarted while run was in progress. Please retry."

Silence: TypeAlias = Literal["stale", "unborn", "overdue", "orphaned"]


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Which instance this is, and which of its lives."""

    instance: InstanceId
    boot: str


class Liveness(msgspec.Struct, frozen=True, kw_only=True):
    """How often runs report, and for how long they may be silent; all in seconds.

    A run that has sent no event within `boot_deadline` of its start never will; the same time is
    the grace beyond its own budget before the platform ends it.
    """

    heartbeat: float = 15
    stall: float = 60
    boot_deadline: float = 300
    interval: float = 15


class SilentRun(msgspec.Struct, frozen=True, kw_only=True):
    """A running run that the watchdog ends, and why; `timeout` is its own budget in seconds.

    `stale`: no sign of life for too long. `unborn`: no event by its boot deadline. `overdue`: past
    its deadline. `orphaned`: the instance that executed it is dead.
    """

    run: RunId
    why: Silence
    timeout: float


def verdict_on(silent: SilentRun, liveness: Liveness) -> Report:
    """What is reported of a run that cannot speak for itself."""
    match silent.why:
        case "overdue":
            return Report(status="timeout", error=f"Run timed out after {silent.timeout:g}s")
        case "orphaned":
            return Report(status="failed", error=INTERRUPTED)
        case "unborn":
            return Report(
                status="failed",
                error=(
                    f"Run never started executing: no event within {liveness.boot_deadline:g}s of "
                    "its provisioning. Pulling an image may have taken too long."
                ),
            )
        case "stale":
            return Report(
                status="failed",
                error=(
                    f"Runner stopped reporting — no heartbeat for {liveness.stall:g}s. "
                    "Its process may have crashed."
                ),
            )
