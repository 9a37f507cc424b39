"""Structured logs: readable in a terminal, JSON lines elsewhere, never with a secret."""

import logging
import re
import sys
from typing import Any

import structlog
from structlog.typing import EventDict

from actors.runtime import current_context

SECRET = re.compile(r"ask_[0-9a-f]{48}|(?<=[?&]token=)[^&\s]+|(?<=Bearer )\S+")
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING}


def configure_logging(level: str, *, readable: bool | None = None) -> None:
    """Set logging up for the process. `readable` None means: when standard error is a terminal."""
    pretty = sys.stderr.isatty() if readable is None else readable
    tracebacks: list[Any] = [] if pretty else [structlog.processors.format_exc_info]
    renderer: Any = structlog.processors.JSONRenderer()
    if pretty:
        plain = structlog.dev.plain_traceback
        renderer = structlog.dev.ConsoleRenderer(exception_formatter=plain)
    structlog.configure(
        processors=[
            _with_context,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=not pretty),
            *tracebacks,
            _scrubbed,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS.get(level, logging.ERROR)),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    # Libraries log through the standard module; only what is wrong with them is of interest.
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(name)s: %(message)s")


def _with_context(_logger: Any, _method: str, event: EventDict) -> EventDict:
    context = current_context.get()
    for name in ("request_id", "traceparent", "actor", "message"):
        value = getattr(context, name)
        if value is not None:
            event.setdefault(name, value)
    return event


def _scrubbed(_logger: Any, _method: str, event: EventDict) -> EventDict:
    return {k: SECRET.sub("…", v) if isinstance(v, str) else v for k, v in event.items()}
