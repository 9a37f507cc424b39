"""The program behind `grep`, `find` and `ls`: one search in the folder it is started in.

It runs as a process of its own, because nothing else can stop a regular expression that takes for
ever. It knows nothing of the agent, and needs only the standard library.
"""

import fnmatch
import json
import os
import re
import sys
from collections.abc import Iterator
from typing import Any

SKIPPED = frozenset({".git", "node_modules", "__pycache__"})
MOST = {"ls": 500, "find": 1000, "grep": 100}
LONGEST_LINE = 500
LARGEST_FILE = 8 * 2**20
LONGEST_PATTERN = 1000
SNIFFED = 8192


class SearchError(Exception):
    """What is asked for cannot be done; the message says why."""


def search(kind: str, arguments: dict[str, Any]) -> Iterator[str]:
    """The lines of an answer. Raises `SearchError`."""
    where = _inside(arguments.get("path", "."))
    found = 0
    wanted = arguments.get("limit")
    most = min(MOST[kind], max(1, wanted)) if isinstance(wanted, int) else MOST[kind]
    for line in {"ls": _list, "find": _find, "grep": _grep}[kind](where, arguments):
        if found == most:
            yield f"[there are more than {most}: search more narrowly]"
            return
        found += 1
        yield line
    if not found:
        yield "[an empty folder]" if kind == "ls" else "[nothing found]"


def _inside(name: Any) -> str:
    """A path in the folder this program runs in, links followed."""
    if not isinstance(name, str) or "\0" in name:
        raise SearchError("path must be text")
    root = os.path.realpath(".")
    path = os.path.realpath(name)
    if os.path.commonpath((root, path)) != root:
        raise SearchError("this path is outside of the workspace")
    if not os.path.exists(path):
        raise SearchError("there is no such folder or file")
    return os.path.relpath(path, root)


def _list(where: str, _: dict[str, Any]) -> Iterator[str]:
    if not os.path.isdir(where):
        raise SearchError("this is a file: read it")
    with os.scandir(where) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_symlink():
                yield f"{entry.name} -> {os.readlink(entry.path)}"
            elif entry.is_dir():
                yield f"{entry.name}/"
            else:
                yield f"{entry.name} ({entry.stat().st_size} bytes)"


def _find(where: str, arguments: dict[str, Any]) -> Iterator[str]:
    if not os.path.isdir(where):
        raise SearchError("path must be a folder")
    fits = _glob(_text(arguments, "pattern").removeprefix("./"))
    for path in _files(where):
        if fits.fullmatch(os.path.relpath(path, where)):
            yield path


def _grep(where: str, arguments: dict[str, Any]) -> Iterator[str]:
    pattern = _pattern(arguments)
    glob = _text(arguments, "glob") if arguments.get("glob") is not None else "*"
    for path in [where] if os.path.isfile(where) else _files(where):
        if fnmatch.fnmatchcase(os.path.basename(path), glob):
            for number, line in _matching(path, pattern):
                yield f"{path}:{number}:{line}"


def _files(folder: str) -> Iterator[str]:
    """Files below a folder in order of their names, links and well-known heaps left out."""
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in SKIPPED)
        for name in sorted(names):
            path = os.path.normpath(os.path.join(root, name))
            if os.path.isfile(path) and not os.path.islink(path):
                yield path


def _matching(path: str, pattern: re.Pattern[str]) -> Iterator[tuple[int, str]]:
    try:
        if os.path.getsize(path) > LARGEST_FILE:
            return
        with open(path, "rb") as file:
            content = file.read()
    except OSError:
        return
    if b"\0" in content[:SNIFFED]:
        return
    for number, line in enumerate(content.decode(errors="replace").split("\n"), start=1):
        if (match := pattern.search(line)) is not None:
            yield number, _around(line.rstrip("\r"), match.start())


def _around(line: str, at: int) -> str:
    """A line, or what stands around a place of it when it is very long."""
    if len(line) <= LONGEST_LINE:
        return line
    begin = max(0, at - LONGEST_LINE // 2)
    return f"…{line[begin : begin + LONGEST_LINE]}…"


def _pattern(arguments: dict[str, Any]) -> re.Pattern[str]:
    written = _text(arguments, "pattern")
    if arguments.get("literal") is True:
        written = re.escape(written)
    try:
        return re.compile(written, re.IGNORECASE if arguments.get("ignore_case") is True else 0)
    except re.error as error:
        raise SearchError(f"this is no regular expression: {error}") from None


def _glob(pattern: str) -> re.Pattern[str]:
    """`*` and `?` stop at slashes, `**/` does not; a pattern without a slash fits at any depth."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", pattern if "/" in pattern else f"**/{pattern}")
    meant = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(meant.get(part) or re.escape(part) for part in parts), re.DOTALL)


def _text(arguments: dict[str, Any], name: str) -> str:
    value = arguments.get(name)
    if not isinstance(value, str) or len(value) > LONGEST_PATTERN:
        raise SearchError(f"{name} must be text of at most {LONGEST_PATTERN} characters")
    return value


def main() -> int:
    """Search as the two arguments of this program say."""
    sys.stdout.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
    try:
        for line in search(sys.argv[1], json.loads(sys.argv[2])):
            print(line)
    except SearchError as error:
        print(error)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
