"""Looking around in the workspace: what is there, what is called so, what holds these words."""

import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from appstrate.agent.models.turn import Json, Tool, ToolError
from appstrate.agent.tools.files import schema_of
from appstrate.agent.tools.shell import carry_out

PROGRAM = Path(__file__).with_name("searching.py")
SECONDS = 30.0


def search_tools(workspace: Path) -> list[Tool]:
    """The tools `grep`, `find` and `ls`, rooted in a workspace. Links are named, not followed."""
    where = {"type": "string", "description": "Path in the workspace; all of it when left out"}
    limit = {"type": "integer", "description": "How many at most"}
    return [
        Tool(
            "grep",
            "Search the text of files for a regular expression (Python's). Answers path:line:text, "
            "at most 100 lines.",
            schema_of(
                ["pattern"],
                pattern={"type": "string"},
                path=where,
                glob={"type": "string", "description": "Only files whose name fits, like *.py"},
                ignore_case={"type": "boolean"},
                literal={"type": "boolean", "description": "The pattern is plain text"},
                limit=limit,
            ),
            _searching("grep", workspace),
        ),
        Tool(
            "find",
            "Find files by name: a pattern like *.csv, or with a slash, like src/**/*.py. "
            "At most 1000.",
            schema_of(["pattern"], pattern={"type": "string"}, path=where, limit=limit),
            _searching("find", workspace),
        ),
        Tool(
            "ls",
            "List a folder: names, folders with a slash, sizes. At most 500.",
            schema_of([], path=where, limit=limit),
            _searching("ls", workspace),
        ),
    ]


def _searching(kind: str, workspace: Path) -> Callable[[Json], Awaitable[str]]:
    async def run(arguments: Json) -> str:
        command = [sys.executable, "-I", "-S", str(PROGRAM), kind, json.dumps(arguments)]
        ended = await carry_out(command, workspace, SECONDS)
        if ended.code is None:
            raise ToolError(f"{ended.text}\n[stopped after {SECONDS:g} s: search more narrowly]")
        if ended.code:
            raise ToolError(ended.text)
        return ended.text

    return run
