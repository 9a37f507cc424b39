"""The port that fires schedules. Implementations: LocalScheduler (this process)."""

from abc import abstractmethod
from typing import TypeAlias

from actors.runtime import Actor, Request


class LookAgain(Request["Scheduler", None], frozen=True, kw_only=True):
    """A schedule has changed: the next due time may be sooner than thought. Usually told.

    Without it, changes are found within half a minute.
    """


SchedulerMessage: TypeAlias = LookAgain


class Scheduler(Actor):
    """Makes runs of the due times of schedules: each once, whatever dies in between."""

    async def receive(self, message: SchedulerMessage) -> None:
        return self.look_again()

    @abstractmethod
    def look_again(self) -> None: ...
