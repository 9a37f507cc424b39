"""Reading and writing package archives: plain ZIP files, never trusted.

Sizes declared in a ZIP are not believed: limits are enforced while inflating, on real bytes, and
the number of entries is counted before any of them is turned into an object. There are two
readers. The *lenient* one, for an archive a person uploads, drops entries with unusable paths but
refuses those that lead out of it; the *strict* one, for bundles, refuses all of them.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from actors.runtime import Rejected

SLICE = 64 * 1024
MAX_DEPTH = 16
CENTRAL_HEADER = b"PK\x01\x02"
END_OF_DIRECTORY = b"PK\x05\x06"
ZIP64_LOCATOR = b"PK\x06\x07"
FIXED_TIME = (2020, 1, 1, 0, 0, 0)
MIB = 1024 * 1024
ABSOLUTE = "has an absolute path"
TRAVERSAL = "contains '..': path traversal"
HOSTILE = (ABSOLUTE, TRAVERSAL)  # no tool writes these by mistake


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on an archive, in bytes and entries."""

    compressed: int
    decompressed: int
    file: int
    entries: int = 10_000


SINGLE_PACKAGE = Limits(compressed=10 * MIB, decompressed=50 * MIB, file=50 * MIB)
BUNDLE = Limits(compressed=50 * MIB, decompressed=200 * MIB, file=20 * MIB)


class ArchiveInvalid(Rejected):
    """The archive cannot be used; `code` says why."""

    code = "zip_invalid"


class Archive:
    """An archive that passed every check. Files are inflated again when they are read."""

    def __init__(
        self, zip_file: zipfile.ZipFile, entries: Mapping[str, zipfile.ZipInfo], limits: Limits
    ) -> None:
        self._zip = zip_file
        self._entries = dict(entries)
        self._limits = limits

    @property
    def paths(self) -> list[str]:
        """The paths of its files, sorted, without a wrapping folder."""
        return sorted(self._entries)

    def __contains__(self, path: str) -> bool:
        return path in self._entries

    def read(self, path: str) -> bytes:
        """The content of one file."""
        return b"".join(_inflate(self._zip, self._entries[path], _Budget(self._limits)))

    def text(self, path: str) -> str:
        """The content of one file, which must be UTF-8."""
        try:
            text = self.read(path).decode("utf-8-sig")
        except UnicodeDecodeError:
            raise ArchiveInvalid(f"{path} is not UTF-8 text", code="invalid_content") from None
        if "\0" in text:
            raise ArchiveInvalid(f"{path} contains NUL characters", code="invalid_content")
        return text


def open_archive(content: bytes, limits: Limits, *, strict: bool = False) -> Archive:
    """Check an archive completely and open it. Raises `ArchiveInvalid`."""
    if len(content) > limits.compressed:
        raise ArchiveInvalid(
            f"the archive is larger than {limits.compressed // MIB} MiB", code="file_too_large"
        )
    if not content.startswith(b"PK"):
        raise ArchiveInvalid("the file is not a ZIP archive")
    _count_entries(content, limits)
    try:
        zip_file = zipfile.ZipFile(io.BytesIO(content))
        entries = _without_wrapper(dict(_usable(zip_file, strict=strict)))
        _check_folders(entries)
        budget = _Budget(limits)
        for entry in entries.values():
            for _ in _inflate(zip_file, entry, budget):
                pass
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError) as error:
        raise ArchiveInvalid(f"the archive is damaged: {error}") from None
    except (NotImplementedError, RuntimeError) as error:  # other compressions, passwords
        raise ArchiveInvalid(f"the archive cannot be read: {error}") from None
    return Archive(zip_file, entries, limits)


def write_archive(files: Mapping[str, bytes], *, store: bool = False) -> bytes:
    """A deterministic archive: the same files give the same bytes."""
    buffer = io.BytesIO()
    method = zipfile.ZIP_STORED if store else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(buffer, "w", method, compresslevel=6) as zip_file:
        for path in sorted(files):
            entry = zipfile.ZipInfo(path, FIXED_TIME)
            entry.compress_type = method
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            zip_file.writestr(entry, files[path])
    return buffer.getvalue()


