"""Reading `.afps-bundle` archives: every digest is worked out again, none is believed."""

from typing import Any

import msgspec

from actors.documents import decode_json
from actors.packages.archive import (
    Archive,
    ArchiveInvalid,
    Limits,
    open_archive,
    path_problem,
)
from actors.packages.bundle import Bundle, Files, write_record
from actors.packages.content import integrity_of
from actors.runtime import FieldProblem, Rejected

INDEX = "bundle.json"
RECORD = "RECORD"
MAX_PACKAGES = 512
MAX_IDENTITY = 4096


class BundleInvalid(Rejected):
    """The bundle cannot be used; its problem names the part, and the format's own code for it."""

    code = "bundle_invalid"


class IndexEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Where a package lies in a bundle, and the digest of its RECORD."""

    path: str
    integrity: str


class BundleIndex(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`bundle.json`. Unknown members are tolerated; `metadata` is covered by no digest."""

    bundle_format_version: str
    root: str
    packages: dict[str, IndexEntry]
    integrity: str


def split_identity(identity: str) -> tuple[str, str]:
    """`@scope/name@version` in two."""
    name, _, version = identity.rpartition("@")
    return name, version


def read_bundle(content: bytes, limits: Limits, packages: int = MAX_PACKAGES) -> Bundle:
    """Check a bundle completely and take it apart.

    Raises `BundleInvalid`; the item's code is the format's own (`RECORD_MISMATCH` …).
    """
    try:
        archive = open_archive(content, limits, strict=True)
    except ArchiveInvalid as refusal:
        too_much = refusal.code in ("file_too_large", "zip_bomb", "limits_exceeded")
        code = "LIMITS_EXCEEDED" if too_much else "ARCHIVE_INVALID"
        problem = FieldProblem(field="file", code=code, message=refusal.detail)
        raise BundleInvalid(refusal.detail, param="file", problems=[problem]) from None
    index = _read_index(archive, packages)
    found = {identity: _files(archive, identity, e) for identity, e in index.packages.items()}
    _check_strays(archive, index)
    folders = {identity: entry.path for identity, entry in index.packages.items()}
    bundle = Bundle(root=index.root, packages=found, folders=folders)
    if bundle.integrity != index.integrity:
        raise _invalid("INTEGRITY_MISMATCH", "integrity", "does not fit the packages listed")
    return bundle


def _read_index(archive: Archive, most: int) -> BundleIndex:
    if INDEX not in archive:
        raise _invalid("BUNDLE_JSON_MISSING", INDEX, "is not at the root of the archive")
    try:
        document: Any = decode_json(archive.read(INDEX))
        index = msgspec.convert(document, BundleIndex)
    except msgspec.ValidationError as error:
        raise _invalid("BUNDLE_JSON_INVALID", INDEX, f"is not a bundle's: {error}") from None
    except msgspec.DecodeError as error:
        raise _invalid("BUNDLE_JSON_INVALID", INDEX, f"is no usable JSON: {error}") from None
    if index.bundle_format_version.partition(".")[0] != "1":
        what = f"{index.bundle_format_version} is not supported: this platform reads 1.x"
        raise _invalid("VERSION_UNSUPPORTED", "bundleFormatVersion", what)
    if len(index.packages) > most:
        raise _invalid("LIMITS_EXCEEDED", "packages", f"are more than {most}")
    if index.root not in index.packages:
        raise _invalid("BUNDLE_JSON_INVALID", "root", f"{index.root} is not among the packages")
    for identity, entry in index.packages.items():
        _check_entry(identity, entry)
    return index


def _check_entry(identity: str, entry: IndexEntry) -> None:
    name, version = split_identity(identity)
    if len(identity.encode()) > MAX_IDENTITY:
        raise _invalid("LIMITS_EXCEEDED", "packages", "has an identity over 4096 bytes")
    if not name or not version:
        raise _invalid("BUNDLE_JSON_INVALID", "packages", f"{identity!r} is no name@version")
    path = entry.path
    problem = path_problem(path.removesuffix("/"), strict=True)
    if not path.endswith("/") or problem:
        what = problem or "must end with /"
        raise _invalid("BUNDLE_JSON_INVALID", f"packages.{identity}.path", what)


def _files(archive: Archive, identity: str, entry: IndexEntry) -> Files:
    start = len(entry.path)
    files = {p[start:]: archive.read(p) for p in archive.paths if p.startswith(entry.path)}
    record = files.pop(RECORD, None)
    where = f"packages.{identity}"
    if record is None:
        raise _invalid("RECORD_MISSING", where, "has no RECORD")
    if record != write_record(files):
        raise _invalid(_record_code(record), where, _difference(record, files))
    if integrity_of(record) != entry.integrity:
        raise _invalid("INTEGRITY_MISMATCH", where, "its RECORD has another digest than declared")
    return files


def _record_code(record: bytes) -> str:
    lines = record.decode(errors="replace").split("\n")
    formed = lines[-1] == "" and all(line.count(",") == 2 for line in lines[:-1])
    return "RECORD_MISMATCH" if formed else "RECORD_MALFORMED"


def _difference(record: bytes, files: Files) -> str:
    stated = {line.partition(",")[0] for line in record.decode(errors="replace").splitlines()}
    if missing := sorted(stated - set(files)):
        return f"its RECORD names {missing[0][:100]}, which is not there"
    if extra := sorted(set(files) - stated):
        return f"its RECORD does not name {extra[0][:100]}"
    return "its files differ from what its RECORD says"


def _check_strays(archive: Archive, index: BundleIndex) -> None:
    folders = tuple(entry.path for entry in index.packages.values())
    if len(set(folders)) < len(folders):
        raise _invalid("BUNDLE_JSON_INVALID", "packages", "two have the same path")
    for path in archive.paths:
        if path != INDEX and not path.startswith(folders):
            raise _invalid("RECORD_MISMATCH", path[:100], "belongs to no package of the bundle")


def _invalid(code: str, field: str, what: str) -> BundleInvalid:
    problem = FieldProblem(field=field, code=code, message=what)
    return BundleInvalid(f"the bundle cannot be used: {field} {what}", problems=[problem])
