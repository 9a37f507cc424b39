"""What a webhook is told. Pure."""

from datetime import datetime
from typing import Any, Literal, TypeAlias

import msgspec

from actors.runs import Run

EventType: TypeAlias = Literal[
    "run.started",
    "run.success",
    "run.failed",
    "run.timeout",
    "run.cancelled",
    "run.connection_missing",
]
PayloadMode: TypeAlias = Literal["full", "summary"]

OF_STATUS: dict[str, EventType] = {
    "running": "run.started",
    "success": "run.success",
    "failed": "run.failed",
    "timeout": "run.timeout",
    "cancelled": "run.cancelled",
}
MOST_BYTES = 256 * 1024
ALWAYS = ("id", "packageId", "status")
WHEN_KNOWN = (
    *("applicationId", "userId", "endUserId", "apiKeyId", "scheduleId", "runNumber", "runOrigin"),
    *("started_at", "completed_at", "duration", "cost", "token_usage", "error"),
)
LARGE = ("result", "input")
"""What summaries leave out, and what is dropped, in this order, from what is too long."""


def run_event(
    event: str, run: Run, mode: PayloadMode, created: datetime, api_version: str
) -> bytes:
    """The body that tells of a run as it is now, at most 256 KiB of JSON."""
    about = _run_object(run, mode)
    body = envelope(event, OF_STATUS[run.status], about, created, api_version)
    for name in LARGE:
        if len(body) <= MOST_BYTES:
            break
        if about.pop(name, None) is not None:
            about[f"{name}Truncated"] = True
            body = envelope(event, OF_STATUS[run.status], about, created, api_version)
    return body


def envelope(
    event: str, kind: EventType, about: dict[str, Any], created: datetime, api_version: str
) -> bytes:
    """An event around the object it is about."""
    return msgspec.json.encode(
        {
            "id": event,
            "object": "event",
            "type": kind,
            "apiVersion": api_version,
            "created": int(created.timestamp()),
            "data": {"object": about},
        }
    )


def sample_run(application: str | None, package: str | None, now: datetime) -> dict[str, Any]:
    """A run that never was, to try a webhook with."""
    return {
        "object": "run",
        "id": "run_00000000-0000-4000-8000-000000000000",
        "packageId": package or "@example/agent",
        "status": "success",
        **({"applicationId": application} if application else {}),
        "runNumber": 1,
        "started_at": now,
        "completed_at": now,
        "duration": 1200,
        "result": {"output": {"message": "This is a test of the webhook."}},
    }


def _run_object(run: Run, mode: PayloadMode) -> dict[str, Any]:
    known: dict[str, Any] = msgspec.to_builtins(run)
    shown = WHEN_KNOWN if mode == "summary" else (*WHEN_KNOWN, *LARGE)
    return (
        {"object": "run"}
        | {name: known[name] for name in ALWAYS}
        | {name: known[name] for name in shown if known[name] is not None}
    )
