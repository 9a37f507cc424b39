"""The parent of live runs: it outlives a restart of RunManager, and so do they."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeAlias, assert_never

import structlog

from actors.ids import RunId
from actors.pubsub import PubSub
from actors.runs.conclude import conclude_surely
from actors.runs.executor import Executor
from actors.runs.finalize import Report
from actors.runs.live_run import LiveRun, Reported, StopExecution
from actors.runs.plan import RunPlan
from actors.runs.records import RunRecords
from actors.runtime import Actor, Address, Lane, Request, Unavailable

log = structlog.get_logger("runs")

STOP_SECONDS = 10.0


class StartLiveRun(Request["RunSupervisor", None], frozen=True, kw_only=True):
    """Execute a run here. One that is being executed already is no mistake."""

    plan: RunPlan
    secret: str


class StopLiveRun(Request["RunSupervisor", bool], frozen=True, kw_only=True):
    """End a run's program, then the run as `report` says. False when it is not executed here.

    Answers when nothing of the program is left, or after 10 s.
    """

    run: RunId
    report: Report


class ReleaseLiveRun(Request["RunSupervisor", None], frozen=True, kw_only=True):
    """The run has ended in the database; see that its program exits."""

    run: RunId


RunSupervisorMessage: TypeAlias = StartLiveRun | StopLiveRun | ReleaseLiveRun


class RunSupervisor(Actor):
    """Keeps a LiveRun for each run executed here: never restarted, always accounted for.

    At its start it ends what a killed life of this server left running. When it stops, it ends
    every run, each with a reason.
    """

    lanes = (Lane("stops", 64, (StopLiveRun,)), Lane("rest", 32))

    def __init__(
        self,
        make: Callable[[RunPlan, str], LiveRun],
        executor: Executor,
        records: RunRecords,
        pubsub: Address[PubSub],
    ) -> None:
        super().__init__()
        self._make = make
        self._executor = executor
        self._records = records
        self._pubsub = pubsub
        self._live: dict[RunId, tuple[Address[LiveRun], LiveRun]] = {}

    async def started(self) -> None:
        left = await self._executor.sweep()
        if left:
            log.warning("ended processes of an earlier life", count=left)

    async def stopped(self) -> None:
        report = Report(status="failed", error="The server was stopped while the run was active.")
        await asyncio.gather(*(self._stop_run(run, report) for run in list(self._live)))

    async def receive(self, message: RunSupervisorMessage) -> Any:
        match message:
            case StartLiveRun():
                return self._start(message)
            case StopLiveRun():
                return await self._stop_run(message.run, message.report)
            case ReleaseLiveRun():
                if message.run in self._live:
                    self._live[message.run][0].tell(Reported())
                return None
            case _:
                assert_never(message)

    def _start(self, message: StartLiveRun) -> None:
        run = message.plan.run
        if run in self._live:
            return
        live = self._make(message.plan, message.secret)
        address: Address[LiveRun] = Address(f"run {run}")
        self._live[run] = address, live
        live.launch(address.name, address.metrics)
        live.on_exit(lambda: self._ended(run))
        address.bind(live)

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
        if live.exit is not None:
            log.error("run crashed", run=run, exc_info=live.exit)
            report = Report(status="failed", error="The platform failed while executing the run.")
            self.own(conclude_surely(self._records, self._pubsub, run, report), "conclude")
