"""Admits runs, has them executed, ends them at their callers' wish."""

from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias, assert_never

from actors.accounts import Caller
from actors.ids import PackageId, RunId
from actors.runs.admission import Admission
from actors.runs.conclude import RunEndings
from actors.runs.finalize import Report
from actors.runs.plan import RunPlan
from actors.runs.records import Run, RunRecords
from actors.runs.run_dispatcher import RunDispatcher, RunWaits
from actors.runs.run_supervisor import RunSupervisor, StopLiveRun
from actors.runtime import (
    Actor,
    Address,
    Conflict,
    Lane,
    NotFound,
    Rejected,
    Request,
)

SINK_LIFE = timedelta(seconds=7200)
CREATED = "run created · waiting to start"


class Admit(Request["RunManager", Run], frozen=True, kw_only=True):
    """Insert a planned run, pending, to be executed when its turn comes.

    Refuses with `org_run_concurrency_exceeded` when too many of its organization wait.
    """

    plan: RunPlan


class AdmitFires(Request["RunManager", list[Run]], frozen=True, kw_only=True):
    """Insert planned runs of due times at once, before any of them is started.

    Their launches have been counted. Answers those it inserted: not what is not due any more, nor
    what must wait because too many runs of its organization do.
    """

    plans: list[RunPlan]


class CancelRun(Request["RunManager", Run], frozen=True, kw_only=True):
    """End a run at its caller's wish; answers when nothing of it is left (10 s at most).

    Refuses one that has ended with `not_cancellable`. A run that reports at the same moment may
    win, and then is what it reported.
    """

    caller: Caller
    run: RunId


class DeleteRun(Request["RunManager", None], frozen=True, kw_only=True):
    """Delete a run that has ended, with its log and all that was told of it; not what it cost.

    Refuses one that has not with `run_in_progress`, and with `document_in_use` while an active run
    reads what this one has published.
    """

    caller: Caller
    run: RunId


class DeleteRuns(Request["RunManager", int], frozen=True, kw_only=True):
    """Delete every run of an agent in the caller's application; how many.

    Refuses as for a single one: then nothing is deleted.
    """

    caller: Caller
    package: PackageId


RunManagerMessage: TypeAlias = Admit | AdmitFires | CancelRun | DeleteRun | DeleteRuns


class RunManager(Actor):
    """Whatever people do to a run goes through here, and its truth is in the records."""

    lanes = (
        Lane("launches", 32, (Admit, AdmitFires), limit=2000),
        Lane("cancels", 64, limit=2000),
    )

    def __init__(
        self,
        records: RunRecords,
        endings: RunEndings,
        live: Address[RunSupervisor],
        dispatcher: Address[RunDispatcher],
        admission: Admission,
    ) -> None:
        super().__init__()
        self._records = records
        self._endings = endings
        self._live = live
        self._dispatcher = dispatcher
        self._admission = admission

    async def receive(self, message: RunManagerMessage) -> Any:
        match message:
            case Admit():
                return await self._admit(message.plan)
            case AdmitFires():
                return await self._admit_fires(message.plans)
            case CancelRun():
                return await self._cancel(message)
            case DeleteRun():
                return await self._delete(message)
            case DeleteRuns():
                return await self._delete_all(message)
            case _:
                assert_never(message)

    async def _admit(self, plan: RunPlan) -> Run:
        expires = datetime.now(UTC) + SINK_LIFE
        run, _ = await self._admission.admit(plan, expires, CREATED)
        self._dispatcher.tell(RunWaits())
        return run

    async def _admit_fires(self, plans: list[RunPlan]) -> list[Run]:
        expires = datetime.now(UTC) + SINK_LIFE
        runs = await self._admission.admit_fires(plans, expires, CREATED)
        self._dispatcher.tell(RunWaits())
        return runs

    async def _delete(self, message: DeleteRun) -> None:
        if message.caller.end_user is not None:
            await self._seen(message.caller, message.run)
        match await self._records.delete(*message.caller.tenant, message.run):
            case "missing":
                raise NotFound("there is no such run")
            case "active":
                raise _in_progress("the run is active: cancel it")
            case "read":
                raise _in_use()
            case "deleted":
                pass

    async def _delete_all(self, message: DeleteRuns) -> int:
        if message.caller.end_user is not None:
            what = "this deletes the runs of everybody: leave Appstrate-User out"
            raise Rejected(what, code="forbidden", param="Appstrate-User")
        deleted = await self._records.delete_all(*message.caller.tenant, message.package)
        if deleted == "active":
            raise _in_progress("runs of this agent are active: cancel them")
        if deleted == "read":
            raise _in_use()
        return deleted

    async def _seen(self, caller: Caller, run: RunId) -> Run:
        found = await self._records.run(*caller.tenant, run)
        if found is None or not caller.sees(found.end_user_id):
            raise NotFound("there is no such run")
        return found

    async def _cancel(self, message: CancelRun) -> Run:
        org, application = message.caller.tenant
        run = await self._seen(message.caller, message.run)
        if run.ended:
            raise Conflict(f"the run has ended already: {run.status}", code="not_cancellable")
        report = Report(status="cancelled", error="Cancelled by user")
        await self._live.ask(StopLiveRun(run=run.id, report=report))
        await self._endings.end(run.id, report)
        return await self._records.run(org, application, run.id) or run


def _in_progress(what: str) -> Conflict:
    return Conflict(f"{what}, or wait for the end", code="run_in_progress")


def _in_use() -> Conflict:
    return Conflict(
        "a run that is active reads a document of this one: cancel it, or wait for its end",
        code="document_in_use",
    )
