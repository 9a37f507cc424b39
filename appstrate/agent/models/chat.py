"""OpenAI chat completions, and the many servers that speak them."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from appstrate.agent.models.errors import ModelError, error_inside
from appstrate.agent.models.quirks import quirks_of
from appstrate.agent.models.turn import (
    Call,
    Json,
    Result,
    Tokens,
    Tool,
    Turn,
    effort,
    joined,
    uncounted,
)
from appstrate.agent.settings import Settings

PATHS = {
    "mistral-conversations": "/v1/chat/completions",
    "google-generative-ai": "/openai/chat/completions",
}


class ChatCompletions:
    """`POST /chat/completions`, streamed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._quirks = quirks_of(settings)
        self._made = 0
        self.path = PATHS.get(settings.model_api, "/chat/completions")

    def headers(self, api_key: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {api_key}"}

    def body(self, system: str, history: list[Json], tools: list[Tool]) -> Json:
        settings, quirks = self._settings, self._quirks
        thinks = quirks.thinks(effort(settings))
        role = "developer" if quirks.developer and thinks else "system"
        body: Json = {
            "model": settings.model_id,
            "messages": [{"role": role, "content": system}, *self._ordered(history)],
            "stream": True,
        }
        if quirks.stream_options:
            body["stream_options"] = {"include_usage": True}
        if tools:
            body["tools"] = [_offer(tool) for tool in tools]
        if settings.model_max_tokens_given and quirks.limit:
            body[quirks.limit] = settings.model_max_tokens
        if settings.model_temperature is not None and quirks.warm(thinking=bool(thinks)):
            body["temperature"] = settings.model_temperature
        return body | thinks

    def _ordered(self, history: list[Json]) -> list[Json]:
        """The history as this server takes it: some want an answer after results, always."""
        if not self._quirks.answers_results:
            return history
        ordered: list[Json] = []
        for message in history:
            if message["role"] == "user" and ordered and ordered[-1]["role"] == "tool":
                ordered.append({"role": "assistant", "content": "I have read the results."})
            ordered.append(message)
        return ordered

    async def read(self, events: AsyncIterator[Json]) -> Turn:
        answer = _Answer()
        async for event in events:
            answer.add(event)
        turn = answer.turn(self._quirks.returned)
        for call in turn.calls:
            if not call.id:
                # Nine letters and figures: no server takes less or wants more.
                self._made += 1
                call.id = f"call{self._made:05d}"
        return turn

    def user(self, text: str) -> list[Json]:
        return [{"role": "user", "content": text}]

    def assistant(self, turn: Turn) -> list[Json]:
        message: Json = {"role": "assistant", "content": turn.text or None, **(turn.raw or {})}
        if turn.calls:
            message["tool_calls"] = [_made(call) for call in turn.calls]
        elif not turn.text:
            message["content"] = "…"  # a message of nothing would be refused
        return [message]

    def results(self, results: list[Result]) -> list[Json]:
        sent: list[Json] = [
            {"role": "tool", "tool_call_id": r.call.id, "content": r.text} for r in results
        ]
        pictures = [
            {"type": "image_url", "image_url": {"url": f"data:{i.mime};base64,{i.data}"}}
            for result in results
            for i in result.images
        ]
        if pictures:
            text = {"type": "text", "text": "What the tools show:"}
            sent.append({"role": "user", "content": [text, *pictures]})
        return sent

    def concede(self, said: str) -> str | None:
        conceded = self._quirks.conceded(said)
        if conceded is None:
            return None
        self._quirks, what = conceded
        return what


class _Answer:
    """What a stream has said so far. Texts are joined at the end: adding to one copies it."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._thought: dict[str, list[str]] = {}
        self._details: list[Any] = []
        self._refusal: list[str] = []
        self._calls: dict[int, Call] = {}
        self._written: dict[int, list[str]] = {}
        self._alike = False
        self._tokens = Tokens()
        self._finish = ""

    def add(self, event: Json) -> None:
        if event.get("error"):
            raise error_inside(event["error"])
        if usage := event.get("usage"):
            self._tokens = _tokens(usage)
        for choice in event.get("choices") or ():
            if usage := choice.get("usage"):
                self._tokens = _tokens(usage)
            self._add_delta(choice.get("delta") or {})
            self._finish = choice.get("finish_reason") or self._finish

    def _add_delta(self, delta: Json) -> None:
        self._text.append(_text(delta.get("content")))
        self._refusal.append(delta.get("refusal") or "")
        for name in ("reasoning_content", "reasoning"):
            if delta.get(name):
                self._thought.setdefault(name, []).append(delta[name])
        self._details += delta.get("reasoning_details") or ()
        for part in delta.get("tool_calls") or ():
            self._add_call(part)

    def _add_call(self, part: Json) -> None:
        function = part.get("function") or {}
        index = self._number(part, begins=bool(part.get("id") or function.get("name")))
        call = self._calls.setdefault(index, Call())
        call.id = part.get("id") or call.id
        call.name += function.get("name") or ""
        if part.get("extra_content"):
            call.extra = {"extra_content": part["extra_content"]}
        self._written.setdefault(index, []).append(_arguments(function.get("arguments")))

    def _number(self, part: Json, *, begins: bool) -> int:
        """Which call a part belongs to. Some servers number none, some all of them alike."""
        index, last = part.get("index"), max(self._calls, default=-1)
        if not isinstance(index, int):
            return last + 1 if begins else max(0, last)
        known = self._calls.get(index)
        if known and known.id and part.get("id") and part["id"] != known.id:
            self._alike = True
            return last + 1
        return last if self._alike and not begins else index

    def turn(self, returned: tuple[str, ...]) -> Turn:
        if not self._finish:
            raise ModelError("the stream ended in the middle of an answer")
        refusal = joined(self._refusal)
        if self._finish == "content_filter" or refusal:
            told = refusal or "the provider's content filter stopped the answer"
            raise ModelError(told, status=200, kind="refusal")
        turn = Turn(text=joined(self._text), tokens=self._tokens, raw=self._kept(returned))
        turn.stop = "length" if self._finish == "length" else "done"
        for index, call in sorted(self._calls.items()):
            turn.calls.append(replace(call, arguments=joined(self._written[index])))
        if not turn.tokens.any:
            turn.tokens = uncounted(turn)
        return turn

    def _kept(self, returned: tuple[str, ...]) -> Json:
        """The thoughts that a provider wants back."""
        kept: Json = {n: joined(p) for n, p in self._thought.items() if n in returned}
        if self._details and "reasoning_details" in returned:
            kept["reasoning_details"] = self._details
        return kept


def _offer(tool: Tool) -> Json:
    told = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": told}


def _made(call: Call) -> Json:
    function = {"name": call.name, "arguments": call.arguments or "{}"}
    return {"id": call.id, "type": "function", "function": function, **call.extra}


def _text(content: Any) -> str:
    """The text of a delta; some servers send a list of parts, thoughts among them."""
    if not isinstance(content, list):
        return content or ""
    return "".join(part.get("text") or "" for part in content if part.get("type") == "text")


def _arguments(written: Any) -> str:
    if isinstance(written, dict):
        return json.dumps(written)
    return written or ""


def _tokens(usage: Json) -> Tokens:
    prompt = usage.get("prompt_tokens") or 0
    details = usage.get("prompt_tokens_details") or {}
    read = details.get("cached_tokens") or usage.get("prompt_cache_hit_tokens") or 0
    written = details.get("cache_write_tokens") or 0
    return Tokens(
        input=max(0, prompt - read - written),
        output=usage.get("completion_tokens") or 0,
        cache_read=read,
        cache_write=written,
    )
