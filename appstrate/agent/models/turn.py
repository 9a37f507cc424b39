"""What all wire formats have in common: tools offered, calls made, tokens used."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from appstrate.agent.settings import Settings

Json = dict[str, Any]

MOST_LEVELS = 64
TOO_DEEP = f"the arguments are nested more than {MOST_LEVELS} levels deep"


@dataclass(frozen=True, slots=True)
class Tool:
    """Something the model may call. `run` answers with text or `Seen`, or raises `ToolError`."""

    name: str
    description: str
    parameters: Json
    run: Callable[[Json], Awaitable["str | Seen"]]


@dataclass(frozen=True, slots=True)
class Image:
    """A picture, in base64."""

    mime: str
    data: str


@dataclass(frozen=True, slots=True)
class Seen:
    """An answer with pictures."""

    text: str
    images: tuple[Image, ...]


class ToolError(Exception):
    """A call went wrong; the model is told, and goes on."""


@dataclass(slots=True)
class Call:
    """A call the model made; `arguments` is the JSON it wrote, which may be anything.

    `extra` is what its provider wants back with it.
    """

    id: str = ""
    name: str = ""
    arguments: str = ""
    extra: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to a call."""

    call: Call
    text: str
    failed: bool = False
    images: tuple[Image, ...] = ()


@dataclass(slots=True)
class Tokens:
    """Tokens of one request in four disjoint buckets, or a sum of such."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0

    def add(self, other: "Tokens") -> None:
        self.input += other.input
        self.output += other.output
        self.cache_read += other.cache_read
        self.cache_write += other.cache_write

    @property
    def context(self) -> int:
        """Everything the model had before it: what it read, and what it wrote."""
        return self.input + self.cache_read + self.cache_write + self.output

    @property
    def any(self) -> bool:
        return bool(self.input or self.output)


@dataclass(slots=True)
class Turn:
    """What the model said once. `raw` is its own form, to be sent back as it came.

    `stop` tells why it said no more: it was done, it reached its output limit, or it paused and
    wants to go on. An answer that was refused is a `ModelError`.
    """

    text: str = ""
    calls: list[Call] = field(default_factory=list)
    tokens: Tokens = field(default_factory=Tokens)
    raw: Any = None
    stop: Literal["done", "length", "pause"] = "done"


def effort(settings: Settings) -> str | None:
    """How much the model is to think, in its provider's own words; None leaves it unsaid."""
    if settings.model_reasoning is False:
        return None
    level = settings.model_reasoning_level or ("medium" if settings.model_reasoning else "")
    named = settings.model_reasoning_level_map.get(level)
    named = named if isinstance(named, str) else level
    return None if named in ("", "off") else named


def uncounted(turn: Turn) -> Tokens:
    """Tokens where a server counts none: a run must be told apart from one without a model."""
    told = sum(len(call.arguments) for call in turn.calls) + len(turn.text)
    return Tokens(input=1, output=max(1, told // 4))


def joined(parts: Iterable[str]) -> str:
    """Streamed text in one piece: pairs of surrogates are whole again, lone halves are U+FFFD."""
    return "".join(parts).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def read_arguments(written: str) -> Json:
    """The arguments of a call. Raises `ValueError` with what is wrong with them."""
    try:
        # There and back: halves of pairs, NaN and infinities may be spelled as escapes and names.
        read = json.dumps(json.loads(written or "{}"), ensure_ascii=False, allow_nan=False)
        arguments = json.loads(joined([read]))
    except ValueError as error:
        raise ValueError(f"the arguments are no JSON: {error}") from None
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    if not isinstance(arguments, dict):
        raise ValueError("the arguments must be a JSON object")  # noqa: TRY004
    if _levels(arguments) > MOST_LEVELS:
        raise ValueError(TOO_DEEP)
    return arguments


def _levels(value: Any) -> int:
    level, count = [value], 0
    while level and count <= MOST_LEVELS:
        count += 1
        level = [child for item in level for child in _children(item)]
    return count


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


class Wire(Protocol):
    """One wire format."""

    path: str

    def headers(self, api_key: str) -> dict[str, str]:
        """Headers of a request."""
        ...

    def body(self, system: str, history: list[Json], tools: list[Tool]) -> Json:
        """The body of a request."""
        ...

    async def read(self, events: AsyncIterator[Json]) -> Turn:
        """The turn a stream of server-sent events spells. Raises `ModelError`."""
        ...

    def user(self, text: str) -> list[Json]:
        """A message of the user, for the history."""
        ...

    def assistant(self, turn: Turn) -> list[Json]:
        """A turn of the model, for the history."""
        ...

    def results(self, results: list[Result]) -> list[Json]:
        """Answers to calls, for the history."""
        ...

    def concede(self, said: str) -> str | None:
        """Leave out what a refusal with these words objects to; what it was, if there is any."""
        ...
