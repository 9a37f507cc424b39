"""Anthropic messages."""

from collections.abc import AsyncIterator

from appstrate.agent.models.turn import (
    Call,
    Json,
    ModelError,
    Result,
    Tokens,
    Tool,
    Turn,
    joined,
    read_arguments,
)
from appstrate.agent.settings import Settings

STATUS_OF_ERROR = {"overloaded_error": 529, "rate_limit_error": 429, "api_error": 500}
DELTAS = {"text_delta": "text", "input_json_delta": "partial_json", "thinking_delta": "thinking"}


class AnthropicMessages:
    """`POST /v1/messages`, streamed."""

    path = "/v1/messages"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def headers(self, api_key: str) -> dict[str, str]:
        return {"x-api-key": api_key, "anthropic-version": "2023-06-01"}

    def body(self, system: str, history: list[Json], tools: list[Tool]) -> Json:
        cached = {"cache_control": {"type": "ephemeral"}}
        body: Json = {
            "model": self._settings.model_id,
            "max_tokens": self._settings.model_max_tokens,
            "stream": True,
            "system": [{"type": "text", "text": system, **cached}],
            "messages": history,
        }
        if tools:
            body["tools"] = [
                {"name": t.name, "description": t.description, "input_schema": t.parameters}
                for t in tools
            ]
        if self._settings.model_temperature is not None:
            body["temperature"] = self._settings.model_temperature
        return body

    async def read(self, events: AsyncIterator[Json]) -> Turn:
        turn, blocks, written = Turn(), dict[int, Json](), dict[int, list[str]]()
        stopped = False
        async for event in events:
            kind = event.get("type")
            if kind == "error":
                error = event.get("error") or {}
                status = STATUS_OF_ERROR.get(error.get("type", ""), 500)
                raise ModelError(error.get("message") or str(event), status=status)
            if kind == "message_start":
                turn.tokens.add(_tokens(event["message"].get("usage") or {}))
            elif kind == "content_block_start":
                blocks[event["index"]] = event["content_block"]
                written[event["index"]] = []
            elif kind == "content_block_delta":
                _add(blocks[event["index"]], written[event["index"]], event["delta"])
            elif kind == "message_delta":
                usage = event.get("usage") or {}
                turn.tokens.output = usage.get("output_tokens") or turn.tokens.output
            elif kind == "message_stop":
                stopped = True
        if not stopped:
            raise ModelError("the stream ended in the middle of an answer")
        for index, block in sorted(blocks.items()):
            _finish(block, joined(written[index]), turn)
        turn.raw = [block for _, block in sorted(blocks.items())]
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
                "content": result.text,
                "is_error": result.failed,
            }
            for result in results
        ]
        return [{"role": "user", "content": content}]


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
            block["thinking"] += written
        case "tool_use":
            block["input"] = _parsed(written or "{}")
            turn.calls.append(Call(block["id"], block["name"], written or "{}"))
        case _:
            pass


def _tokens(usage: Json) -> Tokens:
    return Tokens(
        input=usage.get("input_tokens") or 0,
        output=usage.get("output_tokens") or 0,
        cache_read=usage.get("cache_read_input_tokens") or 0,
        cache_write=usage.get("cache_creation_input_tokens") or 0,
    )


def _parsed(arguments: str) -> Json:
    try:
        return read_arguments(arguments)
    except ValueError:
        return {}
