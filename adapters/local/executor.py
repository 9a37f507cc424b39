"""Runs as processes of this machine."""

import asyncio
import contextlib
import fcntl
import importlib.util
import os
import secrets
import signal
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import msgspec
import structlog

from actors.sidecar_pool import Exit
from adapters.local.folders import remove_folder, remove_folders
from adapters.local.namespace import Namespace
from adapters.local.processes import (
    ZOMBIE,
    Process,
    adopted,
    end_user,
    environment_of,
    exited,
    folder_of,
    kill_tree,
    memory_kills,
    process_table,
    protect_server,
    reap,
)
from adapters.local.sandbox import Enclosure, Sandbox, no_sandbox, owner
from adapters.local.settings import LocalExecutorSettings

log = structlog.get_logger("executor")

POLITE_SECONDS = 2.0
TAIL_LINES = 200
LINE_LIMIT = 2000
PIPE_READ = 65_536
SWEEPS = 100
SERVER_MARK = "APPSTRATE_SERVER"
RUNS_MARK = "APPSTRATE_RUNS"
# Where an agent finds what it imports: it starts without a site, which is quicker.
LIBRARIES = sorted(
    {
        str(Path(spec.origin).parent.parent)
        for name in ("h11", "jsonschema_rs")
        if (spec := importlib.util.find_spec(name)) is not None and spec.origin
    }
)
PYTHON = os.path.realpath(sys.executable)
PASSED_ON = ("PATH", "LANG", "LANGUAGE", "LC_ALL", "TZ", "TERM", "SHELL", "USER", "LOGNAME")


class LocalExecutor:
    """Starts agent programs as processes, each in a session and a folder of its own.

    What a run starts is found again whatever it does: its agent adopts its orphans while it
    lives, this process adopts them when it is dead, and everything carries a mark in its
    environment for the next life of the server to find.
    """

    # Of every executor of this process: what none of them has started is what dead runs left.
    _alive: ClassVar[dict[int, "LocalSlot"]] = {}

    def __init__(
        self,
        settings: LocalExecutorSettings,
        instance: str,
        program: Path,
        *,
        sandbox: Callable[[], Awaitable[Sandbox]] = no_sandbox,
        ports: Sequence[int] = (),
    ) -> None:
        """`sandbox` is awaited by every slot, so that it may still be looked for; `ports` of this
        machine are all that runs may connect to, where that can be enforced.
        """
        self._root = settings.root.resolve() / instance
        self._program = program
        self._sandbox = sandbox
        self._ports = ports
        self._server_mark = f"{SERVER_MARK}={secrets.token_hex(16)}"
        # Inherited by everything this server starts on purpose, and by no run.
        os.environ[SERVER_MARK] = self._server_mark.partition("=")[2]
        protect_server()

    async def make(self) -> "LocalSlot":
        name = secrets.token_hex(8)
        folder = self._root / name
        workspace = folder / "workspace"
        await asyncio.to_thread(workspace.mkdir, parents=True, mode=0o700)
        sandbox = await self._sandbox()
        enclosure = await asyncio.to_thread(sandbox.enclose, folder, self._ports)
        path = sandbox.path(os.environ.get("PATH", os.defpath))
        environment = self._environment(name, path, workspace) | enclosure.environment
        slot = LocalSlot(name, folder, self, enclosure)
        try:
            slot.spawn(self._program, environment)
        except OSError:
            await slot.stop()
            raise
        self._alive[slot.pid] = slot
        return slot

    async def sweep(self) -> int:
        """End what carries our mark from an earlier life or stands in one of its folders, and
        remove those folders.

        Runs have no terminal, so whoever looks at a folder from one is left alone.
        """
        mark = f"\0{RUNS_MARK}={self._root}\0".encode()
        found = [
            process
            for process in process_table().values()
            if process.pid not in self._alive
            and (mark in environment_of(process.pid) or self._stands_in_a_run(process))
        ]
        kill_tree(found)
        live = {slot.name for slot in self._alive.values()}
        for user in self._left_users(live):
            await end_user(user)
        await asyncio.to_thread(remove_folders, self._root, live)
        return len(found)

    def _left_users(self, live: Container[str]) -> list[int]:
        """The users of an earlier life's runs: their workspaces tell."""
        if not self._root.is_dir():
            return []
        folders = [folder for folder in self._root.iterdir() if folder.name not in live]
        users = [owner(folder) for folder in folders]
        return [user for user in users if user is not None]

    def _stands_in_a_run(self, process: Process) -> bool:
        return not process.terminal and folder_of(process.pid).is_relative_to(self._root)

    async def bury(self, pid: int, enclosure: Enclosure, namespace: Namespace | None) -> None:
        """Forget a slot's process, and end everything it orphaned."""
        self._alive.pop(pid, None)
        if namespace is not None:
            if not await namespace.end():
                log.error("processes of a run could not be ended", pids=[pid])
            return
        if enclosure.user is not None:
            await end_user(enclosure.user)
        seen: set[int] = set()
        for _ in range(SWEEPS):
            left = adopted(self._alive, self._server_mark.encode())
            # A child somebody waits for is a zombie for a moment only; an orphan stays one.
            reap([p for p in left if p.state == ZOMBIE and p.pid in seen])
            living = [p for p in left if p.state != ZOMBIE]
            if not living and all(p.pid in seen for p in left):
                return
            kill_tree(living)
            seen = {p.pid for p in left}
            await asyncio.sleep(0.005)
        log.error("processes of a run could not be ended", pids=sorted(seen))

    def _environment(self, name: str, path: str, workspace: Path) -> dict[str, str]:
        passed = {k: v for k, v in os.environ.items() if k in PASSED_ON}
        return passed | {
            "PATH": path,
            "HOME": str(workspace),
            "WORKSPACE_DIR": str(workspace),
            "APPSTRATE_SLOT": name,
            RUNS_MARK: str(self._root),
        }


