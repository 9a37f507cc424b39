"""Reading, writing and editing files in the workspace."""

import asyncio
import base64
from pathlib import Path
from typing import Any

from appstrate.agent.models.turn import Image, Json, Seen, Tool, ToolError

LINES = 2000
BYTES = 50 * 1024
SNIFFED = 8192
MOST_SCANNED = 64 * 2**20
LARGEST_IMAGE = 4 * 2**20
LARGEST_EDIT = 16 * 2**20
PICTURES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}


def file_tools(workspace: Path, *, sees: bool = False) -> list[Tool]:
    """The tools `read`, `write` and `edit`, rooted in a workspace. `sees`: pictures are of use."""
    files = _Files(workspace, sees=sees)
    path = {"type": "string", "description": "Path in the workspace"}
    pictures = " A picture is shown." if sees else ""
    return [
        Tool(
            "read",
            f"Read a text file. At most {LINES} lines and {BYTES // 1024} kB at a time; use offset "
            f"for the rest.{pictures}",
            schema_of(
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
            schema_of(["path", "content"], path=path, content={"type": "string"}),
            files.write,
        ),
        Tool(
            "edit",
            "Replace a passage of a text file that occurs exactly once.",
            schema_of(
                ["path", "old_text", "new_text"],
                path=path,
                old_text={"type": "string"},
                new_text={"type": "string"},
            ),
            files.edit,
        ),
    ]


class _Files:
    def __init__(self, workspace: Path, *, sees: bool) -> None:
        self._workspace = workspace.resolve()
        self._sees = sees

    async def read(self, arguments: Json) -> str | Seen:
        path = self._path(arguments)
        offset = max(1, integer(arguments, "offset", 1))
        limit = min(LINES, max(1, integer(arguments, "limit", LINES)))
        return await asyncio.to_thread(_read, path, offset, limit, sees=self._sees)

    async def write(self, arguments: Json) -> str:
        path, content = self._path(arguments), text_of(arguments, "content")
        await asyncio.to_thread(_write, path, content)
        return f"Wrote {len(content.encode())} bytes to {arguments['path']}"

    async def edit(self, arguments: Json) -> str:
        path = self._path(arguments)
        old, new = text_of(arguments, "old_text"), text_of(arguments, "new_text")
        await asyncio.to_thread(_edit, path, old, new)
        return f"Edited {arguments['path']}"

    def _path(self, arguments: Json) -> Path:
        return inside(self._workspace, text_of(arguments, "path"))


def inside(workspace: Path, name: str) -> Path:
    """A place in the workspace, links followed; refuses what lies outside of it."""
    if "\0" in name:
        raise ToolError("a path has no NUL in it")
    path = (workspace / name).resolve()
    if not path.is_relative_to(workspace):
        raise ToolError("this path is outside of the workspace")
    return path


def text_of(arguments: Json, name: str) -> str:
    """An argument that must be text."""
    value = arguments.get(name)
    if not isinstance(value, str):
        raise ToolError(f"{name} must be text")
    return value


def integer(arguments: Json, name: str, default: int) -> int:
    """An argument that may be a number."""
    value = arguments.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def schema_of(required: list[str], **properties: Any) -> Json:
    """The schema of an object with these properties and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _read(path: Path, offset: int, limit: int, *, sees: bool) -> str | Seen:
    _check_file(path)
    with path.open("rb") as file:
        head = file.read(SNIFFED)
    mime = _picture(head)
    if mime is not None:
        return _show(path, mime, sees=sees)
    if b"\0" in head:
        raise ToolError(
            f"a binary file of {path.stat().st_size} bytes: look at it with a program, by bash"
        )
    return _read_text(path, offset, limit)


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise ToolError("this is a folder: look into it with ls")
    if not path.exists():
        raise ToolError("there is no such file")
    if not path.is_file():
        raise ToolError("this is a device or a pipe, no file")


def _picture(head: bytes) -> str | None:
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return next((mime for magic, mime in PICTURES.items() if head.startswith(magic)), None)


def _show(path: Path, mime: str, *, sees: bool) -> Seen:
    size = path.stat().st_size
    if not sees:
        raise ToolError(f"a picture ({mime}, {size} bytes): this model cannot see pictures")
    if size > LARGEST_IMAGE:
        raise ToolError(f"a picture of {size} bytes; at most {LARGEST_IMAGE}: make it smaller")
    data = base64.b64encode(path.read_bytes()).decode()
    return Seen(f"{path.name}: {mime}, {size} bytes", (Image(mime, data),))


def _read_text(path: Path, offset: int, limit: int) -> str:
    chosen: list[str] = []
    size = number = shown = 0
    fresh, full, scanned = True, False, 0
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        # In pieces: a line without end is never held as a whole.
        while piece := file.readline(BYTES):
            number += fresh
            fresh = piece.endswith("\n")
            scanned += len(piece)
            if scanned > MOST_SCANNED and (full or number >= offset + limit):
                break
            if full or not offset <= number < offset + limit:
                continue
            full = size + len(piece) > BYTES
            if not full or not chosen:
                chosen.append(piece)
                size, shown = size + len(piece), number
    text = "".join(chosen)
    if chosen and not text.endswith("\n") and (full or shown < number):
        text += "\n[this line is longer: read the rest of it by bash]"
    if chosen and shown < number:
        total = f"{number} lines in all" if scanned <= MOST_SCANNED else "there are more lines"
        text += f"\n[{total}; go on with offset {shown + 1}]"
    return text


def _write(path: Path, content: str) -> None:
    if path.is_dir():
        raise ToolError("this is a folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(content)


def _edit(path: Path, old: str, new: str) -> None:
    _check_file(path)
    if path.stat().st_size > LARGEST_EDIT:
        raise ToolError(f"files of more than {LARGEST_EDIT} bytes are edited by bash")
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError:
        raise ToolError("this is no text in UTF-8: change it with a program, by bash") from None
    if "\r\n" in text and old not in text:
        old, new = old.replace("\n", "\r\n"), new.replace("\n", "\r\n")
    count = text.count(old) if old else 0
    if count != 1:
        raise ToolError(f"old_text occurs {count} times; it must occur exactly once")
    _write(path, text.replace(old, new))
