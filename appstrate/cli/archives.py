"""Building package archives from their sources."""

from pathlib import Path

from actors.packages.archive import write_archive
from actors.packages.content import ReadPackage, read_package
from actors.runtime import Refusal

LEFT_OUT = ("node_modules", "__pycache__")
BUILT = (".afps", ".afps-bundle")


class BuildError(Exception):
    """A source folder that makes no package; the message says which and why."""


def build(sources: Path, target: Path) -> list[Path]:
    """Build every package of `sources` into an archive; returns what has changed.

    The same sources give the same bytes. Archives without a source are left alone.
    """
    built = _built(sources)
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
    built = _built(sources)
    there = {path.name: path.read_bytes() for path in target.glob("*.afps")}
    told = [f"{name} is missing: build it" for name in sorted(built.keys() - there.keys())]
    if not _is_package(sources):
        told += [f"{name} has no source folder" for name in sorted(there.keys() - built.keys())]
    told += [
        f"{name} is not what its source makes: build it, and raise the version if it was released"
        for name in sorted(built.keys() & there.keys())
        if built[name] != there[name]
    ]
    return told


def _built(sources: Path) -> dict[str, bytes]:
    """The archives that a package's folder, or a folder of those, makes, by their names."""
    if not sources.is_dir():
        raise BuildError(f"there is no folder {sources}")
    if _is_package(sources):
        content, package = _archive(sources)
        name = package.id.rpartition("/")[2]
        return {f"{name}-{package.manifest['version']}.afps": content}
    folders = sorted(folder for folder in sources.iterdir() if _is_package(folder))
    if not folders:
        raise BuildError(f"there is no package in {sources}: it has a manifest.json or a SKILL.md")
    return {f"{folder.name}.afps": _shipped(folder) for folder in folders}


def _is_package(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("manifest.json", "SKILL.md"))


def examine(path: Path) -> ReadPackage:
    """The package in a folder or an archive. Raises `BuildError` or a `Refusal` when it is bad."""
    return read_package(packed(path) if path.is_dir() else path.read_bytes())


def packed(folder: Path) -> bytes:
    """A package's folder as an archive. Raises `BuildError` for what no archive can hold."""
    files: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.is_symlink():
            raise BuildError(f"{path} is a symbolic link, which an archive cannot hold")
        hidden = any(part.startswith(".") or part in LEFT_OUT for part in relative.parts)
        if path.is_file() and not hidden and path.suffix not in BUILT:
            files[relative.as_posix()] = path.read_bytes()
    # Stored, not deflated: compressors differ between machines, and bytes must not.
    return write_archive(files, store=True)


def _archive(folder: Path) -> tuple[bytes, ReadPackage]:
    content = packed(folder)
    try:
        return content, read_package(content)
    except Refusal as refusal:
        told = [f"{problem.field}: {problem.message}" for problem in refusal.problems]
        raise BuildError("\n  ".join([f"{folder}:", *(told or [refusal.detail])])) from None


def _shipped(folder: Path) -> bytes:
    content, package = _archive(folder)
    expected = f"{package.type}-{package.id.partition('/')[2]}-{package.manifest['version']}"
    if folder.name != expected:
        raise BuildError(f"{folder} must be named {expected}, after its manifest")
    return content
