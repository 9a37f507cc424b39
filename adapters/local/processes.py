"""Processes that are not ours to wait for by the usual means: found, killed, reaped."""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36
ZOMBIE = "Z"
ATTEMPTS = 20
KILL_ALL = """
import os, sys
user = int(sys.argv[1])
os.setgroups([])
os.setresgid(user, user, user)
os.setresuid(user, user, user)
try:
    os.kill(-1, 9)
except ProcessLookupError:
    pass
"""


@dataclass(frozen=True, slots=True)
class Process:
    """A line of the process table."""

    pid: int
    parent: int
    session: int
    state: str
    terminal: bool


def protect_server() -> None:
    """Adopt what dying runs leave behind, and let nobody read this process's memory.

    Without the second, a run's shell of the same user finds the server's secrets under /proc.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


async def exited(pid: int) -> int:
    """Wait for a child of this process, and for it alone; its status as `os.waitpid` has it."""
    if not hasattr(os, "pidfd_open"):
        _, status = await asyncio.to_thread(os.waitpid, pid, 0)
        return status
    loop = asyncio.get_running_loop()
    descriptor = os.pidfd_open(pid)
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    return _status(pid)


def _status(pid: int) -> int:
    """The status of a child that has ended."""
    _, status = os.waitpid(pid, 0)
    return status


def process_table() -> dict[int, Process]:
    """Every process of this machine, where there is a /proc."""
    table: dict[int, Process] = {}
    if sys.platform != "linux":
        return table
    for name in os.listdir("/proc"):  # noqa: PTH208 - names are all that is needed
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                fields = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
                pid = int(name)
                table[pid] = Process(
                    pid, int(fields[1]), int(fields[3]), fields[0], fields[4] != "0"
                )
    return table


def environment_of(pid: int) -> bytes:
    """The environment a process was started with; empty when it may not be read."""
    try:
        return b"\0" + Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def folder_of(pid: int) -> Path:
    """The working folder of a process; `/` when it may not be read."""
    try:
        return Path(f"/proc/{pid}/cwd").readlink()
    except OSError:
        return Path("/")


def memory_kills() -> int:
    """How many processes this machine has ended, since it started, because memory was short."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def adopted(own_children: Container[int], server_mark: bytes) -> list[Process]:
    """Children of this process that it did not start: what dead runs left.

    They lead or joined a session other than ours, are not among `own_children`, and do not carry
    the mark that everything started by this server inherits.
    """
    here, session = os.getpid(), os.getsid(0)
    return [
        process
        for process in process_table().values()
        if process.parent == here
        and process.session != session
        and process.pid not in own_children
        and (process.state == ZOMBIE or server_mark not in environment_of(process.pid))
    ]


def kill_tree(roots: list[Process]) -> None:
    """Kill processes and everything below them, but never this process or those it came from."""
    table = process_table()
    spared = _lineage(table)
    doomed, grew = {process.pid for process in roots} - spared, True
    while grew:
        more = {p.pid for p in table.values() if p.parent in doomed} - doomed - spared
        doomed |= more
        grew = bool(more)
    for pid in doomed:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def _lineage(table: dict[int, Process]) -> set[int]:
    """This process, its parent, and so on."""
    pid, lineage = os.getpid(), set[int]()
    while pid in table and pid not in lineage:
        lineage.add(pid)
        pid = table[pid].parent
    return lineage


def reap(processes: list[Process]) -> None:
    """Bury children that have ended."""
    for process in processes:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(process.pid, os.WNOHANG)


async def end_user(user: int) -> None:
    """Kill every process of a user that only a run has, however fast it makes new ones.

    Only root can. A process of that user itself does it: the kernel then spares none of them.
    """
    for _ in range(ATTEMPTS):
        if not await asyncio.to_thread(_has_processes, user):
            return
        command = [sys.executable, "-I", "-S", "-c", KILL_ALL, str(user)]
        killer = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.DEVNULL)
        await killer.wait()


def _has_processes(user: int) -> bool:
    for process in process_table().values():
        with contextlib.suppress(OSError, ValueError, IndexError):
            if process.state != ZOMBIE:
                lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
                real = next(line for line in lines if line.startswith("Uid:")).split()[1]
                if int(real) == user:
                    return True
    return False
