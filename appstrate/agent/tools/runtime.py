"""Tools by which an agent tells the platform: its output, and lines for the log."""

import importlib
from collections.abc import Callable
from typing import Any

from appstrate.agent.models.turn import Json, Tool, ToolError
from appstrate.agent.sink import Sink
from appstrate.agent.tools.memory import check_closed

ANY_OBJECT: Json = {"type": "object"}
LEVELS = ("info", "warn", "error")


class Output:
    """The tool `output`: the first call that fits the schema ends the run."""

    def __init__(self, schema: Json | None, sink: Sink) -> None:
        self._sink = sink
        self._problems = _checker(schema) if schema else None
        self.delivered = False
        self.data: Any = None
        purpose = "Deliver the result of the run. Call it once, as your last action."
        if schema is None:
            purpose += " Optional for this agent."
        self.tool = Tool(
            "output",
            purpose,
            {
                "type": "object",
                "properties": {"data": schema or ANY_OBJECT},
                "required": ["data"],
                "additionalProperties": False,
            },
            self._run,
        )

    async def _run(self, arguments: Json) -> str:
        check_closed(arguments, ("data",))
        data = arguments.get("data")
        problems = self._problems(data) if self._problems else []
        if self._problems is None and not isinstance(data, dict):
            problems = ["data must be an object"]
        if problems:
            told = "\n".join(problems[:20])
            raise ToolError(f"The output does not fit its schema. Mend it and call again:\n{told}")
        self.data, self.delivered = data, True
        self._sink.emit("output.emitted", {"data": data})
        return "Output recorded"


def log_tool(sink: Sink) -> Tool:
    """The tool `log`."""

    async def run(arguments: Json) -> str:
        check_closed(arguments, ("level", "message"))
        level, message = arguments.get("level"), arguments.get("message")
        if level not in LEVELS:
            raise ToolError(f"level must be one of {', '.join(LEVELS)}")
        if not isinstance(message, str):
            raise ToolError("message must be text")
        sink.emit("log.written", {"level": level, "message": message})
        return f"Logged [{level}]: {message}"

    return Tool(
        "log",
        "Write a line that whoever reads this run will see.",
        {
            "type": "object",
            "properties": {
                "level": {"type": "string", "enum": list(LEVELS)},
                "message": {"type": "string"},
            },
            "required": ["level", "message"],
            "additionalProperties": False,
        },
        run,
    )


def _checker(schema: Json) -> Callable[[Any], list[str]] | None:
    """What is wrong with an output. A schema that does not compile disables the check."""
    jsonschema = importlib.import_module("jsonschema_rs")  # 40 ms: only for those who need it
    try:
        validator = jsonschema.Draft202012Validator(
            schema, validate_formats=True, retriever=_refuse
        )
    except ValueError:
        return None

    def problems(data: Any) -> list[str]:
        found: dict[str, str] = {}
        for error in validator.iter_errors(data):
            path = "data" + "".join(f"[{part!r}]" for part in error.instance_path)
            found[path] = f"{found[path]}; {error.message}" if path in found else error.message
        return [f"{path}: {what}" for path, what in found.items()]

    return problems


def _refuse(uri: str) -> Any:
    raise ValueError(f"{uri} lies outside of the schema")
