"""What of this machine a run may see: the system's programs, its public settings, and Python."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

SYSTEM = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "nix/store", "gnu/store")
# Not all of /etc: services keep passwords there.
SETTINGS = (
    *("alternatives", "bash.bashrc", "ca-certificates", "ca-certificates.conf", "crypto-policies"),
    *("debian_version", "default/locale", "fonts", "gai.conf", "gitconfig", "group", "host.conf"),
    *("hosts", "inputrc", "java", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "locale.alias"),
    *("locale.conf", "localtime", "lsb-release", "magic", "manpath.config", "mime.types"),
    *("nsswitch.conf", "os-release", "passwd", "perl", "pki", "profile", "protocols", "python3"),
    *("resolv.conf", "services", "ssl", "terminfo", "timezone", "vimrc", "xdg"),
)
TEMPORARY = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - made private, or granted knowingly


def readable(program: Iterable[Path]) -> tuple[Path, ...]:
    """Every tree and file that runs may read, outermost only; `program` is what they execute."""
    wanted = [
        *(Path("/", name) for name in SYSTEM),
        *(Path("/etc", name) for name in SETTINGS),
        *(path for path in (Path(sys.prefix), Path(sys.base_prefix)) if not _holds_a_home(path)),
        *program,
    ]
    found: list[Path] = []
    for path in sorted({path.absolute() for path in wanted if path.exists()}, key=_depth):
        if not any(path.is_relative_to(outer) for outer in found):
            found.append(path)
    return tuple(found)


def ancestors(paths: Iterable[Path]) -> list[Path]:
    """The folders above some paths, outermost first, without the root."""
    above = {folder for path in paths for folder in path.parents if folder != Path("/")}
    return sorted(above, key=_depth)


def without(trees: Iterable[Path], hidden: Iterable[Path]) -> list[Path]:
    """The same trees with everything but what is `hidden`: those around it are taken apart."""
    left: list[Path] = []
    concealed = [Path(os.path.realpath(path)) for path in hidden]
    for tree in trees:
        real = Path(os.path.realpath(tree))
        if any(real.is_relative_to(path) for path in concealed):
            continue
        if real.is_dir() and any(path.is_relative_to(real) for path in concealed):
            left += without(sorted(real.iterdir()), concealed)
        else:
            left.append(tree)
    return left


def search_path(path: str, trees: Iterable[Path]) -> str:
    """The folders of a PATH that lie in `trees`, then the system's, and Python's own last."""
    seen = [Path(os.path.realpath(tree)) for tree in trees]
    given = [*path.split(os.pathsep), *os.defpath.split(os.pathsep)]
    folders = [*given, str(Path(os.path.realpath(sys.executable)).parent)]
    kept = [
        folder
        for folder in dict.fromkeys(folders)
        if folder and any(Path(os.path.realpath(folder)).is_relative_to(tree) for tree in seen)
    ]
    return os.pathsep.join(kept)


def _holds_a_home(path: Path) -> bool:
    return any(Path(home).is_relative_to(path) for home in (Path.home(), "/home", "/root"))


def _depth(path: Path) -> tuple[int, str]:
    return len(path.parts), str(path)
