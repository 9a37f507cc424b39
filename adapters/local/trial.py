"""Finds out at boot which walls this host allows: by raising them around the agent's own program.

The program answers what stands, so nothing is believed that was not seen. Each attempt does
without what the one before needed.
"""

import compileall
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from actors.sidecar_pool import Wall
from adapters.local.folders import remove_folder
from adapters.local.layout import readable
from adapters.local.namespace import Namespace
from adapters.local.sandbox import FILE_BYTES, PROCESSES, Enclosure, Sandbox
from adapters.local.settings import LocalExecutorSettings

TRIAL_SECONDS = 20
LANDLOCK_TCP = 4
LANDLOCK_SCOPES = 6
# From here on the number of processes is counted in each user namespace by itself.
COUNTED_APART = (5, 14)


class SandboxError(RuntimeError):
    """A wall that is required does not stand; the message names it and what would raise it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a host allows: a sandbox that works, and its walls one by one."""

    sandbox: Sandbox
    walls: tuple[Wall, ...]


@dataclass(frozen=True, slots=True)
class _Attempt:
    sandbox: Sandbox
    answer: dict[str, Any] | None
    problem: str


def find_sandbox(
    settings: LocalExecutorSettings, program: Path, libraries: Iterable[str], parts: Iterable[Path]
) -> Found:
    """Try what this host allows. `parts` are the files and folders the program consists of.

    The program is compiled on the way. Raises `SandboxError` when a wall is required that does
    not stand.
    """
    _compile(parts := tuple(parts))
    if settings.sandbox == "off":
        return Found(sandbox=Sandbox(), walls=_no_walls("RUN_SANDBOX is off", "set it to auto"))
    if sys.platform != "linux":
        return Found(sandbox=Sandbox(), walls=_required(settings, _no_walls("needs Linux", "")))
    trees = readable([*parts, *map(Path, libraries)])
    command = [os.path.realpath(sys.executable), "-I", "-S", str(program), *libraries]
    attempts: list[_Attempt] = []
    for candidate in _candidates(trees, settings.hidden):
        attempts.append(_attempt(candidate, settings.root, command))
        if attempts[-1].answer is not None:
            break
    found, walls = attempts[-1], _walls(attempts)
    if not (found.answer or {}).get("landlock"):
        sandbox = replace(found.sandbox, landlock=False)
        sandbox = sandbox if sandbox.bubblewrap else replace(sandbox, trees=())
        return Found(sandbox=sandbox, walls=_required(settings, walls))
    return Found(sandbox=found.sandbox, walls=_required(settings, walls))


def _compile(parts: Iterable[Path]) -> None:
    """Once for all runs: within its walls a program cannot keep what Python compiles, and would
    compile itself anew each time. Where this place may not be written to either, so be it.
    """
    for part in parts:
        if part.is_dir():
            compileall.compile_dir(part, quiet=2)
        else:
            compileall.compile_file(part, quiet=2)


def _candidates(trees: tuple[Path, ...], hidden: tuple[Path, ...]) -> list[Sandbox]:
    """What to try, from the most to the least.

    The number of processes is bounded only where a run's are counted apart from everybody's.
    """
    plain = Sandbox(landlock=True, trees=trees, hidden=hidden)
    others = replace(plain, own_users=True, bounded=True)
    ways = [others, plain] if os.geteuid() == 0 else [plain]
    if bubblewrap := shutil.which("bwrap"):
        apart = replace(plain, bubblewrap=bubblewrap, bounded=_counted_apart())
        ways = [replace(others, bubblewrap=bubblewrap)] * (os.geteuid() == 0) + [apart, *ways]
    return [*ways, Sandbox()]


def _counted_apart() -> bool:
    release = os.uname().release.split(".")
    return tuple(int("".join(filter(str.isdigit, part)) or 0) for part in release[:2]) >= (
        COUNTED_APART
    )


def _attempt(sandbox: Sandbox, root: Path, command: list[str]) -> _Attempt:
    """Start the program within a sandbox and hear what it says stands."""
    if sandbox == Sandbox(users=sandbox.users):
        return _Attempt(sandbox, {}, "")
    place = root if root.is_dir() else Path(tempfile.gettempdir())
    folder = place.resolve() / f".trial-{secrets.token_hex(8)}"
    try:
        (folder / "workspace").mkdir(parents=True, mode=0o700)
        ran = _start(sandbox.enclose(folder, [], trial=True), str(folder / "workspace"), command)
        if ran.returncode == 0:
            return _Attempt(sandbox, json.loads(ran.stdout), "")
        said = ran.stderr.strip().splitlines() or [f"exit code {ran.returncode}"]
        return _Attempt(sandbox, None, said[-1][:300])
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return _Attempt(sandbox, None, str(error))
    finally:
        remove_folder(folder)


def _start(
    enclosure: Enclosure, workspace: str, command: list[str]
) -> subprocess.CompletedProcess[str]:
    namespace = Namespace() if enclosure.prefix else None
    try:
        return subprocess.run(
            namespace.command(enclosure.prefix, command) if namespace else command,
            env={"WORKSPACE_DIR": workspace, "HOME": workspace} | enclosure.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TRIAL_SECONDS,
            check=False,
            start_new_session=True,
            pass_fds=(namespace.writing,) if namespace else (),
        )
    finally:
        if namespace is not None:
            namespace.started()
            namespace.bury()


