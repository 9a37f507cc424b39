"""Counters of one actor, kept by its address so that they survive restarts."""

from dataclasses import dataclass


@dataclass(slots=True)
class Metrics:
    """Monotone counters and sums, times in seconds; only `waiting` goes down.

    `refused` counts messages an actor answered with a Refusal, `rejected` those its full or
    closed inbox did not take, `expired` those whose asker gave up before they were served,
    `dead_letters` those nobody will ever serve.
    """

    waiting: int = 0
    high_water: int = 0
    served: int = 0
    refused: int = 0
    failed: int = 0
    rejected: int = 0
    expired: int = 0
    dead_letters: int = 0
    restarts: int = 0
    wait_seconds: float = 0.0
    serve_seconds: float = 0.0

    def enqueued(self) -> None:
        """Count a message that now waits."""
        self.waiting += 1
        self.high_water = max(self.high_water, self.waiting)
