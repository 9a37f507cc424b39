import contextlib
import os
import time
from pathlib import Path
from typing import Any

import pytest

from appstrate.agent.models.turn import ToolError
from appstrate.agent.tools.files import file_tools
from appstrate.agent.tools.runtime import Output, log_tool
from appstrate.agent.tools.shell import shell_tool
from support.waiting import alive, eventually


class Recorded:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def emit(self, kind: str, data: dict[str, Any]) -> None:
        self.events.append((kind, data))


async def call(workspace: Path, name: str, **arguments: Any) -> str:
    tools = {t.name: t for t in [*file_tools(workspace), shell_tool(workspace)]}
    answer = await tools[name].run(arguments)
    assert isinstance(answer, str)
    return answer


async def test_files_are_written_read_and_edited(tmp_path: Path) -> None:
    await call(tmp_path, "write", path="a/b.txt", content="one\ntwo\nthree\n")
    assert await call(tmp_path, "read", path="a/b.txt") == "one\ntwo\nthree\n"
    await call(tmp_path, "edit", path="a/b.txt", old_text="two", new_text="2")

    assert (tmp_path / "a/b.txt").read_text() == "one\n2\nthree\n"
    part = await call(tmp_path, "read", path="a/b.txt", offset=2, limit=1)
    assert part == "2\n\n[3 lines in all; go on with offset 3]"


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "a/../../x", "link/x"])
async def test_nothing_outside_of_the_workspace_is_touched(tmp_path: Path, path: str) -> None:
    workspace = tmp_path / "w"
    workspace.mkdir()
    (workspace / "link").symlink_to(tmp_path)
    for name, more in (("read", {}), ("write", {"content": "x"})):
        with pytest.raises(ToolError, match="outside of the workspace"):
            await call(workspace, name, path=path, **more)


async def test_an_edit_must_be_certain(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("a a")
    for old in ("a", "b", ""):
        with pytest.raises(ToolError, match="exactly once"):
            await call(tmp_path, "edit", path="f", old_text=old, new_text="c")


async def test_missing_files_and_wrong_arguments_are_told(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="no such file"):
        await call(tmp_path, "read", path="missing")
    with pytest.raises(ToolError, match="path must be text"):
        await call(tmp_path, "read", path=3)
    with pytest.raises(ToolError, match="command must be text"):
        await call(tmp_path, "bash")


async def test_a_long_file_is_read_in_part(tmp_path: Path) -> None:
    (tmp_path / "long").write_text("".join(f"{n}\n" for n in range(5000)))
    text = await call(tmp_path, "read", path="long")

    assert text.count("\n") == 2001
    assert "[5000 lines in all; go on with offset 2001]" in text


async def test_a_command_answers_with_what_it_wrote(tmp_path: Path) -> None:
    assert await call(tmp_path, "bash", command="echo out; echo err >&2; pwd") == (
        f"out\nerr\n{tmp_path}"
    )
    assert await call(tmp_path, "bash", command="true") == "[no output]"


async def test_a_command_that_fails_says_how(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"oops\n\[exit code 3\]"):
        await call(tmp_path, "bash", command="echo oops; exit 3")


async def test_a_command_out_of_time_is_stopped_with_what_it_started(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(ToolError, match=r"begun\n\[stopped after 0.3 s\]"):
        await call(
            tmp_path, "bash", command="echo begun; sleep 600 & echo $! > pid; wait", timeout=0.3
        )

    assert time.monotonic() - began < 5
    await eventually(lambda: not alive(int((tmp_path / "pid").read_text())))


async def test_what_stays_in_the_background_does_not_hold_the_answer(tmp_path: Path) -> None:
    began = time.monotonic()
    answer = await call(tmp_path, "bash", command="sleep 600 & echo $! > pid; echo done")
    took = time.monotonic() - began
    with contextlib.suppress(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 9)

    assert answer == "done"
    assert took < 5


async def test_only_the_end_of_a_flood_is_kept(tmp_path: Path) -> None:
    answer = await call(
        tmp_path, "bash", command="head -c 30000000 /dev/zero | tr '\\0' x; echo; echo end"
    )

    assert len(answer) < 51_000
    assert answer.endswith("x\nend")
    assert "bytes left out" in answer


async def test_an_output_is_taken_once_it_fits() -> None:
    sink = Recorded()
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}},
        "required": ["n"],
    }
    output = Output(schema, sink)  # type: ignore[arg-type]
    refused: list[dict[str, Any]] = [{}, {"data": {}}, {"data": {"n": "x"}}, {"data": 3}]
    for wrong in refused:
        with pytest.raises(ToolError, match="does not fit"):
            await output.tool.run(wrong)
    assert not output.delivered
    await output.tool.run({"data": {"n": 1}})

    assert output.delivered
    assert sink.events == [("output.emitted", {"data": {"n": 1}})]