class LocalSlot:
    """One agent process and its folder."""

    def __init__(
        self, name: str, folder: Path, executor: LocalExecutor, enclosure: Enclosure
    ) -> None:
        self.name = name
        self.pid = 0
        self._folder = folder
        self._executor = executor
        self._enclosure = enclosure
        self._namespace = Namespace() if enclosure.prefix else None
        self._stdin = -1
        self._output: _Tail | None = None
        self._exit: asyncio.Task[Exit] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._memory_kills = memory_kills()

    def spawn(self, program: Path, environment: Mapping[str, str]) -> None:
        """Start the program; it imports what it needs and waits on its standard input."""
        stdin, self._stdin = os.pipe()
        output, child_output = os.pipe()
        command = self._command([PYTHON, "-I", "-S", str(program), *LIBRARIES])
        try:
            # Not a fork of this large process, and no code of ours between fork and exec.
            self.pid = os.posix_spawn(
                command[0],
                command,
                dict(environment),
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, stdin, 0),
                    (os.POSIX_SPAWN_DUP2, child_output, 1),
                    (os.POSIX_SPAWN_DUP2, child_output, 2),
                ],
                setsid=sys.platform == "linux",
                setsigdef=(signal.SIGPIPE,),
            )
        except OSError:
            os.close(output)
            raise
        finally:
            os.close(stdin)
            os.close(child_output)
            if self._namespace is not None:
                self._namespace.started()
        self._output = _Tail(output)
        self._exit = asyncio.create_task(self._await_exit())

    def _command(self, program: list[str]) -> list[str]:
        if self._namespace is None:
            return program
        return self._namespace.command(self._enclosure.prefix, program)

    async def assign(self, environment: Mapping[str, str]) -> None:
        line = msgspec.json.encode(environment) + b"\n"
        await asyncio.to_thread(self._write, line)

    async def wait(self) -> Exit:
        assert self._exit is not None
        return await asyncio.shield(self._exit)

    async def stop(self) -> None:
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop())
        await asyncio.shield(self._stopping)

    async def _stop(self) -> None:
        self._close_stdin()
        if self._exit is not None:
            await self._end_process(self._exit)
        await asyncio.to_thread(remove_folder, self._folder)

    async def _end_process(self, ending: asyncio.Task[Exit]) -> None:
        if not ending.done():
            self._signal(signal.SIGTERM)
            await asyncio.wait((ending,), timeout=POLITE_SECONDS)
        if not ending.done():
            self._signal(signal.SIGKILL)
            await asyncio.wait((ending,), timeout=POLITE_SECONDS)
        if sys.platform == "linux":
            await self._executor.bury(self.pid, self._enclosure, self._namespace)
        else:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        if self._output is not None:
            self._output.close()

    def _signal(self, number: signal.Signals) -> None:
        if self._namespace is not None:
            if number == signal.SIGKILL:
                self._namespace.kill()
            else:
                self._namespace.signal(number)
                return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    async def _await_exit(self) -> Exit:
        status = await exited(self.pid)
        assert self._output is not None
        tail = self._output.finish()
        if os.WIFSIGNALED(status) or (self._namespace and _told_signal(status)):
            number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else _told_signal(status)
            starved = number == signal.SIGKILL and memory_kills() > self._memory_kills
            return Exit(signal=number, out_of_memory=starved, tail=tail)
        return Exit(code=os.waitstatus_to_exitcode(status), tail=tail)

    def _write(self, line: bytes) -> None:
        stdin, self._stdin = self._stdin, -1
        # A program that has ended already cannot read; `wait` tells how it ended.
        with contextlib.suppress(BrokenPipeError), os.fdopen(stdin, "wb") as file:
            file.write(line)

    def _close_stdin(self) -> None:
        if self._stdin >= 0:
            os.close(self._stdin)
            self._stdin = -1


class _Tail:
    """The last lines that arrive on a pipe. However much comes, little is kept."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lines: deque[str] = deque(maxlen=TAIL_LINES)
        self._partial = b""
        os.set_blocking(descriptor, False)
        with contextlib.suppress(OSError, AttributeError):  # fewer wake-ups for a chatty program
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, 1 << 20)
        asyncio.get_running_loop().add_reader(descriptor, self._read)

    def finish(self) -> list[str]:
        """What is kept, with what is still in the pipe."""
        while self._descriptor >= 0 and self._read():
            pass
        self.close()
        if self._partial:
            self._keep(self._partial)
            self._partial = b""
        return list(self._lines)

    def close(self) -> None:
        """Stop reading."""
        if self._descriptor >= 0:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _read(self) -> bool:
        try:
            data = os.read(self._descriptor, PIPE_READ)
        except BlockingIOError:
            return False
        if not data:
            self.close()
            return False
        *lines, self._partial = (self._partial + data).split(b"\n")
        self._partial = self._partial[-LINE_LIMIT:]
        for line in lines[-TAIL_LINES:]:
            self._keep(line)
        return True

    def _keep(self, line: bytes) -> None:
        self._lines.append(line[:LINE_LIMIT].decode(errors="replace").rstrip("\r"))


def _told_signal(status: int) -> int:
    """The signal that ended a program, as bubblewrap and shells tell it; 0 for none."""
    number = os.waitstatus_to_exitcode(status) - 128
    return number if number in set(signal.Signals) else 0
