"""Reading, writing and editing files in the workspace."""

import asyncio
from pathlib import Path
from typing import Any

from appstrate.agent.models.turn import Json, Tool, ToolError

LINES = 2000
BYTES = 256 * 1024


def file_tools(workspace: Path) -> list[Tool]:
    """The tools `read`, `write` and `edit`, rooted in a workspace."""
    files = _Files(workspace)
    path = {"type": "string", "description": "Path in the workspace"}
    return [
        Tool(
            "read",
            f"Read a text file. At most {LINES} lines at a time; use offset for the rest.",
            _object(
                ["path"],
                path=path,
                offset={"type": "integer", "description": "First line, counting from 1"},
                limit={"type": "integer", "description": "How many lines"},
            ),
            files.read,
        ),
        Tool(
            "write",
            "Write a text file, replacing what was there. Folders are made as needed.",
            _object(["path", "content"], path=path, content={"type": "string"}),
            files.write,
        ),
        Tool(
            "edit",
            "Replace a passage of a text file that occurs exactly once.",
            _object(
                ["path", "old_text", "new_text"],
                path=path,
                old_text={"type": "string"},
                new_text={"type": "string"},
            ),
            files.edit,
        ),
    ]


class _Files:
    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace.resolve()

    async def read(self, arguments: Json) -> str:
        path = self._path(arguments)
        offset = max(1, _integer(arguments, "offset", 1))
        limit = min(LINES, max(1, _integer(arguments, "limit", LINES)))
        return await asyncio.to_thread(_read, path, offset, limit)

    async def write(self, arguments: Json) -> str:
        path, content = self._path(arguments), _text(arguments, "content")
        await asyncio.to_thread(_write, path, content)
        return f"Wrote {len(content.encode())} bytes to {arguments['path']}"

    async def edit(self, arguments: Json) -> str:
        path = self._path(arguments)
        old, new = _text(arguments, "old_text"), _text(arguments, "new_text")
        await asyncio.to_thread(_edit, path, old, new)
        return f"Edited {arguments['path']}"

    def _path(self, arguments: Json) -> Path:
        path = (self._workspace / _text(arguments, "path")).resolve()
        if not path.is_relative_to(self._workspace):
            raise ToolError("this path is outside of the workspace")
        return path


def _read(path: Path, offset: int, limit: int) -> str:
    if not path.is_file():
        raise ToolError("there is no such file")
    chosen: list[str] = []
    size, total = 0, 0
    with path.open(encoding="utf-8", errors="replace") as file:
        for total, line in enumerate(file, start=1):
            if offset <= total < offset + limit and size < BYTES:
                chosen.append(line)
                size += len(line)
    text = "".join(chosen)[:BYTES]
    if offset + len(chosen) <= total:
        text += f"\n[{total} lines in all; go on with offset {offset + len(chosen)}]"
    return text


def _write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def _edit(path: Path, old: str, new: str) -> None:
    if not path.is_file():
        raise ToolError("there is no such file")
    text = path.read_text(encoding="utf-8")
    count = text.count(old) if old else 0
    if count != 1:
        raise ToolError(f"old_text occurs {count} times; it must occur exactly once")
    path.write_text(text.replace(old, new), encoding="utf-8")


def _text(arguments: Json, name: str) -> str:
    value = arguments.get(name)
    if not isinstance(value, str):
        raise ToolError(f"{name} must be text")
    return value


def _integer(arguments: Json, name: str, default: int) -> int:
    value = arguments.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def _object(required: list[str], **properties: Any) -> Json:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
