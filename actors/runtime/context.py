"""What travels beside a message: for whom it is sent, and until when an answer is of use."""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The circumstances of what is being done right now.

    `deadline` is a time of the event loop's clock; an ask made while a message is served never
    waits beyond it. `actor` and `message` name who serves what, `run` the run it is about.
    """

    request_id: str | None = None
    traceparent: str | None = None
    deadline: float | None = None
    actor: str | None = None
    message: str | None = None
    run: str | None = None


current_context: ContextVar[Context] = ContextVar("context", default=Context())  # noqa: B039 - frozen
