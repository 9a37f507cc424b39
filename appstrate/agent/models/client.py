"""Asking a model: one streamed request per turn, tried again when that may help."""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Callable
from urllib.parse import urlsplit

from appstrate.agent.http import Connection, ConnectionLost, NotConnected, Response
from appstrate.agent.models.chat import ChatCompletions
from appstrate.agent.models.errors import ModelError, error_inside, seconds_named, seconds_until
from appstrate.agent.models.messages import AnthropicMessages
from appstrate.agent.models.responses import Responses
from appstrate.agent.models.turn import Json, Tool, Turn, Wire
from appstrate.agent.settings import Settings

FIRST_BACKOFF = 0.5
LONGEST_WAIT = 60.0
AWAY_SECONDS = 90.0
AWAY_WAIT = 2.0
IDLE_SECONDS = 300.0
LARGEST_ANSWER = 64 * 2**20
LINGER_SECONDS = 1.0
LAST = ("message_stop", "response.completed", "response.incomplete")
CONCESSIONS = 6
WIRES: dict[str, Callable[[Settings], Wire]] = {
    "openai-completions": ChatCompletions,
    "openai-responses": Responses,
    "anthropic-messages": AnthropicMessages,
    "mistral-conversations": ChatCompletions,
    "google-generative-ai": ChatCompletions,
}


class Model:
    """The model of a run, reached through the platform's proxy.

    `on_retry` is told why a request is repeated, with data for the log.
    """

    def __init__(self, settings: Settings, on_retry: Callable[[str, Json], None]) -> None:
        self.wire = WIRES[settings.model_api](settings)
        self._path = urlsplit(settings.model_base_url).path + self.wire.path
        self._key = settings.model_api_key
        self._retries = settings.model_retries
        self._connection = Connection(settings.model_base_url, IDLE_SECONDS)
        self._on_retry = on_retry
        provider = settings.model_provider
        self.name = (
            settings.model_id if provider == "unknown" else f"{provider}/{settings.model_id}"
        )

    async def turn(self, system: str, history: list[Json], tools: list[Tool]) -> Turn:
        """The model's next turn. Raises `ModelError` when it cannot be had."""
        attempt = conceded = 0
        began = time.monotonic()
        while True:
            body = json.dumps(self.wire.body(system, history, tools)).encode()
            try:
                return await self._once(body)
            except ModelError as error:
                what = None
                if error.kind == "request" and conceded < CONCESSIONS:
                    what = self.wire.concede(str(error))
                if what is not None:
                    conceded += 1
                    self._on_retry(
                        f"{error}; asking again without {what}", _data(error, conceded, 0)
                    )
                    continue
                away = error.absent and time.monotonic() - began < AWAY_SECONDS
                if not self._retries or not error.passing:
                    raise error.told_of(self.name) from None
                if attempt == self._retries and not away:
                    raise error.told_of(self.name) from None
                wait = _wait(error, attempt)
                # While the platform is away, nothing is asked of the provider.
                attempt += not away
                told = f"{error}; trying again in {wait:.1f} s"
                self._on_retry(told, _data(error, attempt, wait))
                await asyncio.sleep(wait)

    async def _once(self, body: bytes) -> Turn:
        headers = {
            "Content-Type": "application/json",
            "Accept": "text/event-stream",
            **self.wire.headers(self._key),
        }
        stream = self._connection.stream("POST", self._path, headers, body)
        async with contextlib.aclosing(stream) as parts:
            try:
                response = await anext(parts)
                assert isinstance(response, Response)
                if response.status != 200:
                    raise await _refusal(response, parts)
                return await self.wire.read(_events(parts))
            except ConnectionLost as error:
                absent = isinstance(error, NotConnected)
                what = "cannot be reached" if absent else "gave no whole answer"
                raise ModelError(f"the model API {what}: {error}", absent=absent) from None
            except (KeyError, TypeError, AttributeError, IndexError) as error:
                what = f"the model API sent something that is no answer ({error!r})"
                raise ModelError(what) from None


