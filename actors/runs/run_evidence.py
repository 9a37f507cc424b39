"""Keeps what explains runs, and explains them."""

from typing import Any, TypeAlias, assert_never

from actors.accounts import Caller
from actors.ids import RunId
from actors.runs.evidence import EvidenceRecords, ModelCall
from actors.runs.explanation import Explanation, explain
from actors.runs.run_log import ReadRun, RunLog
from actors.runtime import Actor, Address, Lane, Request


class NoteModelCall(Request["RunEvidence", None], frozen=True, kw_only=True):
    """Note that a run asks its model, and once more how that ended."""

    run: RunId
    call: ModelCall


class ExplainRun(Request["RunEvidence", Explanation], frozen=True, kw_only=True):
    """Why one run of the caller's application is as it is."""

    caller: Caller
    run: RunId


RunEvidenceMessage: TypeAlias = NoteModelCall | ExplainRun


class RunEvidence(Actor):
    """Who may see a run may have it explained; RunLog decides that."""

    lanes = (Lane("notes", 8, (NoteModelCall,), limit=10_000), Lane("explanations", 8))

    def __init__(self, records: EvidenceRecords, run_log: Address[RunLog]) -> None:
        super().__init__()
        self._records = records
        self._run_log = run_log

    async def receive(self, message: RunEvidenceMessage) -> Any:
        match message:
            case NoteModelCall():
                return await self._records.keep_call(message.run, message.call)
            case ExplainRun():
                run = await self._run_log.ask(ReadRun(caller=message.caller, run=message.run))
                return explain(await self._records.evidence(run))
            case _:
                assert_never(message)
