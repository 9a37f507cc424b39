"""Building package archives from their sources."""

from pathlib import Path

from actors.packages.archive import write_archive
from actors.packages.content import ReadPackage, read_package
from actors.runtime import Refusal

LEFT_OUT = ("node_modules", "__pycache__")


class BuildError(Exception):
    """A source folder that makes no package; the message says which and why."""


def build(sources: Path, target: Path) -> list[Path]:
    """Build every folder of `sources` into an archive of its name; returns what has changed.

    The same sources give the same bytes. Archives without a source are left alone.
    """
    built = {f"{folder.name}.afps": _archive(folder) for folder in _folders(sources)}
    changed: list[Path] = []
    target.mkdir(parents=True, exist_ok=True)
    for name, content in built.items():
        path = target / name
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)
            changed.append(path)
    return changed


def differences(sources: Path, target: Path) -> list[str]:
    """What `build` would change: a sentence for each archive."""
    built = {f"{folder.name}.afps": _archive(folder) for folder in _folders(sources)}
    there = {path.name: path.read_bytes() for path in target.glob("*.afps")}
    told = [f"{name} is missing: build it" for name in sorted(built.keys() - there.keys())]
    told += [f"{name} has no source folder" for name in sorted(there.keys() - built.keys())]
    told += [
        f"{name} is not what its source makes: build it, and raise the version if it was released"
        for name in sorted(built.keys() & there.keys())
        if built[name] != there[name]
    ]
    return told


def _folders(sources: Path) -> list[Path]:
    if not sources.is_dir():
        raise BuildError(f"there is no folder {sources}")
    return sorted(folder for folder in sources.iterdir() if folder.is_dir())


def examine(path: Path) -> ReadPackage:
    """The package in a folder or an archive. Raises `BuildError` or a `Refusal` when it is bad."""
    return read_package(_packed(path) if path.is_dir() else path.read_bytes())


def _packed(folder: Path) -> bytes:
    files: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.is_symlink():
            raise BuildError(f"{path} is a symbolic link, which an archive cannot hold")
        hidden = any(part.startswith(".") or part in LEFT_OUT for part in relative.parts)
        if path.is_file() and not hidden:
            files[relative.as_posix()] = path.read_bytes()
    # Stored, not deflated: compressors differ between machines, and bytes must not.
    return write_archive(files, store=True)


def _archive(folder: Path) -> bytes:
    content = _packed(folder)
    try:
        package = read_package(content)
    except Refusal as refusal:
        raise BuildError(f"{folder}: {refusal.detail}") from None
    expected = f"{package.type}-{package.id.partition('/')[2]}-{package.manifest['version']}"
    if folder.name != expected:
        raise BuildError(f"{folder} must be named {expected}, after its manifest")
    return content
