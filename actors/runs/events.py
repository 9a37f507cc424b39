"""Events a run sends, and what each of them leaves behind. Pure."""

from typing import Any, Literal, TypeAlias

import msgspec

from actors.complaints import complain
from actors.documents import as_object, decode_scrubbed
from actors.runtime import FieldProblem, Rejected

Level: TypeAlias = Literal["debug", "info", "warn", "error"]
LEVELS: tuple[Level, ...] = ("debug", "info", "warn", "error")
DATA_LIMIT = 32 * 1024
RESULT_LIMIT = 512 * 1024
MESSAGE_LIMIT = 32 * 1024
INT4 = 2**31 - 1
MOST_TOKENS = 2**53
MOST_DOLLARS = 1e9


class RunEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A CloudEvent 1.0 as the run protocol defines it: a closed object."""

    specversion: Literal["1.0"]
    type: str
    source: str
    id: str
    time: str
    datacontenttype: Literal["application/json"]
    data: dict[str, Any]
    sequence: int
    dataschema: str | None = None


class LogEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A line for the log of a run."""

    type: Literal["progress", "result", "system"] = "progress"
    level: Level = "debug"
    event: str | None = None
    message: str | None = None
    data: Any = None


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tokens, cumulative over the run. The four buckets are disjoint."""

    input_tokens: int = msgspec.field(default=0)
    output_tokens: int = msgspec.field(default=0)
    cache_creation_input_tokens: int = 0
    cache_read_input_tokens: int = 0

    @property
    def nothing(self) -> bool:
        """Whether no model was ever asked or answered."""
        return not (self.input_tokens or self.output_tokens)

    def to_json(self) -> dict[str, int]:
        """All four counters, zeros included."""
        return {name: getattr(self, name) for name in self.__struct_fields__}


class Effects(msgspec.Struct, frozen=True, kw_only=True):
    """What an event leaves behind: a log line, new totals, or nothing but its place in line."""

    log: LogEntry | None = None
    usage: Usage | None = None
    cost: float | None = None

    @property
    def metered(self) -> bool:
        """Whether it tells of tokens or cost."""
        return self.usage is not None or self.cost is not None


def read_event(body: bytes) -> RunEvent:
    """Decode one event; refuses what is not one, naming the field."""
    try:
        event = msgspec.convert(decode_scrubbed(body), RunEvent)
    except msgspec.ValidationError as error:
        raise complain(str(error), RunEvent) from None
    except msgspec.DecodeError as error:
        raise Rejected(f"the body is no JSON: {error}") from None
    if not 0 <= event.sequence <= INT4:
        problem = FieldProblem(field="sequence", code="out_of_range", message=f"0 to {INT4}")
        told = f"sequence must be from 0 to {INT4}"
        raise Rejected(told, code="validation_failed", problems=[problem])
    return event


def effects(event: RunEvent) -> Effects:
    """What an event leaves behind. Unknown kinds, and malformed ones, leave nothing."""
    data = event.data
    message = str(data.get("message") or "")
    match event.type:
        case "appstrate.progress":
            level = _level(data, "debug")
            return _logged("progress", "progress", level, message, data.get("data"))
        case "log.written":
            return _logged("progress", "log", _level(data, "info"), message, None)
        case "output.emitted" if "data" in data:
            # Whole, for it may have to serve as the run's result.
            output = bounded(data["data"], RESULT_LIMIT)
            return Effects(log=LogEntry(type="result", level="info", event="output", data=output))
        case "document.published":
            return _logged("result", "document", "info", None, data)
        case "appstrate.error":
            return _logged("system", "adapter_error", "error", message, data.get("data"))
        case "appstrate.metric":
            return Effects(usage=read_usage(data.get("usage")), cost=read_cost(data.get("cost")))
        case _:
            return Effects()


def read_usage(value: Any) -> Usage | None:
    """Token totals, or None when they are absent or make no sense."""
    if not isinstance(value, dict):
        return None
    found = as_object(value)
    counts = {
        name: int(count)
        for name in Usage.__struct_fields__
        if (count := read_number(found.get(name), MOST_TOKENS)) is not None
    }
    return Usage(**counts)


def read_cost(value: Any) -> float | None:
    """US dollars, or None when they are absent or make no sense."""
    return read_number(value, MOST_DOLLARS)


def read_number(value: Any, most: float) -> float | None:
    """A number from 0 to `most`, or None when it is anything else."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and 0 <= value <= most else None


def _logged(
    kind: Literal["progress", "result", "system"],
    event: str,
    level: Level,
    message: str | None,
    data: Any,
) -> Effects:
    short = message[:MESSAGE_LIMIT] if message else None
    return Effects(
        log=LogEntry(type=kind, level=level, event=event, message=short, data=bounded(data))
    )


def _level(data: dict[str, Any], default: Level) -> Level:
    level = data.get("level")
    return level if level in LEVELS else default


def bounded(data: Any, limit: int = DATA_LIMIT) -> Any:
    """JSON of at most `limit` bytes for a log row; what is larger is replaced by a note."""
    if data is None:
        return None
    size = len(msgspec.json.encode(data))
    if size <= limit:
        return data
    return {"__truncated": True, "reason": "size", "bytes": size, "limit": limit}
