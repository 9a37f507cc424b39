"""A shell in the workspace."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from appstrate.agent.models.turn import Json, Tool, ToolError

DEFAULT_SECONDS = 120.0
KEPT = 50_000
SPILLED = 32 * 2**20
SPILL_FOLDER = "resources"
AFTER_EXIT = 0.2


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended and what it wrote; `code` is None when it was out of time."""

    code: int | None
    text: str


def shell_tool(workspace: Path) -> Tool:
    """The tool `bash`."""
    shell = shutil.which("bash") or "/bin/sh"
    count = 0

    async def run(arguments: Json) -> str:
        nonlocal count
        command, seconds = arguments.get("command"), arguments.get("timeout")
        if not isinstance(command, str):
            raise ToolError("command must be text")
        within = float(seconds) if isinstance(seconds, int | float) and seconds > 0 else None
        within = within or DEFAULT_SECONDS
        count += 1
        spill = workspace / SPILL_FOLDER / f"bash-{count}.log"
        ended = await carry_out([shell, "-c", command], workspace, within, spill)
        if ended.code is None:
            raise ToolError(f"{ended.text}\n[stopped after {within:g} s]")
        if ended.code:
            raise ToolError(f"{ended.text}\n[exit code {ended.code}]".lstrip())
        return ended.text or "[no output]"

    return Tool(
        "bash",
        "Run a shell command in the workspace. Answers what it wrote, at most the last "
        f"{KEPT // 1000} kB (all of it is kept in a file then), and its exit code when that is "
        "not 0.",
        {
            "type": "object",
            "properties": {
                "command": {"type": "string"},
                "timeout": {
                    "type": "number",
                    "description": f"Seconds; {DEFAULT_SECONDS:g} when left out",
                },
            },
            "required": ["command"],
            "additionalProperties": False,
        },
        run,
    )


async def carry_out(
    command: list[str], workspace: Path, within: float, spill: Path | None = None
) -> Ended:
    """Run a command to its end, or for `within` seconds; long output goes to `spill` too."""
    process = subprocess.Popen(  # noqa: ASYNC220 - a fork, not a wait
        command,
        cwd=workspace,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    output = _Tail(process.stdout.fileno(), spill)
    code: int | None = None
    try:
        code = await asyncio.wait_for(_exit(process), within)
        # Whatever the command left in the background may hold the pipe open for ever.
        await output.settle(AFTER_EXIT)
    except TimeoutError:
        pass
    finally:
        output.close()
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(1)
        process.stdout.close()
    return Ended(code, output.text(workspace))


async def _exit(process: subprocess.Popen[bytes]) -> int:
    """Wait for the command alone, not for what it started."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except (AttributeError, OSError):
        return await asyncio.to_thread(process.wait)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    return process.wait()


class _Tail:
    """The last of what arrives on a pipe, however much that is; the first of it in a file."""

    def __init__(self, descriptor: int, spill: Path | None) -> None:
        self._descriptor = descriptor
        self._kept = bytearray()
        self._dropped = 0
        self._spill = spill
        self._file: BinaryIO | None = None
        self._spilled = 0
        self._ended = asyncio.Event()
        os.set_blocking(descriptor, False)
        asyncio.get_running_loop().add_reader(descriptor, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._descriptor, 65_536)
        except BlockingIOError:
            return
        if not data:
            self.close()
            self._ended.set()
            return
        self._kept += data
        if self._file is not None:
            self._write(data)
        elif len(self._kept) > KEPT and self._spill is not None and not self._dropped:
            self._begin_file(self._spill)
        if len(self._kept) > 2 * KEPT:
            self._dropped += len(self._kept) - KEPT
            del self._kept[:-KEPT]

    def _begin_file(self, spill: Path) -> None:
        try:
            spill.parent.mkdir(exist_ok=True)
            self._file = spill.open("wb", buffering=0)
        except OSError:
            self._spill = None  # a full disk: the end of the output is what there is
        else:
            self._write(bytes(self._kept))

    def _write(self, data: bytes) -> None:
        assert self._file is not None
        room = SPILLED - self._spilled
        with contextlib.suppress(OSError):
            self._spilled += self._file.write(data[:room]) or 0

    async def settle(self, within: float) -> None:
        """Wait for the end of the pipe, but not long."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), within)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        if self._file is not None and not self._file.closed:
            self._file.close()

    def text(self, workspace: Path) -> str:
        dropped = self._dropped + max(0, len(self._kept) - KEPT)
        text = self._kept[-KEPT:].decode(errors="replace").rstrip("\n")
        if not dropped:
            return text
        note = f"[{dropped} bytes left out"
        if self._spill is not None and self._spilled:
            whole = self._spilled == len(self._kept) + self._dropped
            what = "all of it" if whole else f"the first {self._spilled} bytes"
            note += f"; {what}: {self._spill.relative_to(workspace)}"
        return f"{note}]\n{text}"
