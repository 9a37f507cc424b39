"""The demo model: it follows a script, needs no key, and says in every answer that it is no AI.

An agent brings its script in its manifest, under `_meta["dev.appstrate/demo"]`:

    {"steps": [{"say": "Looking…", "call": {"bash": {"command": "ls"}}}, {"say": "{{result}}"}]}

Step n answers the n-th request; the last one answers all further requests. `{{result}}` is the
last tool result, `{{number}}` the same as a number, `{{input.name}}` a field of the run's input.
Without a script the model makes up an output that fits the schema of the `output` tool, if there
is one. All else in a run is real.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from actors.documents import as_list, as_object

LABEL = "[demo model: scripted, no AI]"
PLACEHOLDER = re.compile(r"\{\{\s*([\w.]+)\s*\}\}")
SAMPLE_TEXT = f"{LABEL} sample text"
DEPTH = 6
LARGEST_SAMPLE = 1000


def answer(script: Any, run_input: dict[str, Any], body: dict[str, Any]) -> Iterator[bytes]:
    """The answer to a chat completion request, as server-sent events."""
    messages = [as_object(message) for message in as_list(body.get("messages"))]
    offered = [as_object(as_object(t).get("function")) for t in as_list(body.get("tools"))]
    step = _step(script, messages, offered)
    values = _values(messages, run_input)
    text = f"{LABEL} {_filled(str(step.get('say') or ''), values)}".rstrip()
    calls = as_object(step.get("call"))
    names = {str(tool.get("name")) for tool in offered}
    unknown = sorted(set(calls) - names)
    if unknown:
        text = f"{LABEL} the script calls {', '.join(unknown)}, which this agent does not have"
        calls = {}
    for word in re.findall(r"\S+\s*", text):
        yield _chunk({"content": word})
    for index, (name, arguments) in enumerate(calls.items()):
        function = {"name": name, "arguments": json.dumps(_filled(arguments, values))}
        call = {"index": index, "id": f"call_{len(messages)}_{index}", "type": "function"}
        yield _chunk({"tool_calls": [call | {"function": function}]})
    yield _chunk({}, finish="tool_calls" if calls else "stop")
    prompt = sum(len(str(message.get("content") or "")) for message in messages)
    usage = {"prompt_tokens": max(1, prompt // 4), "completion_tokens": max(1, len(text) // 4)}
    yield _event({"choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"


def sample(schema: dict[str, Any], depth: int = 0) -> Any:
    """A plain value that fits a simple JSON Schema."""
    for key in ("default", "const"):
        if key in schema:
            return schema[key]
    for key in ("examples", "enum"):
        if choices := as_list(schema.get(key)):
            return choices[0]
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((k for k in as_list(kind) if k != "null"), "null")
    match kind:
        case "object" if depth < DEPTH:
            return _sample_object(schema, depth)
        case "array" if depth < DEPTH:
            wanted = min(int(schema.get("minItems") or 0), LARGEST_SAMPLE)
            return [sample(as_object(schema.get("items")), depth + 1)] * wanted
        case "string":
            return _sample_text(schema)
        case "integer" | "number":
            return schema.get("minimum", 0)
        case "boolean":
            return False
        case _:
            return None


def _sample_object(schema: dict[str, Any], depth: int) -> dict[str, Any]:
    properties = as_object(schema.get("properties"))
    return {name: sample(as_object(field), depth + 1) for name, field in properties.items()}


def _sample_text(schema: dict[str, Any]) -> str:
    formats = {
        "date": "2026-01-01",
        "date-time": "2026-01-01T00:00:00Z",
        "email": "demo@example.com",
        "uri": "https://example.com",
        "uuid": "00000000-0000-4000-8000-000000000000",
    }
    text = formats.get(str(schema.get("format")), SAMPLE_TEXT)
    shortest = min(int(schema.get("minLength") or 0), LARGEST_SAMPLE)
    longest = schema.get("maxLength")
    return text.ljust(shortest, ".")[: longest if isinstance(longest, int) else None]


def _step(
    script: Any, messages: list[dict[str, Any]], offered: list[dict[str, Any]]
) -> dict[str, Any]:
    steps = as_list(as_object(script).get("steps"))
    if steps:
        said = sum(message.get("role") == "assistant" for message in messages)
        return as_object(steps[min(said, len(steps) - 1)])
    for tool in offered:
        if tool.get("name") == "output":
            wanted = as_object(as_object(tool.get("parameters")).get("properties")).get("data")
            say = "This agent has no script, so here is a made-up output that fits its schema."
            return {"say": say, "call": {"output": {"data": sample(as_object(wanted)) or {}}}}
    return {"say": "This agent has no script, so there is nothing to do."}


def _values(messages: list[dict[str, Any]], run_input: dict[str, Any]) -> dict[str, Any]:
    results = [message.get("content") for message in messages if message.get("role") == "tool"]
    values = {f"input.{name}": value for name, value in run_input.items()}
    last = str(results[-1]) if results else ""
    return values | {"result": last, "number": int(last) if last.strip().isdigit() else 0}


def _filled(value: Any, values: dict[str, Any]) -> Any:
    if isinstance(value, str):
        whole = PLACEHOLDER.fullmatch(value)
        if whole:
            return values.get(whole[1], "")
        return PLACEHOLDER.sub(lambda match: str(values.get(match[1], "")), value)
    if isinstance(value, list):
        return [_filled(item, values) for item in as_list(value)]
    if isinstance(value, dict):
        return {key: _filled(item, values) for key, item in as_object(value).items()}
    return value


def _chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    return _event({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def _event(fields: dict[str, Any]) -> bytes:
    event = {"id": "demo", "object": "chat.completion.chunk", "created": 0, "model": "demo"}
    return b"data: " + json.dumps(event | fields).encode() + b"\n\n"
