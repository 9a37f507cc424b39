import os
import time
from pathlib import Path
from typing import Any

import pytest

from appstrate.agent.models.turn import ToolError
from appstrate.agent.tools.search import search_tools


async def call(workspace: Path, name: str, **arguments: Any) -> str:
    tools = {tool.name: tool for tool in search_tools(workspace)}
    return str(await tools[name].run(arguments))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for path, text in {
        "a.py": "import os\nprint('Hello')\n",
        "docs/b.md": "hello (again)\n",
        "docs/deep/c.py": "x = 1\n",
        ".git/config": "hello\n",
        "node_modules/d.py": "hello\n",
        "name with [brackets].txt": "hello\n",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    (tmp_path / "binary").write_bytes(b"hello\0hello")
    return tmp_path


async def test_words_are_found_with_their_place(tree: Path) -> None:
    assert await call(tree, "grep", pattern="[Hh]ello") == (
        "a.py:2:print('Hello')\nname with [brackets].txt:1:hello\ndocs/b.md:1:hello (again)"
    )
    assert await call(tree, "grep", pattern="HELLO", ignore_case=True, glob="*.md") == (
        "docs/b.md:1:hello (again)"
    )
    assert await call(tree, "grep", pattern="(again)", literal=True, path="docs") == (
        "docs/b.md:1:hello (again)"
    )
    assert await call(tree, "grep", pattern="x", path="docs/deep/c.py") == "docs/deep/c.py:1:x = 1"
    assert await call(tree, "grep", pattern="nowhere") == "[nothing found]"


async def test_files_are_found_by_name(tree: Path) -> None:
    assert await call(tree, "find", pattern="*.py") == "a.py\ndocs/deep/c.py"
    assert await call(tree, "find", pattern="docs/**/*.py") == "docs/deep/c.py"
    assert await call(tree, "find", pattern="*.py", path="docs") == "docs/deep/c.py"
    assert await call(tree, "find", pattern="*[brackets]*") == "name with [brackets].txt"
    assert await call(tree, "find", pattern="docs/*.py") == "[nothing found]"


async def test_a_folder_is_listed(tree: Path) -> None:
    (tree / "way").symlink_to("docs")

    assert await call(tree, "ls", path="docs") == "b.md (14 bytes)\ndeep/"
    assert "way -> docs" in await call(tree, "ls")
    (tree / "empty").mkdir()
    assert await call(tree, "ls", path="empty") == "[an empty folder]"


async def test_nothing_outside_of_the_workspace_is_seen(tmp_path: Path) -> None:
    workspace = tmp_path / "w"
    workspace.mkdir()
    (tmp_path / "secret").write_text("hello")
    (workspace / "link").symlink_to(tmp_path)
    (workspace / "file").symlink_to(tmp_path / "secret")
    for path in ("..", "/etc", "link", "file"):
        with pytest.raises(ToolError, match="outside of the workspace"):
            await call(workspace, "grep", pattern="hello", path=path)

    assert await call(workspace, "grep", pattern="hello") == "[nothing found]"
    assert await call(workspace, "find", pattern="*") == "[nothing found]"


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("grep", {"pattern": "("}, "no regular expression"),
        ("grep", {"pattern": 3}, "pattern must be text"),
        ("grep", {"pattern": "x" * 2000}, "at most 1000"),
        ("grep", {"pattern": "x", "path": "gone"}, "no such folder"),
        ("grep", {"pattern": "x", "path": 3}, "path must be text"),
        ("find", {}, "pattern must be text"),
        ("ls", {"path": "a.py"}, "this is a file"),
    ],
)
async def test_what_cannot_be_searched_is_told(
    tree: Path, name: str, arguments: dict[str, Any], words: str
) -> None:
    with pytest.raises(ToolError, match=words):
        await call(tree, name, **arguments)


async def test_answers_are_bounded(tmp_path: Path) -> None:
    for number in range(600):
        (tmp_path / f"{number:04}").write_text("x" * 5000 + "needle" + "x" * 5000 + "\nneedle\n")
    matches = await call(tmp_path, "grep", pattern="needle")
    listed = await call(tmp_path, "ls")

    assert matches.count("\n") == 100
    assert "more than 100: search more narrowly" in matches
    assert all(len(line) < 600 for line in matches.splitlines())
    assert "more than 500" in listed
    assert (await call(tmp_path, "find", pattern="*", limit=3)).count("\n") == 3


async def test_an_expression_that_takes_for_ever_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appstrate.agent.tools.search.SECONDS", 0.5)
    (tmp_path / "f").write_text("a" * 60 + "!")
    began = time.monotonic()
    with pytest.raises(ToolError, match="search more narrowly"):
        await call(tmp_path, "grep", pattern="(a+)+$")

    assert time.monotonic() - began < 5


async def test_names_that_are_no_utf8_are_shown(tmp_path: Path) -> None:
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))).write_text("x")

    assert "caf" in await call(tmp_path, "ls")
