"""A model API of the tests' own, over three wire formats, that does what a test tells it."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Json = dict[str, Any]


@dataclass
class Say:
    """Answer with text and calls."""

    text: str = ""
    calls: dict[str, Json] | list[tuple[str, Json]] = field(default_factory=dict)
    usage: bool = True
    cut: bool = False
    """The output limit ended the answer."""
    thought: str = ""
    prompt_tokens: int = 100

    @property
    def pairs(self) -> list[tuple[str, Json]]:
        """Names and arguments of the calls, in order."""
        return list(self.calls.items()) if isinstance(self.calls, dict) else self.calls


@dataclass
class Fail:
    """Answer with an error."""

    status: int
    message: str = "no"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Raw:
    """Answer with these bytes, then end the stream or break it off."""

    content: bytes
    abort: bool = False


@dataclass
class Hang:
    """Never answer."""


@dataclass
class Hold:
    """Answer when it is let go."""

    answer: Say
    go: asyncio.Event = field(default_factory=asyncio.Event)


Step = Say | Fail | Raw | Hang | Hold


class FakeModel:
    """Requests are answered from the script of the model they name, its last step for ever."""

    def __init__(self) -> None:
        self.scripts: dict[str, list[Step]] = {}
        self.requests: list[tuple[dict[str, str], Json]] = []
        self.on_request: Callable[[Json], None] | None = None
        self.url = ""

    def script(self, model: str, *steps: Step) -> str:
        self.scripts[model] = list(steps)
        return model

    def requests_of(self, model: str) -> list[Json]:
        return [body for _, body in self.requests if body["model"] == model]

    def _next(self, model: str) -> Step:
        steps = self.scripts[model]
        return steps.pop(0) if len(steps) > 1 else steps[0]

    async def chat(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, _chat_events)

    async def messages(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, _message_events)

    async def responses(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, _response_events)

    async def list_models(self, request: web.Request) -> web.StreamResponse:
        """The ids of every script. The key `sk-refused` is refused, and repeated as some do."""
        key = request.headers.get("x-api-key") or request.headers.get("Authorization", "")[7:]
        if key == "sk-refused":
            return web.json_response({"error": {"message": f"bad key {key}"}}, status=401)
        return web.json_response({"data": [{"id": name} for name in self.scripts]})

    async def _answer(
        self, request: web.Request, events: Callable[[Say], list[Json]]
    ) -> web.StreamResponse:
        body = await request.json()
        self.requests.append((dict(request.headers), body))
        if self.on_request is not None:
            self.on_request(body)
        step = self._next(body["model"])
        if isinstance(step, Hang):
            await asyncio.sleep(3600)
        if isinstance(step, Hold):
            await step.go.wait()
            step = step.answer
        if isinstance(step, Fail):
            error = {"error": {"message": step.message, "type": "error"}}
            return web.json_response(error, status=step.status, headers=step.headers)
        if not body.get("stream"):
            assert isinstance(step, Say | Raw)
            if isinstance(step, Raw):
                return web.Response(body=step.content)
            return web.json_response({"choices": [], "content": [], "model": body["model"]})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        if isinstance(step, Raw):
            await response.write(step.content)
            if step.abort and request.transport is not None:
                request.transport.abort()
            return response
        assert isinstance(step, Say)
        for event in events(step):
            await response.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        return response


@asynccontextmanager
async def fake_model() -> AsyncGenerator[FakeModel, None]:
    model = FakeModel()
    application = web.Application(client_max_size=2**26)
    application.router.add_post("/v1/chat/completions", model.chat)
    application.router.add_post("/v1/messages", model.messages)
    application.router.add_post("/v1/responses", model.responses)
    application.router.add_post("/v1beta/openai/chat/completions", model.chat)

    application.router.add_get("/v1/models", model.list_models)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    model.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield model
    await runner.cleanup()


def _chat_events(step: Say) -> list[Json]:
    def chunk(delta: Json, finish: str | None = None) -> Json:
        return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    events = [chunk({"reasoning_content": step.thought})] if step.thought else []
    events += [chunk({"content": part}) for part in step.text.split(" ")] if step.text else []
    for index, (name, arguments) in enumerate(step.pairs):
        text = json.dumps(arguments)
        call = {"index": index, "id": f"c{index}", "type": "function"}
        head = call | {"function": {"name": name, "arguments": text[:3]}}
        tail = {"index": index, "function": {"arguments": text[3:]}}
        events += [chunk({"tool_calls": [head]}), chunk({"tool_calls": [tail]})]
    events.append(chunk({}, "length" if step.cut else "tool_calls" if step.calls else "stop"))
    if step.usage:
        usage = {
            "prompt_tokens": step.prompt_tokens,
            "completion_tokens": 7,
            "prompt_tokens_details": {"cached_tokens": 40},
        }
        events.append({"choices": [], "usage": usage})
    return events


def _message_events(step: Say) -> list[Json]:
    given = step.prompt_tokens - 40
    usage = {"input_tokens": given, "cache_read_input_tokens": 40, "output_tokens": 1}
    events: list[Json] = [{"type": "message_start", "message": {"usage": usage}}]
    blocks: list[tuple[Json, Json]] = []
    if step.thought:
        thinking = {"type": "thinking", "thinking": "", "signature": ""}
        blocks.append((thinking, {"type": "thinking_delta", "thinking": step.thought}))
    if step.text:
        blocks.append(({"type": "text", "text": ""}, {"type": "text_delta", "text": step.text}))
    for name, arguments in step.pairs:
        block = {"type": "tool_use", "id": f"t_{name}", "name": name, "input": {}}
        blocks.append((block, {"type": "input_json_delta", "partial_json": json.dumps(arguments)}))
    for index, (block, delta) in enumerate(blocks):
        events += [
            {"type": "content_block_start", "index": index, "content_block": block},
            {"type": "content_block_delta", "index": index, "delta": delta},
        ]
        if block["type"] == "thinking":
            signed = {"type": "signature_delta", "signature": "signed"}
            events.append({"type": "content_block_delta", "index": index, "delta": signed})
        events.append({"type": "content_block_stop", "index": index})
    stop = "max_tokens" if step.cut else "tool_use" if step.calls else "end_turn"
    events.append(
        {"type": "message_delta", "delta": {"stop_reason": stop}, "usage": {"output_tokens": 7}}
    )
    return [*events, {"type": "message_stop"}]


def _response_events(step: Say) -> list[Json]:
    items: list[Json] = []
    if step.thought:
        items.append({"type": "reasoning", "id": "rs_1", "encrypted_content": step.thought})
    if step.text:
        part = {"type": "output_text", "text": step.text}
        items.append({"type": "message", "id": "msg_1", "role": "assistant", "content": [part]})
    for number, (name, arguments) in enumerate(step.pairs):
        call = {"type": "function_call", "id": f"fc_{number}", "call_id": f"c{number}"}
        items.append(call | {"name": name, "arguments": json.dumps(arguments)})
    events: list[Json] = [{"type": "response.created", "response": {"status": "in_progress"}}]
    for index, item in enumerate(items):
        events.append({"type": "response.output_item.done", "output_index": index, "item": item})
    ended: Json = {"status": "completed", "output": items}
    if step.cut:
        ended |= {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    if step.usage:
        details = {"cached_tokens": 40}
        tokens = {"input_tokens": step.prompt_tokens, "output_tokens": 7}
        ended["usage"] = tokens | {"input_tokens_details": details}
    kind = "response.incomplete" if step.cut else "response.completed"
    return [*events, {"type": kind, "response": ended}]
