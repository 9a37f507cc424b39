"""From what is known of a run to what happened to it, told in order. Pure."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal, TypeAlias, get_args

from actors.contract import Resource, spell
from actors.documents import as_object
from actors.ids import RunId
from actors.runs.evidence import Evidence, ModelCall
from actors.runs.records import LogLine
from actors.runs.remedies import Symptoms, diagnose
from actors.scrub import scrub

PhaseName: TypeAlias = Literal[
    "created", "waiting", "slot", "started", "workspace", "model", "output", "finalized"
]
PHASES: tuple[PhaseName, ...] = get_args(PhaseName)
TOLD = {
    "created": "the run was created",
    "waiting": "it waits for its turn",
    "slot": "a place to run was made",
    "started": "the agent's program was started",
    "workspace": "its workspace was ready",
    "model": "its model was asked for the first time",
    "output": "it delivered an output",
    "finalized": "it ended",
}

LEVELS_TOLD: dict[str, Literal["warn", "error"]] = {"warn": "warn", "error": "error"}


class Phase(Resource, frozen=True, kw_only=True, rename=spell):
    """A step of a run's way and when it was reached; null when it never was."""

    name: PhaseName
    at: datetime | None


class Moment(Resource, frozen=True, kw_only=True, rename=spell):
    """Something that happened, and how many milliseconds after the run was created."""

    at: datetime
    after: int
    kind: Literal["phase", "model", "log", "exit"]
    level: Literal["info", "warn", "error"]
    text: str


class ProgramEnd(Resource, frozen=True, kw_only=True, rename=spell):
    """How the program ended: by a `code` or by a `signal`, or because it had used up its memory."""

    at: datetime
    code: int | None
    signal: int | None
    out_of_memory: bool


class NumberedCall(ModelCall, frozen=True, kw_only=True, rename=spell):
    """A model call; `retry` counts the failed ones right before it."""

    retry: int


class Explanation(Resource, frozen=True, kw_only=True, rename=spell):
    """Why a run is as it is: the `cause` for programs, a summary and a remedy for people.

    `phase` is the last one reached before the end; `output` the last lines the program wrote.
    """

    run_id: RunId
    status: str
    error: str | None
    cause: str
    summary: str
    remedy: str
    phase: PhaseName
    phases: list[Phase]
    exit: ProgramEnd | None
    output: list[str]
    model_calls: list[NumberedCall]
    timeline: list[Moment]


def explain(evidence: Evidence) -> Explanation:
    """What happened to a run."""
    run, ending = evidence.run, evidence.ending
    error = None if run.error is None else scrub(run.error)
    phases = _phases(evidence)
    calls = _numbered(evidence.calls)
    reached: list[PhaseName] = [phase.name for phase in phases[:-1] if phase.at is not None]
    found = diagnose(
        Symptoms(
            status=run.status,
            error=error or "",
            phase=reached[-1],
            calls=evidence.calls,
            exit=ending.exit if ending else None,
            events={line.event or "" for line in evidence.lines},
            model=run.model_label or "the model",
            unlaunched=run.schedule_id is not None and run.completed_at == run.started_at,
        )
    )
    return Explanation(
        run_id=run.id,
        status=run.status,
        error=error,
        cause=found.cause,
        summary=found.summary,
        remedy=found.remedy,
        phase=reached[-1],
        phases=phases,
        exit=None if ending is None else _program_end(evidence),
        output=ending.exit.tail if ending else [],
        model_calls=calls,
        timeline=_timeline(evidence, phases, calls),
    )


def _phases(evidence: Evidence) -> list[Phase]:
    run = evidence.run
    at: dict[str, datetime | None] = {"created": run.started_at, "finalized": run.completed_at}
    for line in evidence.lines:
        name = _phase_of(line)
        if name is not None:
            at.setdefault(name, line.created_at)
        if name == "started":
            at.setdefault("slot", line.created_at)
    if evidence.calls:
        at["model"] = evidence.calls[0].started_at
    return [Phase(name=name, at=at.get(name)) for name in PHASES]


def _phase_of(line: LogLine) -> str | None:
    data = as_object(line.data)
    if line.type == "result" and line.event == "output":
        return "output"
    if data.get("platform") is True and data.get("phase") in TOLD:
        return str(data["phase"])
    return "workspace" if data.get("boot") is True and "bootDurationMs" in data else None


def _numbered(calls: list[ModelCall]) -> list[NumberedCall]:
    numbered: list[NumberedCall] = []
    failures = 0
    for call in calls:
        fields: dict[str, Any] = {name: getattr(call, name) for name in ModelCall.__struct_fields__}
        numbered.append(NumberedCall(**fields, retry=failures))
        failures = failures + 1 if call.failed else 0
    return numbered


def _program_end(evidence: Evidence) -> ProgramEnd:
    assert evidence.ending is not None
    exit_ = evidence.ending.exit
    return ProgramEnd(
        at=evidence.ending.at,
        code=exit_.code,
        signal=exit_.signal,
        out_of_memory=exit_.out_of_memory,
    )


def _timeline(evidence: Evidence, phases: list[Phase], calls: list[NumberedCall]) -> list[Moment]:
    began = evidence.run.started_at
    moments = [
        *(_moment(began, p.at, "phase", "info", TOLD[p.name]) for p in phases if p.at is not None),
        *(_of_call(began, call) for call in calls),
        *_of_lines(began, evidence.lines),
    ]
    if evidence.ending is not None:
        exit_ = evidence.ending.exit
        level: Literal["info", "error"] = "info" if exit_.code == 0 else "error"
        told = exit_.describe().partition(":")[0]
        moments.append(_moment(began, evidence.ending.at, "exit", level, told))
    return sorted(moments, key=lambda moment: moment.at)


def _of_call(began: datetime, call: NumberedCall) -> Moment:
    told = ["model request"]
    if call.retry:
        told.append(f"(try {call.retry + 1})")
    told.append("under way" if call.duration is None else f"→ {call.status or 'no answer'}")
    if call.duration is not None:
        told.append(f"in {call.duration} ms")
    if call.input_tokens is not None or call.output_tokens is not None:
        told.append(f"({call.input_tokens or 0} + {call.output_tokens or 0} tokens)")
    text = " ".join(told) + (f": {call.error}" if call.error else "")
    level: Literal["info", "error"] = "error" if call.failed else "info"
    return _moment(began, call.started_at, "model", level, text)


def _of_lines(began: datetime, lines: list[LogLine]) -> Iterator[Moment]:
    for line in lines:
        text = line.message or line.event
        if line.event == "run_completed" or text is None or _phase_of(line) is not None:
            continue
        if line.level in LEVELS_TOLD:
            yield _moment(began, line.created_at, "log", LEVELS_TOLD[line.level], scrub(text))


def _moment(
    began: datetime,
    at: datetime,
    kind: Literal["phase", "model", "log", "exit"],
    level: Literal["info", "warn", "error"],
    text: str,
) -> Moment:
    after = max(0, round((at - began).total_seconds() * 1000))
    return Moment(at=at, after=after, kind=kind, level=level, text=text)
