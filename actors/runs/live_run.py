"""A run while this instance executes it."""

import asyncio
import time
from typing import TypeAlias, assert_never

import msgspec
import structlog

from actors.runs.assignment import Environment
from actors.runs.conclude import RunEndings
from actors.runs.finalize import Report
from actors.runs.journal import RunJournal
from actors.runs.plan import RunPlan
from actors.runtime import Actor, Address, Lane, Request, Unavailable
from actors.scrub import scrub
from actors.sidecar_pool import AcquireSlot, Exit, SidecarPool, Slot

log = structlog.get_logger("runs")

EXIT_GRACE = 2.0
"""Seconds a program may take to exit after it has reported."""

ACQUIRE_SECONDS = 10.0
"""Seconds for which a slot is tried for."""

ACQUIRE_PAUSE = 0.5


class StopExecution(Request["LiveRun", None], frozen=True, kw_only=True):
    """End the run's program, then the run as `report` says. Answers when nothing of it is left."""

    report: Report


class Reported(Request["LiveRun", None], frozen=True, kw_only=True):
    """The run has ended in the database; its program should exit by itself, and soon."""


LiveRunMessage: TypeAlias = StopExecution | Reported


class LiveRun(Actor):
    """Owns the program of one run, from its start to the end of everything it started.

    It is a temporary child: it ends with its run and is never restarted.
    """

    lanes = (Lane("control", 8),)

    def __init__(
        self,
        plan: RunPlan,
        secret: str,
        *,
        journal: RunJournal,
        endings: RunEndings,
        pool: Address[SidecarPool],
        environment: Environment,
    ) -> None:
        super().__init__()
        self._plan = plan
        self._secret = secret
        self._journal = journal
        self._endings = endings
        self._pool = pool
        self._environment = environment
        self._secrets: list[str] = [secret]
        self._report: Report | None = None
        self._interrupted = asyncio.Event()
        self._over = asyncio.Event()

    async def started(self) -> None:
        self.own(self._live_through(), "execute")

    async def receive(self, message: LiveRunMessage) -> None:
        match message:
            case StopExecution():
                self._report = self._report or message.report
                self._interrupted.set()
                await self._over.wait()
            case Reported():
                asyncio.get_running_loop().call_later(EXIT_GRACE, self._interrupted.set)
            case _:
                assert_never(message)

    async def _live_through(self) -> None:
        try:
            report = await self._execute()
        except Unavailable as refusal:
            report = Report(status="failed", error=f"The run could not be executed: {refusal}")
        if report is not None:
            await self._endings.end_surely(self._plan.run, report)
        self._over.set()
        self.finish()

    async def _execute(self) -> Report | None:
        """Run the program to its end and say what happened; None when there is nothing to say."""
        began = time.monotonic()
        slot = await self._acquire()
        if slot is None:
            return None
        waited, assigned = time.monotonic() - began, False
        try:
            # Stopped before it has started, a run stays pending, unless who stopped it ends it.
            if self._interrupted.is_set() or not await self._journal.begin(self._plan, waited):
                return None
            environment = self._environment(self._plan, self._secret)
            self._secrets += [environment.get("MODEL_API_KEY", "")]
            assigned = True
            await slot.assign(environment)
            return await self._watch(slot)
        finally:
            await slot.stop()
            if assigned:
                await self._keep_exit(slot)

    async def _keep_exit(self, slot: Slot) -> None:
        """Keep how the program ended; what cannot be kept now is not worth waiting for."""
        try:
            async with asyncio.timeout(1):
                exit_ = await slot.wait()
            await self._journal.keep_exit(self._plan.run, self._scrubbed(exit_))
        except (Unavailable, TimeoutError) as problem:
            log.warning("exit of a run not kept", run=self._plan.run, why=str(problem))

    def _scrubbed(self, exit_: Exit) -> Exit:
        tail = [scrub(line, self._secrets) for line in exit_.tail]
        return msgspec.structs.replace(exit_, tail=tail)

    async def _acquire(self) -> Slot | None:
        """A slot, tried for again while the pool comes back or the machine is out of something.

        None when the run is stopped meanwhile.
        """
        deadline = asyncio.get_running_loop().time() + ACQUIRE_SECONDS
        while not self._interrupted.is_set():
            try:
                return await self._pool.ask(AcquireSlot())
            except Unavailable:
                if asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(ACQUIRE_PAUSE)
        return None

    async def _watch(self, slot: Slot) -> Report | None:
        longest = self._journal.longest(self._plan)
        exiting = asyncio.ensure_future(slot.wait())
        interrupted = asyncio.ensure_future(self._interrupted.wait())
        try:
            await asyncio.wait(
                (exiting, interrupted), timeout=longest, return_when=asyncio.FIRST_COMPLETED
            )
            if exiting.done():
                return self._report or _report_of(self._scrubbed(exiting.result()))
            if self._interrupted.is_set():
                return self._report
            return Report(status="timeout", error=f"Run timed out after {self._plan.timeout:g}s")
        finally:
            exiting.cancel()
            interrupted.cancel()


def _report_of(exit_: Exit) -> Report:
    if exit_.code == 0:
        return Report()  # no report of its own: taken as a success, if it stands up to the rules
    return Report(status="failed", error=exit_.describe())
