"""Anthropic messages."""

from collections.abc import AsyncIterator
from typing import Any

from appstrate.agent.models.errors import ModelError, error_inside
from appstrate.agent.models.turn import (
    Call,
    Json,
    Result,
    Tokens,
    Tool,
    Turn,
    effort,
    joined,
    read_arguments,
)
from appstrate.agent.settings import Settings

DELTAS = {"text_delta": "text", "input_json_delta": "partial_json", "thinking_delta": "thinking"}
BUDGETS = {
    "minimal": 1024,
    "low": 2048,
    "medium": 4096,
    "high": 8192,
    "xhigh": 16384,
    "max": 32768,
}
LEAST_BUDGET = 1024
CACHED: Json = {"cache_control": {"type": "ephemeral"}}


class AnthropicMessages:
    """`POST /v1/messages`, streamed."""

    path = "/v1/messages"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._temperature = settings.model_temperature
        self._effort = effort(settings)
        # A level map names efforts, for models that choose their own budget.
        self._adaptive = self._effort is not None and bool(settings.model_reasoning_level_map)

    def headers(self, api_key: str) -> dict[str, str]:
        return {"x-api-key": api_key, "anthropic-version": "2023-06-01"}

    def body(self, system: str, history: list[Json], tools: list[Tool]) -> Json:
        thinking = self._thinking()
        body: Json = {
            "model": self._settings.model_id,
            "max_tokens": self._settings.model_max_tokens,
            "stream": True,
            "system": [{"type": "text", "text": system, **CACHED}],
            "messages": _cached(history),
        }
        if tools:
            body["tools"] = [
                {"name": t.name, "description": t.description, "input_schema": t.parameters}
                for t in tools
            ]
        if self._temperature is not None and not thinking:
            body["temperature"] = self._temperature
        return body | thinking

    def _thinking(self) -> Json:
        if self._effort in (None, "none"):
            return {}
        if self._adaptive:
            return {"thinking": {"type": "adaptive"}, "output_config": {"effort": self._effort}}
        # What is thought counts as written, and something must be left to write.
        most = self._settings.model_max_tokens - LEAST_BUDGET
        budget = min(BUDGETS.get(self._effort or "", BUDGETS["medium"]), most)
        if budget < LEAST_BUDGET:
            return {}
        return {"thinking": {"type": "enabled", "budget_tokens": budget}}

    async def read(self, events: AsyncIterator[Json]) -> Turn:
        turn, blocks, written = Turn(), dict[int, Json](), dict[int, list[str]]()
        reason, stopped = "", False
        async for event in events:
            kind = event.get("type")
            if kind == "error":
                raise error_inside(event.get("error") or event)
            if kind == "message_start":
                _count(turn.tokens, event["message"].get("usage") or {})
            elif kind == "content_block_start":
                blocks[event["index"]] = event["content_block"]
                written[event["index"]] = []
            elif kind == "content_block_delta":
                _add(blocks[event["index"]], written[event["index"]], event["delta"])
            elif kind == "message_delta":
                reason = (event.get("delta") or {}).get("stop_reason") or reason
                _count(turn.tokens, event.get("usage") or {})
            elif kind == "message_stop":
                stopped = True
        if not stopped:
            raise ModelError("the stream ended in the middle of an answer")
        for index, block in sorted(blocks.items()):
            _finish(block, joined(written[index]), turn)
        turn.raw = [block for _, block in sorted(blocks.items())]
        _stop(turn, reason)
        return turn

    def user(self, text: str) -> list[Json]:
        return [{"role": "user", "content": text}]

    def assistant(self, turn: Turn) -> list[Json]:
        # An empty text block would be refused when it is sent back.
        kept = [b for b in turn.raw if b["type"] != "text" or b["text"]]
        return [{"role": "assistant", "content": kept or [{"type": "text", "text": "…"}]}]

    def results(self, results: list[Result]) -> list[Json]:
        content = [
            {
                "type": "tool_result",
                "tool_use_id": result.call.id,
                "content": _content(result),
                "is_error": result.failed,
            }
            for result in results
        ]
        return [{"role": "user", "content": content}]

    def concede(self, said: str) -> str | None:
        said = said.lower()
        if self._effort and "adaptive" in said and not self._adaptive:
            self._adaptive = True
            self._effort = {"minimal": "low"}.get(self._effort, self._effort)
            return "a budget for thinking"
        if self._effort and any(word in said for word in ("thinking", "effort", "output_config")):
            self._effort = None
            return "thinking"
        if self._temperature is not None and "temperature" in said:
            self._temperature = None
            return "temperature"
        return None


def _cached(history: list[Json]) -> list[Json]:
    """The history with a mark on its last word: what came before it is read from the cache."""
    if not history or history[-1]["role"] != "user":
        return history
    content = history[-1]["content"]
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else list(content)
    blocks[-1] = blocks[-1] | CACHED
    return [*history[:-1], {"role": "user", "content": blocks}]


def _content(result: Result) -> Any:
    if not result.images:
        return result.text
    pictures = [
        {"type": "image", "source": {"type": "base64", "media_type": i.mime, "data": i.data}}
        for i in result.images
    ]
    return [{"type": "text", "text": result.text}, *pictures]


def _add(block: Json, written: list[str], delta: Json) -> None:
    kind = delta["type"]
    if kind in DELTAS:
        # Joined at the end: adding to a string copies it, a hundred thousand times.
        written.append(delta[DELTAS[kind]])
    elif kind == "signature_delta":
        block["signature"] = delta["signature"]


def _finish(block: Json, written: str, turn: Turn) -> None:
    match block["type"]:
        case "text":
            block["text"] += written
            turn.text += block["text"]
        case "thinking":
            block["thinking"] = block.get("thinking", "") + written
        case "tool_use":
            block["input"] = _parsed(written or "{}")
            turn.calls.append(Call(block["id"], block["name"], written or "{}"))
        case _:
            pass


def _stop(turn: Turn, reason: str) -> None:
    if reason == "refusal":
        raise ModelError(turn.text or "the model refused", status=200, kind="refusal")
    if reason in ("max_tokens", "model_context_window_exceeded"):
        turn.stop = "length"
    elif reason == "pause_turn":
        turn.stop = "pause"


def _count(tokens: Tokens, usage: Json) -> None:
    """Take over the totals of an answer so far; what is not told stays as it is."""
    tokens.input = usage.get("input_tokens") or tokens.input
    tokens.output = usage.get("output_tokens") or tokens.output
    tokens.cache_read = usage.get("cache_read_input_tokens") or tokens.cache_read
    tokens.cache_write = usage.get("cache_creation_input_tokens") or tokens.cache_write


def _parsed(arguments: str) -> Json:
    try:
        return read_arguments(arguments)
    except ValueError:
        return {}
