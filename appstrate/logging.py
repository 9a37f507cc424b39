"""Structured logs: readable in a terminal, JSON lines elsewhere, never with a secret."""

import contextlib
import logging
import re
import sys
from typing import Any, TextIO, cast

import structlog
from structlog.typing import EventDict

from actors.runtime import current_context
from actors.scrub import scrub

# What may be an address or a path, with a query that may be a token; and tokens that are part of
# a path.
PLACE = re.compile(r"[^\s\"'<>]+")
IN_PATH = re.compile(r"(/invite/)[^/\s\"']+")
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING}


def configure_logging(level: str, *, readable: bool | None = None) -> None:
    """Set logging up for the process. `readable` None means: when standard error is a terminal."""
    pretty = sys.stderr.isatty() if readable is None else readable
    renderer: Any = structlog.processors.JSONRenderer()
    if pretty:
        renderer = structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[
            _with_context,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=not pretty),
            structlog.processors.format_exc_info,
            _scrubbed,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS.get(level, logging.ERROR)),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", _Lossy(sys.stderr))),
        cache_logger_on_first_use=True,
    )
    # Libraries log through the standard module; only what is wrong with them is of interest.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Scrubbing("%(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


def scrubbed(text: str) -> str:
    """A line without keys, and without the queries of addresses."""
    text = scrub(text)
    if "?" in text:
        text = PLACE.sub(_without_query, text)
    return IN_PATH.sub(r"\1…", text)


def _without_query(found: re.Match[str]) -> str:
    place = found[0]
    slash = place.find("/")
    mark = place.find("?", slash) + 1 if slash >= 0 else 0
    return f"{place[:mark]}…" if 0 < mark < len(place) else place


class _Lossy:
    """A file that loses what it cannot take: a full disk must not end those who tell of it."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self._file.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._file.flush()


class _Scrubbing(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return scrubbed(super().format(record))


def _with_context(_logger: Any, _method: str, event: EventDict) -> EventDict:
    context = current_context.get()
    for name in ("request_id", "traceparent", "run", "actor", "message"):
        value = getattr(context, name)
        if value is not None:
            event.setdefault(name, value)
    return event


def _scrubbed(_logger: Any, _method: str, event: EventDict) -> EventDict:
    return {name: _clean(value) for name, value in event.items()}


def _clean(value: Any) -> Any:
    """A value with all text in it scrubbed."""
    match value:
        case str():
            return scrubbed(value)
        case dict():
            return {name: _clean(each) for name, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_clean(each) for each in value]
        case None | bool() | int() | float():
            return value
        case _:
            return scrubbed(str(value))
