"""The parent of live runs: it outlives a restart of whoever starts them, and so do they."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeAlias, assert_never

import msgspec
import structlog

from actors.ids import RunId
from actors.runs.conclude import RunEndings
from actors.runs.finalize import Report
from actors.runs.live_run import LiveRun, Reported, StopExecution
from actors.runs.plan import RunPlan
from actors.runtime import Actor, Address, Lane, Request, Unavailable

log = structlog.get_logger("runs")

STOP_SECONDS = 10.0
START_SECONDS = 10.0
"""Seconds after which a run that has given no sign counts as started all the same."""


class Capacity(msgspec.Struct, frozen=True, kw_only=True):
    """How many runs may live here, and how many of them may be starting at the same time.

    Starting is what costs processor time: imports, a workspace, a bundle. A run that waits for its
    model costs next to nothing, so the two bounds have nothing to do with each other.
    """

    live: int
    starting: int


class AwaitPlace(Request["RunSupervisor", None], frozen=True, kw_only=True):
    """Wait until one more run may be started here. There is one asker."""


class StartLiveRun(Request["RunSupervisor", None], frozen=True, kw_only=True):
    """Execute a run here. One that is being executed already is no mistake."""

    plan: RunPlan
    secret: str


class RunBegan(Request["RunSupervisor", None], frozen=True, kw_only=True):
    """A run has spoken for the first time: its start is over."""

    run: RunId


class StopLiveRun(Request["RunSupervisor", bool], frozen=True, kw_only=True):
    """End a run's program, then the run as `report` says. False when it is not executed here.

    Answers when nothing of the program is left, or after 10 s.
    """

    run: RunId
    report: Report


class ReleaseLiveRun(Request["RunSupervisor", None], frozen=True, kw_only=True):
    """The run has ended in the database; see that its program exits."""

    run: RunId


class ReadLiveRuns(Request["RunSupervisor", list[RunId]], frozen=True, kw_only=True):
    """The runs that are executed here."""


class AwaitIdle(Request["RunSupervisor", None], frozen=True, kw_only=True):
    """Wait until no run is executed here."""


RunSupervisorMessage: TypeAlias = (
    AwaitPlace | StartLiveRun | RunBegan | StopLiveRun | ReleaseLiveRun | ReadLiveRuns | AwaitIdle
)


class RunSupervisor(Actor):
    """Keeps a LiveRun for each run executed here: never restarted, always accounted for.

    When it stops, it ends every run, each with a reason.
    """

    lanes = (
        Lane("waits", 4, (AwaitPlace, AwaitIdle)),
        Lane("stops", 64, (StopLiveRun,)),
        Lane("rest", 32),
    )

    def __init__(
        self,
        make: Callable[[RunPlan, str], LiveRun],
        endings: RunEndings,
        capacity: Capacity,
    ) -> None:
        super().__init__()
        self._make = make
        self._endings = endings
        self._capacity = capacity
        self._live: dict[RunId, tuple[Address[LiveRun], LiveRun]] = {}
        self._starting: dict[RunId, asyncio.TimerHandle] = {}
        self._changed = asyncio.Event()

    async def stopped(self) -> None:
        report = Report(status="failed", error="The server was stopped while the run was active.")
        await asyncio.gather(*(self._stop_run(run, report) for run in list(self._live)))
        for timer in self._starting.values():
            timer.cancel()

    async def receive(self, message: RunSupervisorMessage) -> Any:
        match message:
            case AwaitPlace():
                return await self._until(self._has_place)
            case StartLiveRun():
                return self._start(message)
            case RunBegan():
                return self._began(message.run)
            case StopLiveRun():
                return await self._stop_run(message.run, message.report)
            case ReleaseLiveRun():
                if message.run in self._live:
                    self._live[message.run][0].tell(Reported())
                return None
            case ReadLiveRuns():
                return list(self._live)
            case AwaitIdle():
                return await self._until(lambda: not self._live)
            case _:
                assert_never(message)

    def _has_place(self) -> bool:
        most = self._capacity
        return len(self._live) < most.live and len(self._starting) < most.starting

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._changed.wait()

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _start(self, message: StartLiveRun) -> None:
        run = message.plan.run
        if run in self._live:
            return
        live = self._make(message.plan, message.secret)
        address: Address[LiveRun] = Address(f"run {run}")
        self._live[run] = address, live
        loop = asyncio.get_running_loop()
        self._starting[run] = loop.call_later(START_SECONDS, self._began, run)
        live.launch(address.name, address.metrics)
        live.on_exit(lambda: self._ended(run))
        address.bind(live)

    def _began(self, run: RunId) -> None:
        timer = self._starting.pop(run, None)
        if timer is not None:
            timer.cancel()
            self._notify()

    async def _stop_run(self, run: RunId, report: Report) -> bool:
        if run not in self._live:
            return False
        address, live = self._live[run]
        try:
            await address.ask(StopExecution(report=report), within=STOP_SECONDS)
        except Unavailable as refusal:
            log.warning("run did not stop in time", run=run, why=refusal.detail)
        await live.retire(1)
        return True

    def _ended(self, run: RunId) -> None:
        _, live = self._live.pop(run)
        self._began(run)
        self._notify()
        if live.exit is not None:
            log.error("run crashed", run=run, exc_info=live.exit)
            report = Report(status="failed", error="The platform failed while executing the run.")
            self.own(self._endings.end_surely(run, report), "conclude")
