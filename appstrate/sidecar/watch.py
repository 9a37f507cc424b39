"""Watching one model call on its way through the proxy: how long, how it ended, how many tokens."""

import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import uuid4

from aiohttp import web

from actors.documents import as_object
from actors.runs import ModelCall
from actors.runs.evidence import GAVE_UP
from actors.scrub import scrub

KEPT = 8 * 1024
ERROR_LIMIT = 500
MOST_TOKENS = 2**31 - 1
# The counters of every protocol, wherever in the answer they stand; the last one told counts.
# A quote with a backslash before it is text somebody wrote.
INPUT = re.compile(rb'(?<!\\)"(?:prompt_tokens|input_tokens|promptTokenCount)"\s*:\s*(\d{1,12})')
OUTPUT = re.compile(
    rb'(?<!\\)"(?:completion_tokens|output_tokens|candidatesTokenCount)"\s*:\s*(\d{1,12})'
)


class CallWatch:
    """What is seen of one call. Of the answer, its first and last few KiB are looked at."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = [secret for secret in secrets if secret]
        self._id = uuid4().hex
        self._at = datetime.now(UTC)
        self._clock = time.monotonic()
        self._status: int | None = None
        self._error: str | None = None
        self._head = bytearray()
        self._tail = bytearray()

    def answered(self, status: int) -> None:
        """The answer has begun."""
        self._status = status

    def read(self, chunk: bytes) -> None:
        """A part of the answer has passed."""
        if len(self._head) < KEPT:
            self._head += chunk[: KEPT - len(self._head)]
        self._tail += chunk[-KEPT:]
        if len(self._tail) > 2 * KEPT:
            del self._tail[:-KEPT]

    def refused(self, response: web.Response) -> web.Response:
        """The proxy answers by itself."""
        self._status = response.status
        self._error = _message(bytes(response.body or b""))  # type: ignore[arg-type]
        return response

    def broke_off(self, error: BaseException) -> None:
        """The answer ended before it was whole."""
        self._error = f"the answer broke off: {str(error) or type(error).__name__}"

    def gave_up(self) -> None:
        """The run went away before the answer was whole."""
        self._error = self._error or GAVE_UP

    def begun(self) -> ModelCall:
        """The call while it is under way."""
        return ModelCall(id=self._id, started_at=self._at)

    def ended(self) -> ModelCall:
        """The call once it is over."""
        error = self._error
        if error is None and self._status is not None and self._status >= 400:
            error = _message(bytes(self._head))
        seen = bytes(self._head + self._tail)
        return ModelCall(
            id=self._id,
            started_at=self._at,
            duration=round((time.monotonic() - self._clock) * 1000),
            status=self._status,
            input_tokens=_last(INPUT, seen),
            output_tokens=_last(OUTPUT, seen),
            error=scrub(error, self._secrets)[:ERROR_LIMIT] if error else error,
        )


@contextmanager
def watching(note: Callable[[ModelCall], None], secrets: Sequence[str]) -> Iterator[CallWatch]:
    """Note a call when it begins, and once more when it is over, however that comes."""
    watch = CallWatch(secrets)
    note(watch.begun())
    try:
        yield watch
    except BaseException:
        watch.gave_up()
        raise
    finally:
        note(watch.ended())


def _message(body: bytes) -> str:
    """What an error's body says, in whatever form."""
    text = body.decode(errors="replace")
    try:
        document = json.loads(text)
    except ValueError:
        return " ".join(text.split())[:ERROR_LIMIT] or "an empty answer"
    error = as_object(document).get("error", document)
    told = as_object(error).get("message", error)
    return told if isinstance(told, str) else json.dumps(told)


def _last(pattern: re.Pattern[bytes], seen: bytes) -> int | None:
    found = pattern.findall(seen)
    return min(int(found[-1]), MOST_TOKENS) if found else None
