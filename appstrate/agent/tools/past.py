"""Tools that look back: at earlier runs of the agent, and at the notes they took."""

import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlencode

from appstrate.agent.http import Connection, ConnectionLost
from appstrate.agent.models.turn import Json, Tool, ToolError
from appstrate.agent.settings import Settings
from appstrate.agent.sink import Sink
from appstrate.agent.tools.memory import check_closed

FIELDS = ("checkpoint", "result")
LONGEST_QUERY = 2000
LIMIT: Json = {"type": "integer", "minimum": 1, "maximum": 50, "default": 10}


def past_tools(settings: Settings, sink: Sink) -> list[Tool]:
    """The tools `run_history` and `recall_memory`; none where there is no platform to ask."""
    if not settings.platform_url:
        return []
    platform = Platform(settings)
    return [_history_tool(platform, sink), _recall_tool(platform, sink)]


class Platform:
    """What a run may read of the platform, with the token it has for its model."""

    def __init__(self, settings: Settings) -> None:
        self._connection = Connection(settings.platform_url)
        self._headers = {"Authorization": f"Bearer {settings.model_api_key}"}

    async def get(self, path: str, query: dict[str, str]) -> str:
        """The body of an answer. Raises `ToolError` when there is none, or it is a refusal."""
        target = f"{path}?{urlencode(query)}"
        try:
            response, body = await self._connection.request("GET", target, self._headers)
        except ConnectionLost as error:
            raise ToolError(f"the platform cannot be reached: {error}") from None
        text = body.decode(errors="replace")
        if response.status != 200:
            raise ToolError(f"the platform refused this: {response.status} {text[:500]}")
        return text


def _history_tool(platform: Platform, sink: Sink) -> Tool:
    async def run(arguments: Json) -> str:
        check_closed(arguments, ("limit", "fields"))
        query = {"limit": _limit(arguments)}
        fields = arguments.get("fields")
        if fields is not None:
            if not isinstance(fields, list) or any(each not in FIELDS for each in fields):
                raise ToolError(f"fields must be a list of {', '.join(FIELDS)}")
            query["fields"] = ",".join(fields)
        return await platform.get("/internal/run-history", query)

    purpose = (
        "The earlier runs of this agent that succeeded, the latest first, with the checkpoint they "
        "left and, if asked for, their result."
    )
    properties: Json = {
        "limit": LIMIT,
        "fields": {
            "type": "array",
            "items": {"type": "string", "enum": list(FIELDS)},
            "description": "What to tell of each run; by default its checkpoint",
        },
    }
    return Tool("run_history", purpose, _closed(properties), _told(sink, "run_history", run))


def _recall_tool(platform: Platform, sink: Sink) -> Tool:
    async def run(arguments: Json) -> str:
        check_closed(arguments, ("q", "limit"))
        query, text = {"limit": _limit(arguments)}, arguments.get("q")
        if text is not None:
            if not isinstance(text, str) or not 0 < len(text) <= LONGEST_QUERY:
                raise ToolError(f"q must be text of 1 to {LONGEST_QUERY} characters")
            query["q"] = text
        return await platform.get("/internal/memories", query)

    purpose = "Search the notes that earlier runs of this agent have taken, the latest first."
    properties: Json = {
        "q": {
            "type": "string",
            "minLength": 1,
            "maxLength": LONGEST_QUERY,
            "description": "Part of the note, in any case; without it every note is found",
        },
        "limit": LIMIT,
    }
    return Tool("recall_memory", purpose, _closed(properties), _told(sink, "recall_memory", run))


def _told(
    sink: Sink, name: str, run: Callable[[Json], Awaitable[str]]
) -> Callable[[Json], Awaitable[str]]:
    """The same, and the platform is told of each call and of its end."""

    async def telling(arguments: Json) -> str:
        sink.emit(f"{name}.called", {})
        began, failed = time.monotonic(), True
        try:
            answer = await run(arguments)
            failed = False
            return answer
        finally:
            took = int((time.monotonic() - began) * 1000)
            sink.emit(f"{name}.completed", {"durationMs": took, "isError": failed})

    return telling


def _limit(arguments: Json) -> str:
    limit = arguments.get("limit", 10)
    if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= 50:
        raise ToolError("limit must be a whole number from 1 to 50")
    return str(limit)


def _closed(properties: Json) -> Json:
    return {"type": "object", "properties": properties, "additionalProperties": False}
