"""What is known of how a run went, beside its row and its log."""

from datetime import datetime
from typing import Protocol

import msgspec

from actors.contract import Resource, spell
from actors.ids import RunId
from actors.runs.records import LogLine, Run
from actors.sidecar_pool import Exit

MOST_CALLS = 500
GAVE_UP = "the run ended before the answer was whole"


class ModelCall(Resource, frozen=True, kw_only=True, rename=spell):
    """A request a run made to its model. Without a `duration` it had not ended when last seen.

    `duration` is in milliseconds; `status` is what the run was answered with, and `error` why that
    was no good answer. Tokens are there when the answer told them.
    """

    id: str
    started_at: datetime = msgspec.field(name="started_at")
    duration: int | None = None
    status: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    error: str | None = None

    @property
    def failed(self) -> bool:
        """Whether it has ended, and not with a whole answer."""
        return self.error is not None

    @property
    def awaited(self) -> bool:
        """Whether the run was still waiting for the answer when it ended."""
        return self.duration is None or self.error == GAVE_UP


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How a run's program ended, and when that was seen."""

    exit: Exit
    at: datetime


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """Everything an explanation is made of: the telling lines of the log, in order, and the last
    500 model calls, oldest first.
    """

    run: Run
    lines: list[LogLine] = msgspec.field(default_factory=list[LogLine])
    calls: list[ModelCall] = msgspec.field(default_factory=list[ModelCall])
    ending: Ending | None = None


class EvidenceRecords(Protocol):
    """Where evidence is kept. Each method is one transaction. A run that is gone keeps nothing."""

    async def keep_exit(self, run: RunId, exit_: Exit, at: datetime) -> None:
        """Keep how a run's program ended; the first one told stays."""
        ...

    async def keep_call(self, run: RunId, call: ModelCall) -> None:
        """Keep a model call, or what has become of it: one that has ended does not change again.

        Only the last 500 of a run are kept.
        """
        ...

    async def evidence(self, run: Run) -> Evidence:
        """All that was kept about a run."""
        ...
