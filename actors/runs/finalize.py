"""How a run ends: from a report of what happened to one verdict. Pure.

A report comes from the run itself, from whoever watched its process, from a cancellation or from
the sweep after a crash. Whoever is first wins; the verdict is written by one compare-and-set.
"""

from typing import Any, Literal, TypeAlias

import msgspec

from actors.documents import as_list, as_object, decode_scrubbed
from actors.persistence import Kept, read_kept
from actors.runs.events import (
    INT4,
    RESULT_LIMIT,
    LogEntry,
    Usage,
    bounded,
    read_cost,
    read_number,
    read_usage,
)
from actors.runtime import FieldProblem, Rejected
from actors.schemas import Schema, coerce

TerminalStatus: TypeAlias = Literal["success", "failed", "timeout", "cancelled"]

ERROR_LIMIT = 10_000
TERMINAL: tuple[TerminalStatus, ...] = ("success", "failed", "timeout", "cancelled")


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody says about the end of a run.

    `status` None means: failed if there is an `error`, else success. `own` tells whether the run
    itself reports; for everybody else the last output in the log is taken as its output.
    """

    own: bool = False
    status: TerminalStatus | None = None
    output: Any = None
    error: str | None = None
    usage: Usage | None = None
    cost: float | None = None
    duration: int | None = None
    artifacts: dict[str, Any] | None = None
    kept: Kept = Kept()


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the platform knows of a run when it ends. `output` is the last one in its log."""

    output_schema: dict[str, Any] | None
    output: Any
    usage: Usage | None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What is written when a run ends: milliseconds of duration, if the run knows better than the
    clock, and `logs` before the last line of its log. Usage and cost that are unknown stay as they
    are.
    """

    status: TerminalStatus
    result: dict[str, Any] | None = None
    error: str | None = None
    usage: Usage | None = None
    cost: float | None = None
    duration: int | None = None
    artifacts: dict[str, Any] | None = None
    kept: Kept = Kept()
    logs: list[LogEntry] = msgspec.field(default_factory=list[LogEntry])


def read_report(body: bytes) -> Report:
    """A run's own report. Only status, output and error are strict; the rest degrades to absent."""
    try:
        document = decode_scrubbed(body)
    except msgspec.DecodeError as error:
        raise Rejected(f"the body is no JSON: {error}") from None
    if not isinstance(document, dict):
        raise _invalid("", "must be a JSON object")
    report = as_object(document)
    status = report.get("status")
    if status is not None and status not in TERMINAL:
        raise _invalid("status", f"must be one of {', '.join(TERMINAL)}")
    artifacts = as_object(report.get("artifacts"))
    duration = read_number(report.get("durationMs"), INT4)
    return Report(
        own=True,
        status=status,
        output=report.get("output"),
        error=_error(report.get("error")),
        usage=read_usage(report.get("usage")),
        cost=read_cost(report.get("cost")),
        duration=None if duration is None else int(duration),
        artifacts=artifacts if artifacts.get("status") in ("complete", "partial") else None,
        kept=read_kept(report.get("memories"), report.get("pinned")),
    )


def decide(report: Report, facts: Facts) -> Verdict:
    """The verdict on a run. A success must stand up to the schema and to the token count."""
    output = report.output if report.own else _recovered(facts.output)
    status = report.status or ("failed" if report.error else "success")
    error, logs = report.error, list[LogEntry]()
    usage = report.usage or facts.usage or (Usage() if status == "success" else None)
    if status == "success" and facts.output_schema is not None:
        output, error = _checked(output, facts.output_schema)
        if error is not None:
            status = "failed"
            logs.append(
                LogEntry(type="system", level="error", event="output_validation", message=error)
            )
    if status == "success" and usage is not None and usage.nothing:
        status = "failed"
        error = (
            "The run reports no tokens at all: it could not reach the LLM API. "
            "Check the model's base URL and key."
        )
    if status == "failed" and error is not None and not report.own:
        logs.append(
            LogEntry(
                type="system", level="error", event="adapter_error", message=error[:ERROR_LIMIT]
            )
        )
    result, dropped = _result(output)
    if dropped:
        logs.append(LogEntry(type="system", level="warn", event="result_dropped", message=dropped))
    if status == "success":
        logs.append(LogEntry(type="result", level="info", event="result", data=bounded(result)))
    if error is not None:
        error = error[:ERROR_LIMIT]
    return Verdict(
        status=status,
        result=result,
        error=error if status != "success" else None,
        usage=usage,
        cost=report.cost,
        duration=report.duration,
        artifacts=report.artifacts,
        kept=report.kept,
        logs=logs,
    )


def _recovered(output: Any) -> Any:
    """The last output in the log, unless it was too large to be kept there."""
    return None if as_object(output).get("__truncated") is True else output


def _checked(output: Any, schema: dict[str, Any]) -> tuple[Any, str | None]:
    values = coerce(as_object(output), schema)
    try:
        problems = Schema(schema | {"additionalProperties": True}).problems(values)
    except ValueError as error:
        return output, f"The output schema cannot be used: {error}"
    if not problems:
        return values, None
    if output is None:
        wanted = ", ".join(str(name) for name in as_list(schema.get("required"))) or "an object"
        return None, (
            f"The agent ended without calling the output tool; its output must have: {wanted}."
        )
    told = "; ".join(f"Field '{p.field}': {p.message}" for p in problems[:10])
    return output, f"Output validation failed: {told}"


def _result(output: Any) -> tuple[dict[str, Any] | None, str | None]:
    if output is None:
        return None, None
    size = len(msgspec.json.encode(output))
    if size > RESULT_LIMIT:
        kib = RESULT_LIMIT // 1024
        return None, f"The output is {size} bytes, above the limit of {kib} KiB: it is not kept."
    return {"output": output}, None


def _error(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        return value
    message = as_object(value).get("message")
    if not isinstance(message, str):
        raise _invalid("error.message", "must be text")
    return message


def _invalid(field: str, problem: str) -> Rejected:
    return Rejected(
        f"{field or 'the report'} {problem}",
        code="validation_failed",
        problems=[FieldProblem(field=field, code="invalid_value", message=problem)],
    )