def _required(settings: LocalExecutorSettings, walls: tuple[Wall, ...]) -> tuple[Wall, ...]:
    """The walls, unless one is required and missing. A user of its own only root can give."""
    missing = [w for w in walls if not w.up and (w.name != "user" or os.geteuid() == 0)]
    if settings.sandbox == "required" and missing:
        told = "; ".join(f"{w.name}: {w.how}" + f" ({w.remedy})" * bool(w.remedy) for w in missing)
        raise SandboxError(f"RUN_SANDBOX is required, and these walls are missing: {told}")
    return walls


def _no_walls(why: str, remedy: str) -> tuple[Wall, ...]:
    names = ("files", "processes", "tcp", "limits", "user")
    return tuple(Wall(name=name, up=False, how=why, remedy=remedy) for name in names)


def _walls(attempts: list[_Attempt]) -> tuple[Wall, ...]:
    last = attempts[-1]
    sandbox, abi = last.sandbox, int((last.answer or {}).get("landlock", 0))
    bubblewrap = _about_bubblewrap(attempts)
    return (
        _files(sandbox, abi, bubblewrap),
        _processes(sandbox, bubblewrap),
        _tcp(abi),
        _limits(sandbox, bubblewrap),
        _user(attempts),
    )


def _about_bubblewrap(attempts: list[_Attempt]) -> str:
    """What to do to have bubblewrap; empty when it works."""
    tried = [a for a in attempts if a.sandbox.bubblewrap]
    if not tried:
        return "install bubblewrap (apt-get install bubblewrap, dnf install bubblewrap)"
    if tried[-1].answer is not None:
        return ""
    problem = tried[-1].problem
    for setting, value, what in (
        ("kernel/unprivileged_userns_clone", "0", "sysctl kernel.unprivileged_userns_clone=1"),
        ("user/max_user_namespaces", "0", "sysctl user.max_user_namespaces=10000"),
        (
            "kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "sysctl kernel.apparmor_restrict_unprivileged_userns=0, or a profile for bwrap",
        ),
    ):
        path = Path("/proc/sys", setting)
        if path.exists() and path.read_text().strip() == value and os.geteuid() != 0:
            return f"let bubblewrap make namespaces: {what} (it says: {problem})"
    return f"let bubblewrap make namespaces, which this host or container forbids: {problem}"


def _files(sandbox: Sandbox, abi: int, bubblewrap: str) -> Wall:
    if sandbox.bubblewrap:
        how = "bubblewrap: the system read-only, a workspace and a /tmp of its own, nothing else"
        how += f"; Landlock ABI {abi}" if abi else ""
        return Wall(name="files", up=True, how=how)
    if abi:
        how = (
            f"Landlock ABI {abi}: the system read-only, a workspace of its own, temporary files of "
            "everybody; names of other files can be seen, sockets among them connected to"
        )
        return Wall(name="files", up=True, how=how, remedy=bubblewrap)
    how = "what the user of the server may read, runs may read"
    if sandbox.own_users:
        how = "what everybody on this machine may read, runs may read"
    return Wall(name="files", up=False, how=how, remedy=bubblewrap)


def _processes(sandbox: Sandbox, bubblewrap: str) -> Wall:
    if sandbox.bubblewrap:
        how = "a process namespace: sees its own only, and none outlives the run"
        return Wall(name="processes", up=True, how=how)
    if sandbox.own_users:
        how = "another user: sees others, can harm none, and none outlives the run"
        return Wall(name="processes", up=True, how=how, remedy=bubblewrap)
    how = "runs see the processes of this machine, and can harm those of the server's user"
    return Wall(name="processes", up=False, how=how, remedy=bubblewrap)


def _tcp(abi: int) -> Wall:
    if abi >= LANDLOCK_TCP:
        how = f"Landlock ABI {abi}: connects to the ports of the platform only, and through its "
        return Wall(name="tcp", up=True, how=how + "forward proxy to the internet; UDP is open")
    how = "runs may connect to whatever this machine may"
    remedy = "Linux 6.7 or newer, with landlock among its security modules (lsm=landlock,…)"
    return Wall(name="tcp", up=False, how=how, remedy=remedy)


def _limits(sandbox: Sandbox, bubblewrap: str) -> Wall:
    files = f"1024 open files, files of at most {FILE_BYTES >> 30} GiB, no core dumps"
    if sandbox.bounded:
        how = f"{PROCESSES} processes, {files}; memory and processor time are not limited"
        return Wall(name="limits", up=True, how=how)
    remedy = bubblewrap or f"Linux {COUNTED_APART[0]}.{COUNTED_APART[1]} or newer"
    how = "1024 open files, no core dumps; the number of processes is not limited"
    return Wall(name="limits", up=False, how=how, remedy=remedy)


def _user(attempts: list[_Attempt]) -> Wall:
    if attempts[-1].sandbox.own_users:
        return Wall(name="user", up=True, how="every run is another user than the server's")
    tried = [a for a in attempts if a.sandbox.own_users]
    if not tried:
        how = "runs are the server's user, who is not root"
        remedy = "only a server that runs as root can give each run another user"
        return Wall(name="user", up=False, how=how, remedy=remedy)
    how = f"runs are root like the server, for another user does not work here: {tried[-1].problem}"
    remedy = (
        "put Python, the program and DATA_DIR where every user may enter, or install bubblewrap"
    )
    return Wall(name="user", up=False, how=how, remedy=remedy)
