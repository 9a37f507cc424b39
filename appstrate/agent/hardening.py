"""The first statements of an agent process: die with the server, keep every descendant in reach,
and give up what a run has no business with.

What to give up is told by APPSTRATE_WALLS, a JSON object: `uid` to become, `files` and `ports` for
Landlock, `processes` and `file_bytes` as limits, `hidden` to keep this process's memory to itself.
"""

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
from typing import Any

from appstrate.agent.landlock import restrict

WALLS = "APPSTRATE_WALLS"
PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36
OPEN_FILES = 1024


def harden() -> dict[str, Any]:
    """Lead a session of our own, end when the server ends, adopt what our children orphan, and
    raise the walls that were told. Raises `OSError` when one cannot be raised.

    Returns what was told, with `landlock`, the ABI in force.
    """
    walls: dict[str, Any] = json.loads(os.environ.pop(WALLS, "{}"))
    os.umask(0o077)
    with contextlib.suppress(PermissionError):  # already the leader of a session
        os.setsid()
    parent = os.getppid()
    if "uid" in walls:
        _become(walls["uid"])
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        # After the change of user, which clears it.
        libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        if walls.get("hidden"):
            libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit("the server is gone")
    _limit(resource.RLIMIT_NOFILE, OPEN_FILES)
    _limit(resource.RLIMIT_CORE, 0)
    if "processes" in walls:
        _limit(resource.RLIMIT_NPROC, walls["processes"])
    if "file_bytes" in walls:
        _limit(resource.RLIMIT_FSIZE, walls["file_bytes"])
    if "files" in walls:
        walls["landlock"] = restrict(walls["files"], walls.get("ports"))
    return walls


def _become(uid: int) -> None:
    """Leave root behind for good: another user, its group and no other."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def _limit(which: int, value: int) -> None:
    _, most = resource.getrlimit(which)
    if most == resource.RLIM_INFINITY or most > value:
        resource.setrlimit(which, (value, value))


def kill_descendants() -> None:
    """Kill everything this process ever started, however it tried to get away."""
    for _ in range(50):
        left = _descendants()
        if not left:
            return
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _descendants() -> list[int]:
    """Living processes below this one; orphans of its children are its children (a subreaper)."""
    if sys.platform != "linux":
        return []
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - names are all that is needed
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError):
                with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123 - pathlib is slow
                    state, parent = file.read().rpartition(b")")[2].split()[:2]
                if state != b"Z":
                    parents[int(name)] = int(parent)
    found, grew = {os.getpid()}, True
    while grew:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        found |= more
        grew = bool(more)
    return sorted(found - {os.getpid()})
