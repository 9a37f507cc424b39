"""OpenAI chat completions, and the many servers that speak them."""

from collections.abc import AsyncIterator

from appstrate.agent.models.turn import Call, Json, ModelError, Result, Tokens, Tool, Turn, joined
from appstrate.agent.settings import Settings


class ChatCompletions:
    """`POST /chat/completions`, streamed."""

    path = "/chat/completions"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def headers(self, api_key: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {api_key}"}

    def body(self, system: str, history: list[Json], tools: list[Tool]) -> Json:
        settings = self._settings
        body: Json = {
            "model": settings.model_id,
            "messages": [{"role": "system", "content": system}, *history],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if tools:
            body["tools"] = [
                {
                    "type": "function",
                    "function": {
                        "name": tool.name,
                        "description": tool.description,
                        "parameters": tool.parameters,
                    },
                }
                for tool in tools
            ]
        if settings.model_max_tokens_given:
            openai = settings.model_provider == "openai"
            limit = "max_completion_tokens" if openai else "max_tokens"
            body[limit] = settings.model_max_tokens
        if settings.model_temperature is not None:
            body["temperature"] = settings.model_temperature
        return body

    async def read(self, events: AsyncIterator[Json]) -> Turn:
        # Texts are joined at the end: adding to one copies it, a hundred thousand times.
        turn, finished = Turn(), False
        text, calls, written = list[str](), dict[int, Call](), dict[int, list[str]]()
        async for event in events:
            if "error" in event:
                raise ModelError(_error_text(event["error"]), status=500)
            if usage := event.get("usage"):
                turn.tokens = _tokens(usage)
            for choice in event.get("choices") or ():
                delta = choice.get("delta") or {}
                text.append(delta.get("content") or "")
                for part in delta.get("tool_calls") or ():
                    index, function = part.get("index", len(calls)), part.get("function") or {}
                    call = calls.setdefault(index, Call())
                    call.id = part.get("id") or call.id
                    call.name += function.get("name") or ""
                    written.setdefault(index, []).append(function.get("arguments") or "")
                finished = finished or bool(choice.get("finish_reason"))
        if not finished:
            raise ModelError("the stream ended in the middle of an answer")
        turn.text = joined(text)
        for number, (index, call) in enumerate(sorted(calls.items())):
            call.id = call.id or f"call_{number}"
            call.arguments = joined(written[index])
            turn.calls.append(call)
        if not turn.tokens.any:
            # Some servers count nothing; a run must still be told apart from one without a model.
            told = sum(len(call.arguments) for call in turn.calls) + len(turn.text)
            turn.tokens = Tokens(input=1, output=max(1, told // 4))
        return turn

    def user(self, text: str) -> list[Json]:
        return [{"role": "user", "content": text}]

    def assistant(self, turn: Turn) -> list[Json]:
        message: Json = {"role": "assistant", "content": turn.text or None}
        if turn.calls:
            message["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments or "{}"},
                }
                for call in turn.calls
            ]
        return [message]

    def results(self, results: list[Result]) -> list[Json]:
        return [{"role": "tool", "tool_call_id": r.call.id, "content": r.text} for r in results]


def _tokens(usage: Json) -> Tokens:
    prompt = usage.get("prompt_tokens") or 0
    details = usage.get("prompt_tokens_details") or {}
    read, written = details.get("cached_tokens") or 0, details.get("cache_write_tokens") or 0
    return Tokens(
        input=max(0, prompt - read - written),
        output=usage.get("completion_tokens") or 0,
        cache_read=read,
        cache_write=written,
    )


def _error_text(error: object) -> str:
    return str(error.get("message") or error) if isinstance(error, dict) else str(error)
