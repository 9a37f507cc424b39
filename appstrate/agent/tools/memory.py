"""Tools by which an agent leaves something for runs to come. It is kept when the run ends."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

from appstrate.agent.models.turn import Json, Tool, ToolError
from appstrate.agent.sink import Sink

LONGEST_NOTE = 2000
LARGEST_PIN = 64 * 1024
MOST_NOTES = 1000
MOST_PINS = 100
KEY = re.compile(r"[a-z0-9_]{1,64}", re.ASCII)
SCOPES = ("actor", "shared")
SCOPE: Json = {
    "type": "string",
    "enum": list(SCOPES),
    "description": "actor (default): for whoever this run is for; shared: for all",
}


@dataclass(slots=True)
class Memory:
    """What a run wants to be kept: notes in the order they were taken, and pinned slots."""

    notes: list[Json] = field(default_factory=list)
    pinned: dict[str, Json] = field(default_factory=dict)


def note_tool(sink: Sink, memory: Memory) -> Tool:
    """The tool `note`."""

    async def run(arguments: Json) -> str:
        check_closed(arguments, ("content", "scope"))
        content, scope = arguments.get("content"), _scope(arguments)
        if not isinstance(content, str) or not content.strip():
            raise ToolError("content must be text")
        if len(content) > LONGEST_NOTE:
            raise ToolError(
                f"content has {len(content)} characters; at most {LONGEST_NOTE} are kept: make it "
                "shorter, or take several notes"
            )
        if len(memory.notes) >= MOST_NOTES:
            raise ToolError(f"this run has taken {MOST_NOTES} notes: that is enough")
        memory.notes.append({"content": content, "scope": scope})
        sink.emit("memory.added", {"content": content, "scope": scope})
        return "Note saved"

    properties = {
        "content": {"type": "string", "maxLength": LONGEST_NOTE},
        "scope": SCOPE,
    }
    purpose = (
        "Keep a note that runs to come can search for. Notes are not shown to them by themselves."
    )
    return Tool("note", purpose, _closed(["content"], properties), run)


def pin_tool(sink: Sink, memory: Memory) -> Tool:
    """The tool `pin`."""

    async def run(arguments: Json) -> str:
        check_closed(arguments, ("key", "content", "scope"))
        key, scope = arguments.get("key"), _scope(arguments)
        if not isinstance(key, str) or not KEY.fullmatch(key):
            raise ToolError("key must be 1 to 64 of the characters a-z, 0-9 and _")
        if "content" not in arguments:
            raise ToolError("content is missing: it may be any JSON, null too")
        content: Any = arguments["content"]
        size = len(json.dumps(content, ensure_ascii=False).encode())
        if size > LARGEST_PIN:
            raise ToolError(f"content has {size} bytes; a slot holds at most {LARGEST_PIN}")
        if key not in memory.pinned and len(memory.pinned) >= MOST_PINS:
            raise ToolError(f"this run has pinned {MOST_PINS} slots: use one of their keys again")
        memory.pinned[key] = {"content": content, "scope": scope}
        sink.emit("pinned.set", {"key": key, "content": content, "scope": scope})
        return f'Pinned slot "{key}" updated'

    properties = {
        "key": {"type": "string", "pattern": "^[a-z0-9_]+$", "minLength": 1, "maxLength": 64},
        "content": {"description": "Any JSON"},
        "scope": SCOPE,
    }
    purpose = (
        "Keep a value under a key; runs to come see it in their prompt. It replaces what the key "
        'held. The key "checkpoint" is the state the next run goes on from.'
    )
    return Tool("pin", purpose, _closed(["key", "content"], properties), run)


def check_closed(arguments: Json, known: tuple[str, ...]) -> None:
    """Refuse arguments that do not exist."""
    unknown = sorted(set(arguments) - set(known))
    if unknown:
        raise ToolError(f"there is no argument {', '.join(unknown)}; there are {', '.join(known)}")


def _scope(arguments: Json) -> str:
    scope = arguments.get("scope", "actor")
    if scope not in SCOPES:
        raise ToolError(f"scope must be one of {', '.join(SCOPES)}")
    return str(scope)


def _closed(required: list[str], properties: Json) -> Json:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
