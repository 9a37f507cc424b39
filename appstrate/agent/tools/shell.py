"""A shell in the workspace."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

from appstrate.agent.models.turn import Json, Tool, ToolError

DEFAULT_SECONDS = 120.0
KEPT = 50_000
AFTER_EXIT = 0.2


def shell_tool(workspace: Path) -> Tool:
    """The tool `bash`."""
    shell = shutil.which("bash") or "/bin/sh"

    async def run(arguments: Json) -> str:
        command, seconds = arguments.get("command"), arguments.get("timeout")
        if not isinstance(command, str):
            raise ToolError("command must be text")
        within = float(seconds) if isinstance(seconds, int | float) and seconds > 0 else None
        return await _run([shell, "-c", command], workspace, within or DEFAULT_SECONDS)

    return Tool(
        "bash",
        "Run a shell command in the workspace. Answers what it wrote, at most the last "
        f"{KEPT // 1000} kB, and its exit code when that is not 0.",
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


async def _run(command: list[str], workspace: Path, within: float) -> str:
    process = subprocess.Popen(  # noqa: ASYNC220 - a fork, not a wait
        command,
        cwd=workspace,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    output = _Tail(process.stdout.fileno())
    try:
        code = await asyncio.wait_for(_exit(process), within)
        # Whatever the command left in the background may hold the pipe open for ever.
        await output.settle(AFTER_EXIT)
    except TimeoutError:
        raise ToolError(f"{output.text()}\n[stopped after {within:g} s]") from None
    finally:
        output.close()
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(1)
        process.stdout.close()
    text = output.text()
    if code != 0:
        raise ToolError(f"{text}\n[exit code {code}]".lstrip())
    return text or "[no output]"


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
    """The last of what arrives on a pipe, however much that is."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._kept = bytearray()
        self._dropped = 0
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
        if len(self._kept) > 2 * KEPT:
            self._dropped += len(self._kept) - KEPT
            del self._kept[:-KEPT]

    async def settle(self, within: float) -> None:
        """Wait for the end of the pipe, but not long."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), within)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)

    def text(self) -> str:
        dropped = self._dropped + max(0, len(self._kept) - KEPT)
        text = self._kept[-KEPT:].decode(errors="replace").rstrip("\n")
        return f"[{dropped} bytes left out]\n{text}" if dropped else text
