"""The walls around a run's processes, as far as this host allows them.

What is decided here is decided once, at boot, by `adapters.local.trial`; a `Sandbox` then encloses
one program after another in the same way. Three things make the walls: bubblewrap, for a view of
the machine of their own; another user for each run, when the server is root; and what the program
gives up in its first statements, told by APPSTRATE_WALLS (Landlock and limits).
"""

import itertools
import json
import os
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from adapters.local.layout import TEMPORARY, ancestors, search_path, without

TOLD = "APPSTRATE_WALLS"
PROCESSES = 512
FILE_BYTES = 8 << 30
# Used by nobody, and a range that also exists where a container has 65,536 users only.
MANY_USERS = range(1_900_000_000, 2_000_000_000)
FEW_USERS = range(62_000, 65_000)


def available_users() -> range:
    """The range of users this process can give to runs; a container may have few."""
    try:
        lines = Path("/proc/self/uid_map").read_text().splitlines()
    except OSError:
        return FEW_USERS
    mapped = [range(int(a), int(a) + int(n)) for a, _, n in (line.split() for line in lines)]
    whole = [r for r in mapped if MANY_USERS[0] in r and MANY_USERS[-1] in r]
    return MANY_USERS if whole else FEW_USERS


def new_users() -> Iterator[int]:
    """Users in order from a random one, so that two servers do not share one."""
    users = available_users()
    first = random.randrange(len(users))  # noqa: S311 - no secret
    return (users[number % len(users)] for number in itertools.count(first))


@dataclass(frozen=True, slots=True, kw_only=True)
class Enclosure:
    """How one program is started: what stands before its command, what is added to its
    environment, and the user it becomes, if another.
    """

    prefix: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    user: int | None = None


@dataclass(frozen=True, kw_only=True)
class Sandbox:
    """Which walls there are. Without arguments: none, but for the limits of open files."""

    bubblewrap: str | None = None
    own_users: bool = False
    landlock: bool = False
    bounded: bool = False
    trees: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()
    users: Iterator[int] = field(default_factory=new_users)

    def enclose(self, folder: Path, ports: Sequence[int], *, trial: bool = False) -> Enclosure:
        """Prepare a slot's folder, in which `workspace` is, for a program that may connect to
        these ports of this machine.
        """
        workspace, temporary = folder / "workspace", folder / "tmp"
        temporary.mkdir(mode=0o700)
        user = next(self.users) if self.own_users else None
        if user is not None:
            for place in (workspace, temporary):
                os.chown(place, user, user)
            # Python may lie below it, and starts before it becomes that user.
            temporary.chmod(0o711)
        told = self._told(user, workspace, temporary, ports) | ({"trial": True} if trial else {})
        environment = {TOLD: json.dumps(told)} if told else {}
        if self.bubblewrap is None:
            return Enclosure(environment={"TMPDIR": str(temporary)} | environment, user=user)
        _write_names(folder, user if user is not None else os.getuid())
        environment |= {"USER": "agent", "LOGNAME": "agent", "TMPDIR": "/tmp"}  # noqa: S108 - private
        return Enclosure(prefix=self._prefix(folder), environment=environment, user=user)

    def path(self, given: str) -> str:
        """What is left of a PATH within the walls."""
        return search_path(given, self.trees) if self.trees else given

    def _told(
        self, user: int | None, workspace: Path, temporary: Path, ports: Sequence[int]
    ) -> dict[str, object]:
        """What the program has to give up by itself."""
        told: dict[str, object] = {}
        if user is not None:
            told["uid"] = user
        if user is not None or self.bubblewrap:
            told["hidden"] = True
        if self.bounded:
            told |= {"processes": PROCESSES, "file_bytes": FILE_BYTES}
        if self.landlock:
            files = self._files(workspace, temporary)
            told |= {"files": files, "ports": list(ports)}
        return told

    def _files(self, workspace: Path, temporary: Path) -> dict[str, str]:
        """For Landlock: paths, and what may be done beneath them."""
        if self.bubblewrap:
            read, write = [Path("/")], [Path("/dev"), Path("/proc"), Path("/tmp")]  # noqa: S108 - private
        else:
            read = [*without(self.trees, self.hidden), Path("/sys")]
            write = [Path("/dev"), Path("/proc"), temporary, *self._shared()]
        return {str(p): "read" for p in read} | {str(p): "write" for p in [*write, workspace]}

    def _shared(self) -> list[Path]:
        """Folders for temporary files of everybody, unless they lead to what is hidden."""
        return [place for place in TEMPORARY if without([place], self.hidden) == [place]]

    def _prefix(self, folder: Path) -> tuple[str, ...]:
        workspace = folder / "workspace"
        masked = [
            path
            for path in self.hidden
            if path.exists() and any(path.is_relative_to(tree) for tree in self.trees)
        ]
        return (
            *(str(self.bubblewrap), "--die-with-parent", "--new-session"),
            *("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"),
            *("--cap-drop", "ALL", *self._privileges()),
            *("--proc", "/proc", "--dev", "/dev", "--dir", "/var"),
            *(w for to in TEMPORARY for w in ("--bind", str(folder / "tmp"), str(to))),
            *self._system,
            *(word for path in masked for word in ("--tmpfs", str(path))),
            *_folders(ancestors([workspace])),
            *("--ro-bind", str(folder / "passwd"), "/etc/passwd"),
            *("--ro-bind", str(folder / "group"), "/etc/group"),
            *("--dir", "/run"),
            *("--bind", str(workspace), str(workspace)),
            # Another user's folder is closed to the root that has given its powers up.
            *("--chdir", "/" if self.own_users else str(workspace)),
            *("--remount-ro", "/"),
        )

    @cached_property
    def _system(self) -> tuple[str, ...]:
        """What every run sees of this machine."""
        shown = (word for tree in self.trees for word in _shown(tree))
        return (*_folders(ancestors(self.trees)), *shown)

    def _privileges(self) -> tuple[str, ...]:
        """What the program needs to become another user; else a user namespace, and nothing."""
        if self.own_users:
            return ("--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID")
        return ("--unshare-user",)


async def no_sandbox() -> Sandbox:
    """No walls."""
    return Sandbox()


def owner(folder: Path) -> int | None:
    """The user that the run of a slot's folder had to itself; None for the server's own."""
    try:
        user = (folder / "workspace").lstat().st_uid
    except OSError:
        return None
    given = os.geteuid() == 0 and user != os.getuid() and user in available_users()
    return user if given else None


def _folders(paths: Iterable[Path]) -> Iterable[str]:
    """Folders that anybody may enter; those bubblewrap makes by itself may be closed."""
    return (w for path in paths if path not in TEMPORARY for w in ("--dir", str(path)))


def _shown(tree: Path) -> Iterable[str]:
    if tree.is_symlink() and len(tree.parts) == 2:
        return ("--symlink", os.readlink(tree), str(tree))  # noqa: PTH115 - as it is written
    return ("--ro-bind", str(tree), str(tree))


def _write_names(folder: Path, user: int) -> None:
    """What the system calls its users, as a run may know it."""
    agent = f"agent:x:{user}:{user}:agent:{folder / 'workspace'}:/bin/bash"
    names = {
        "passwd": f"root:x:0:0:root:/:/bin/sh\n{agent}\nnobody:x:65534:65534::/:/bin/false\n",
        "group": f"root:x:0:\nagent:x:{user}:\nnogroup:x:65534:\n",
    }
    for name, text in names.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o644)
