"""The files of a package as a client reads them. Pure."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from actors.contract import Resource, spell
from actors.packages.archive import MIB, path_problem
from actors.runtime import NotFound, Rejected

MOST_INLINE = 2 * MIB
LARGEST_INLINE = 1 * MIB


class FileEntry(Resource, frozen=True, kw_only=True, rename=spell):
    """A file: its size in bytes and, when it is a short text, what is in it."""

    path: str
    size: int
    media_kind: Literal["text", "binary"]
    inline: str | msgspec.UnsetType = msgspec.UNSET


def list_files(files: Mapping[str, bytes]) -> list[FileEntry]:
    """The files by path; texts up to 1 MiB come with their content, up to 2 MiB in all."""
    entries: list[FileEntry] = []
    left = MOST_INLINE
    for path, content in sorted(files.items()):
        text = is_text(content)
        inline = text and len(content) <= min(left, LARGEST_INLINE)
        left -= len(content) if inline else 0
        entries.append(
            FileEntry(
                path=path,
                size=len(content),
                media_kind="text" if text else "binary",
                inline=content.decode() if inline else msgspec.UNSET,
            )
        )
    return entries


def pick_file(files: Mapping[str, bytes], path: str) -> bytes:
    """One of the files; a path that could lead elsewhere is refused, an unknown one not found."""
    problem = path_problem(path, strict=True)
    if problem is not None and path not in files:
        raise Rejected(f"the path {path[:100]!r} {problem}", param="path")
    if path not in files:
        raise NotFound(f"there is no file {path[:100]!r} in this package")
    return files[path]


def is_text(content: bytes) -> bool:
    """Whether some bytes are UTF-8 without NUL characters."""
    try:
        return "\0" not in content.decode()
    except UnicodeDecodeError:
        return False
