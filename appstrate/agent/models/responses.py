"""OpenAI responses.

Nothing is stored with the provider: every request carries the conversation, and the thoughts of
the model travel along, encrypted.
"""

from collections.abc import AsyncIterator
from typing import Any

from appstrate.agent.models.errors import ModelError, error_inside
from appstrate.agent.models.turn import Call, Json, Result, Tokens, Tool, Turn, effort, uncounted
from appstrate.agent.settings import Settings

THOUGHTS = "reasoning.encrypted_content"
LEAST_OUTPUT = 16
WORDS = {
    "prompt_cache_key": ("prompt_cache_key",),
    "include": ("include", "encrypted"),
    "temperature": ("temperature",),
    "reasoning": ("reasoning", "effort", "summary"),
    "max_output_tokens": ("max_output_tokens",),
    "store": ("store",),
}


class Responses:
    """`POST /responses`, streamed."""

    path = "/responses"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._without: set[str] = set()

    def headers(self, api_key: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {api_key}"}

    def body(self, system: str, history: list[Json], tools: list[Tool]) -> Json:
        settings = self._settings
        body: Json = {
            "model": settings.model_id,
            "instructions": system,
            "input": history,
            "stream": True,
            "store": False,
            "prompt_cache_key": settings.run,
        }
        if tools:
            body["tools"] = [
                {
                    "type": "function",
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.parameters,
                    "strict": False,
                }
                for tool in tools
            ]
        if settings.model_max_tokens_given:
            body["max_output_tokens"] = max(LEAST_OUTPUT, settings.model_max_tokens)
        level = effort(settings)
        if level is not None:
            body["reasoning"] = {"effort": level, "summary": "auto"}
            body["include"] = [THOUGHTS]
        elif settings.model_temperature is not None:
            body["temperature"] = settings.model_temperature
        return {name: value for name, value in body.items() if name not in self._without}

    async def read(self, events: AsyncIterator[Json]) -> Turn:
        items: dict[int, Json] = {}
        end: Json | None = None
        async for event in events:
            match event.get("type"):
                case "error":
                    raise error_inside(event.get("error") or event)
                case "response.failed":
                    raise error_inside(event["response"].get("error") or event["response"])
                case "response.output_item.done":
                    items[event.get("output_index", len(items))] = event["item"]
                case "response.completed" | "response.incomplete":
                    end = event["response"]
                case _ if event.get("error"):
                    raise error_inside(event["error"])
                case _:
                    pass
        if end is None:
            raise ModelError("the stream ended in the middle of an answer")
        said = [item for _, item in sorted(items.items())] or end.get("output") or []
        return _turn(said, end)

    def user(self, text: str) -> list[Json]:
        return [{"role": "user", "content": [{"type": "input_text", "text": text}]}]

    def assistant(self, turn: Turn) -> list[Json]:
        # A thought that is neither stored nor carried along cannot be referred to.
        thoughts = [i for i in turn.raw if i["type"] != "reasoning" or i.get("encrypted_content")]
        return thoughts or [{"role": "assistant", "content": "…"}]

    def results(self, results: list[Result]) -> list[Json]:
        return [
            {"type": "function_call_output", "call_id": r.call.id, "output": _output(r)}
            for r in results
        ]

    def concede(self, said: str) -> str | None:
        said = said.lower()
        for name, words in WORDS.items():
            if name not in self._without and any(word in said for word in words):
                self._without.add(name)
                return name
        return None


def _turn(items: list[Json], end: Json) -> Turn:
    turn = Turn(raw=items, tokens=_tokens(end.get("usage") or {}))
    reason = (end.get("incomplete_details") or {}).get("reason")
    refusals: list[str] = []
    for item in items:
        if item["type"] == "function_call":
            turn.calls.append(Call(item["call_id"], item["name"], item.get("arguments") or "{}"))
        elif item["type"] == "message":
            for part in item.get("content") or ():
                turn.text += part.get("text") or ""
                refusals.append(part.get("refusal") or "")
    refusal = "".join(refusals)
    if refusal or reason == "content_filter":
        told = refusal or "the provider's content filter stopped the answer"
        raise ModelError(told, status=200, kind="refusal")
    if end.get("status") == "incomplete" or reason:
        turn.stop = "length"
    if not turn.tokens.any:
        turn.tokens = uncounted(turn)
    return turn


def _output(result: Result) -> Any:
    if not result.images:
        return result.text
    pictures = [
        {"type": "input_image", "image_url": f"data:{i.mime};base64,{i.data}"}
        for i in result.images
    ]
    return [{"type": "input_text", "text": result.text}, *pictures]


def _tokens(usage: Json) -> Tokens:
    details = usage.get("input_tokens_details") or {}
    read, written = details.get("cached_tokens") or 0, details.get("cache_write_tokens") or 0
    return Tokens(
        input=max(0, (usage.get("input_tokens") or 0) - read - written),
        output=usage.get("output_tokens") or 0,
        cache_read=read,
        cache_write=written,
    )