def _wait(error: ModelError, attempt: int) -> float:
    backoff: float = FIRST_BACKOFF * 2**attempt * random.uniform(0.75, 1.25)
    if error.absent:
        return min(backoff, AWAY_WAIT)
    return min(backoff if error.retry_after is None else error.retry_after, LONGEST_WAIT)


def _data(error: ModelError, attempt: int, wait: float) -> Json:
    return {
        "event": "retry",
        "attempt": attempt,
        "status": error.status,
        "waitMs": int(wait * 1000),
    }


async def _events(parts: AsyncIterator[Response | bytes]) -> AsyncIterator[Json]:
    """The JSON documents in a stream of server-sent events."""
    buffer, size, found = b"", 0, False
    async for part in parts:
        assert isinstance(part, bytes)
        size += len(part)
        if size > LARGEST_ANSWER:
            raise ModelError("the model API sent more than 64 MiB in one answer", status=400)
        buffer += part
        if not found and buffer.lstrip()[:1] in (b"<", b"{"):
            raise await _no_stream(buffer, parts)
        *lines, buffer = buffer.split(b"\n")
        for line in lines:
            found = found or bool(line.strip())
            event = _event(line)
            if event is not None:
                yield event
            if line.startswith(b"data:") and _is_last(line, event):
                await _end(parts)
                return
    event = _event(buffer)
    if event is not None:
        yield event


def _is_last(line: bytes, event: Json | None) -> bool:
    if event is None:
        return line[5:].strip() == b"[DONE]"
    return event.get("type") in LAST


async def _end(parts: AsyncIterator[Response | bytes]) -> None:
    """Read the end of an answer that has said all, to use its connection again; but not for long:
    some servers leave it open.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            async for _ in parts:
                pass


async def _no_stream(begun: bytes, parts: AsyncIterator[Response | bytes]) -> ModelError:
    """What it means that an answer of success is a page or one document."""
    body = await _rest(begun, parts)
    if body.lstrip().startswith(b"<"):
        told = f"the model API answered with a web page: {body[:200]!r}"
        return ModelError(told, status=200, kind="garbage")
    try:
        error = json.loads(body).get("error")
    except (ValueError, AttributeError):
        error = None
    if error:
        return error_inside(error)
    told = f"the model API does not stream its answers: {body[:200]!r}"
    return ModelError(told, status=200, kind="garbage")


def _event(line: bytes) -> Json | None:
    if not line.startswith(b"data:"):
        return None
    data = line[5:].strip()
    if data in (b"", b"[DONE]"):
        return None
    try:
        event = json.loads(data)
    except ValueError:
        raise ModelError(f"the model API sent garbage: {data[:200]!r}") from None
    if not isinstance(event, dict):
        raise ModelError(f"the model API sent garbage: {data[:200]!r}")
    return event


async def _refusal(response: Response, parts: AsyncIterator[Response | bytes]) -> ModelError:
    said = _said(await _rest(b"", parts))
    wait = seconds_until(response.headers.get("retry-after", ""))
    return ModelError(
        f"the model API answered {response.status}: {said}",
        status=response.status,
        retry_after=seconds_named(said) if wait is None else wait,
    )


async def _rest(begun: bytes, parts: AsyncIterator[Response | bytes]) -> bytes:
    body = begun
    async for part in parts:
        if isinstance(part, bytes) and len(body) < 65_536:
            body += part
    return body


def _said(body: bytes) -> str:
    """The provider's own words for what is wrong."""
    try:
        document = json.loads(body)
        document = document[0] if isinstance(document, list) else document
        error = document.get("error") or document
        if isinstance(error, dict):
            text = error.get("message") or error.get("detail")
            return str(text or json.dumps(error))[:2000]
        return str(error)[:2000]
    except (ValueError, AttributeError, IndexError):
        return body[:300].decode(errors="replace")
