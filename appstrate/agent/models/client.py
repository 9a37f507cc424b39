"""Asking a model: one streamed request per turn, tried again when that may help."""

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Callable
from urllib.parse import urlsplit

from appstrate.agent.http import Connection, ConnectionLost, Response
from appstrate.agent.models.chat import ChatCompletions
from appstrate.agent.models.messages import AnthropicMessages
from appstrate.agent.models.turn import Json, ModelError, Tool, Turn, Wire
from appstrate.agent.settings import Settings

FIRST_BACKOFF = 0.5
LONGEST_WAIT = 60.0
IDLE_SECONDS = 300.0
LARGEST_ANSWER = 64 * 2**20
WIRES: dict[str, Callable[[Settings], Wire]] = {
    "openai-completions": ChatCompletions,
    "anthropic-messages": AnthropicMessages,
}


class Model:
    """The model of a run, reached through the platform's proxy."""

    def __init__(self, settings: Settings, on_retry: Callable[[str], None]) -> None:
        self.wire = WIRES[settings.model_api](settings)
        self._path = urlsplit(settings.model_base_url).path + self.wire.path
        self._key = settings.model_api_key
        self._retries = settings.model_retries
        self._connection = Connection(settings.model_base_url, IDLE_SECONDS)
        self._on_retry = on_retry

    async def turn(self, system: str, history: list[Json], tools: list[Tool]) -> Turn:
        """The model's next turn. Raises `ModelError` when it cannot be had."""
        body = json.dumps(self.wire.body(system, history, tools)).encode()
        for attempt in range(self._retries + 1):
            try:
                return await self._once(body)
            except ModelError as error:
                if attempt == self._retries or not error.passing:
                    raise
                backoff = FIRST_BACKOFF * 2**attempt * random.uniform(0.75, 1.25)
                wait = min(error.retry_after or backoff, LONGEST_WAIT)
                self._on_retry(f"{error}; trying again in {wait:.1f} s")
                await asyncio.sleep(wait)
        raise AssertionError("unreachable")

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
                raise ModelError(f"the model API cannot be reached: {error}") from None
            except (KeyError, TypeError, AttributeError, IndexError) as error:
                what = f"the model API sent something that is no answer ({error!r})"
                raise ModelError(what) from None


async def _events(parts: AsyncIterator[Response | bytes]) -> AsyncIterator[Json]:
    """The JSON documents in a stream of server-sent events."""
    buffer, size = b"", 0
    async for part in parts:
        assert isinstance(part, bytes)
        size += len(part)
        if size > LARGEST_ANSWER:
            raise ModelError("the model API sent more than 64 MiB in one answer", status=400)
        buffer += part
        *lines, buffer = buffer.split(b"\n")
        for line in lines:
            event = _event(line)
            if event is not None:
                yield event
    event = _event(buffer)
    if event is not None:
        yield event


def _event(line: bytes) -> Json | None:
    if not line.startswith(b"data:"):
        return None
    data = line[5:].strip()
    if data == b"[DONE]":
        return None
    try:
        event = json.loads(data)
    except ValueError:
        raise ModelError(f"the model API sent garbage: {data[:200]!r}") from None
    if not isinstance(event, dict):
        raise ModelError(f"the model API sent garbage: {data[:200]!r}")
    return event


async def _refusal(response: Response, parts: AsyncIterator[Response | bytes]) -> ModelError:
    body = b""
    async for part in parts:
        if isinstance(part, bytes) and len(body) < 4096:
            body += part
    try:
        error = json.loads(body).get("error")
        text = error.get("message") if isinstance(error, dict) else error
    except (ValueError, AttributeError):
        text = None
    told = text or body[:300].decode(errors="replace")
    after = response.headers.get("retry-after", "")
    return ModelError(
        f"the model API answered {response.status}: {told}",
        status=response.status,
        retry_after=float(after) if after.replace(".", "", 1).isdigit() else None,
    )
