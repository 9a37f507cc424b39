import json
from typing import Any

from actors.schemas import Schema
from appstrate.sidecar.demo_model import LABEL, answer, sample

SCRIPT = {
    "steps": [
        {"say": "Hello {{input.name}}", "call": {"bash": {"command": "echo {{input.name}}"}}},
        {"say": "It said {{result}}", "call": {"output": {"data": {"n": "{{number}}"}}}},
        {"say": "The end"},
    ]
}


def tool(name: str, schema: dict[str, Any] | None = None) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {"data": schema or {}}}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def ask(
    script: Any, messages: list[dict[str, Any]], *tools: dict[str, Any]
) -> tuple[str, dict[str, Any], dict[str, int]]:
    body = {"messages": messages, "tools": list(tools)}
    text = ""
    calls: dict[str, Any] = {}
    usage: dict[str, int] = {}
    for event in answer(script, {"name": "Ada"}, body):
        line = event.removeprefix(b"data: ").strip()
        if line == b"[DONE]":
            continue
        document = json.loads(line)
        usage = document.get("usage") or usage
        for choice in document["choices"]:
            text += choice["delta"].get("content", "")
            for call in choice["delta"].get("tool_calls", ()):
                function = call["function"]
                calls[function["name"]] = json.loads(function["arguments"])
    return text, calls, usage


def test_each_answer_follows_the_script_and_says_that_it_is_one() -> None:
    tools = (tool("bash"), tool("output"))
    first = ask(SCRIPT, [{"role": "user", "content": "go"}], *tools)
    said = [{"role": "assistant"}, {"role": "tool", "content": " 42\n"}]
    second = ask(SCRIPT, said, *tools)
    later = ask(SCRIPT, said * 5, *tools)

    assert first[:2] == (f"{LABEL} Hello Ada", {"bash": {"command": "echo Ada"}})
    assert second[:2] == (f"{LABEL} It said  42", {"output": {"data": {"n": 42}}})
    assert later[:2] == (f"{LABEL} The end", {})
    assert first[2]["completion_tokens"] > 0


def test_a_script_that_calls_what_is_not_offered_says_so() -> None:
    text, calls, _ = ask(SCRIPT, [])

    assert calls == {}
    assert "bash, which this agent does not have" in text


def test_without_a_script_an_output_is_made_up_that_fits() -> None:
    schema = {
        "type": "object",
        "required": ["title", "kind", "when", "parts", "deep"],
        "properties": {
            "title": {"type": "string", "minLength": 60},
            "short": {"type": "string", "maxLength": 4},
            "kind": {"enum": ["a", "b"]},
            "when": {"type": "string", "format": "date-time"},
            "count": {"type": "integer", "minimum": 3},
            "parts": {"type": "array", "minItems": 2, "items": {"type": "boolean"}},
            "deep": {"type": "object", "properties": {"x": {"type": ["null", "number"]}}},
        },
    }
    text, calls, _ = ask(None, [], tool("output", schema))

    assert LABEL in text
    assert Schema(schema).problems(calls["output"]["data"]) == []


def test_without_script_and_output_it_just_ends() -> None:
    text, calls, _ = ask({"steps": []}, [])

    assert text.startswith(LABEL)
    assert calls == {}


def test_a_schema_without_end_is_not_followed_for_ever() -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {}}
    schema["properties"]["again"] = schema

    assert "again" in sample(schema)


def test_a_schema_that_wants_a_mountain_gets_a_hill() -> None:
    huge = {"type": "array", "minItems": 10**12, "items": {"type": "string", "minLength": 10**12}}
    made = sample(huge)

    assert (len(made), len(made[0])) == (1000, 1000)