async def test_without_a_schema_any_object_is_an_output() -> None:
    output = Output(None, Recorded())  # type: ignore[arg-type]
    with pytest.raises(ToolError, match="must be an object"):
        await output.tool.run({"data": "text"})
    await output.tool.run({"data": {"free": "form"}})

    assert output.data == {"free": "form"}


async def test_a_line_for_the_log_has_a_level() -> None:
    sink = Recorded()
    tool = log_tool(sink)  # type: ignore[arg-type]
    assert await tool.run({"level": "warn", "message": "careful"}) == "Logged [warn]: careful"
    for wrong in ({"level": "loud", "message": "x"}, {"level": "info"}):
        with pytest.raises(ToolError):
            await tool.run(wrong)

    assert sink.events == [("log.written", {"level": "warn", "message": "careful"})]


async def test_a_line_without_end_is_read_in_part(tmp_path: Path) -> None:
    (tmp_path / "long").write_text("x" * 500_000)
    (tmp_path / "wide").write_text("short\n" + "y" * 500_000 + "\nend\n")
    text = await call(tmp_path, "read", path="long")
    wide = await call(tmp_path, "read", path="wide")
    rest = await call(tmp_path, "read", path="wide", offset=3)

    assert len(text) < 52_000
    assert "this line is longer" in text
    assert wide.startswith("short\n")
    assert "[3 lines in all; go on with offset 2]" in wide
    assert rest == "end\n"


async def test_what_is_no_text_is_not_read_as_text(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"ab\0cd")
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    (tmp_path / "cat.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    os.mkfifo(tmp_path / "pipe")
    for name, words in (
        ("binary", "a binary file of 5 bytes"),
        ("cat.png", "cannot see pictures"),
        ("pipe", "a device or a pipe"),
        (".", "a folder"),
        ("a\0b", "no NUL"),
    ):
        with pytest.raises(ToolError, match=words):
            await call(tmp_path, "read", path=name)
    with pytest.raises(ToolError, match="no text in UTF-8"):
        await call(tmp_path, "edit", path="latin", old_text="caf", new_text="x")

    assert await call(tmp_path, "read", path="latin") == "caf\ufffd"
    assert (tmp_path / "latin").read_bytes() == b"caf\xe9"


async def test_ends_of_lines_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "dos").write_bytes(b"one\r\ntwo\r\nthree\r\n")
    await call(tmp_path, "edit", path="dos", old_text="one\ntwo", new_text="1\n2")

    assert (tmp_path / "dos").read_bytes() == b"1\r\n2\r\nthree\r\n"


async def test_all_of_a_flood_is_kept_in_a_file(tmp_path: Path) -> None:
    answer = await call(tmp_path, "bash", command="seq 100000")
    kept = tmp_path / "resources" / "bash-1.log"

    assert "all of it: resources/bash-1.log]" in answer
    assert kept.read_text() == "".join(f"{n}\n" for n in range(1, 100_001))
    assert await call(tmp_path, "bash", command="echo short") == "short"
    assert len(list((tmp_path / "resources").iterdir())) == 1


async def test_lines_nobody_asked_for_are_not_counted_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appstrate.agent.tools.files.MOST_SCANNED", 1000)
    (tmp_path / "long").write_text("line\n" * 5000)
    text = await call(tmp_path, "read", path="long", limit=2)

    assert text == "line\nline\n\n[there are more lines; go on with offset 3]"
    assert (await call(tmp_path, "read", path="long", offset=4999)) == "line\nline\n"