def _count_entries(content: bytes, limits: Limits) -> None:
    """Walk the central directory without building it."""
    end = content.rfind(END_OF_DIRECTORY)
    if end < 0 or end + 22 > len(content):
        raise ArchiveInvalid("the archive is truncated: its directory is missing")
    if content[max(0, end - 20) : end].startswith(ZIP64_LOCATOR):
        # It names another directory than the one counted here, and no archive here needs one.
        raise ArchiveInvalid("the archive has a ZIP64 directory, which is for larger ones")
    size, offset = struct.unpack_from("<II", content, end + 12)
    # What zipfile does: tolerate bytes before the archive by trusting the directory's size.
    position, entries = end - size, 0
    if position < 0 or offset > position:
        raise ArchiveInvalid("the archive is damaged: its directory lies outside of it")
    while position < end:
        if content[position : position + 4] != CENTRAL_HEADER or position + 46 > len(content):
            raise ArchiveInvalid("the archive is damaged: its directory cannot be read")
        entries += 1
        if entries > limits.entries:
            raise ArchiveInvalid(
                f"the archive has more than {limits.entries} entries", code="zip_bomb"
            )
        position += 46 + sum(struct.unpack_from("<HHH", content, position + 28))


def _usable(zip_file: zipfile.ZipFile, *, strict: bool) -> Iterator[tuple[str, zipfile.ZipInfo]]:
    for entry in zip_file.infolist():
        # zipfile cuts names at a NUL and translates separators; judge what was written.
        name = entry.orig_filename
        if name.endswith("/") or name.startswith("__MACOSX/") or not name:
            continue
        problem = path_problem(name, strict=strict)
        if problem is None:
            yield name, entry
        elif strict or problem in HOSTILE:
            code = "limits_exceeded" if "deep" in problem else "zip_invalid"
            raise ArchiveInvalid(f"the entry {name[:100]!r} {problem}", code=code)


def path_problem(name: str, *, strict: bool) -> str | None:
    """What is wrong with an entry's name, if anything."""
    segments = name.split("/")
    if name.startswith("/"):
        return ABSOLUTE
    if "\\" in name:
        return "contains a backslash"
    if "\0" in name:
        return "contains a NUL byte (null byte)"
    if ".." in segments:
        return TRAVERSAL
    if not strict:
        return None
    if any(mark in name for mark in "\r\n,"):
        return "contains a line break or a comma"
    if any(segment in ("", ".") for segment in segments):
        return "contains an empty segment or '.'"
    if len(segments) > MAX_DEPTH:
        return f"is more than {MAX_DEPTH} folders deep: depth limit"
    return None


def _check_folders(paths: Collection[str]) -> None:
    """Refuse a file that another file has as its folder: they cannot be unpacked together."""
    for path in paths:
        folder = path
        while "/" in folder:
            folder = folder.rpartition("/")[0]
            if folder in paths:
                raise ArchiveInvalid(f"{folder[:100]!r} is both a file and a folder")


def _without_wrapper(entries: dict[str, zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    tops = {name.split("/", 1)[0] for name in entries}
    if len(tops) == 1 and all("/" in name for name in entries):
        return {name.split("/", 1)[1]: entry for name, entry in entries.items()}
    return entries


class _Budget:
    """How many bytes may still come out of an archive."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._left = limits.decompressed

    def spend(self, size: int, of_file: int) -> None:
        self._left -= size
        if self._left < 0:
            allowed = self._limits.decompressed // MIB
            raise ArchiveInvalid(f"the archive unpacks to over {allowed} MiB", code="zip_bomb")
        if of_file > self._limits.file:
            allowed = self._limits.file // MIB
            raise ArchiveInvalid(f"a file unpacks to over {allowed} MiB", code="zip_bomb")


def _inflate(zip_file: zipfile.ZipFile, entry: zipfile.ZipInfo, budget: _Budget) -> Iterator[bytes]:
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ArchiveInvalid("the archive uses a compression other than deflate")
    size = 0
    with zip_file.open(entry) as file:
        while chunk := file.read(SLICE):
            size += len(chunk)
            budget.spend(len(chunk), size)
            yield chunk
