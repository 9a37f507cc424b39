"""What a package needs besides its manifest, and how an archive becomes a package."""

import base64
import hashlib
import json
import re
from typing import Any

import msgspec

from actors.documents import decode_json
from actors.packages.archive import (
    SINGLE_PACKAGE,
    Archive,
    ArchiveInvalid,
    open_archive,
    write_archive,
)
from actors.packages.manifest import (
    Manifest,
    PackageType,
    manifest_problems,
    manifest_warnings,
    publication_problems,
)
from actors.runtime import FieldProblem, Rejected

ARCHIVE_KEY = re.compile(r"packages/([0-9a-f]{64})\.afps")
BLANK = "\t\r\n "
CONTENT_FILES = {"agent": "prompt.md", "skill": "SKILL.md", "integration": "INTEGRATION.md"}


class ReadPackage(msgspec.Struct, frozen=True, kw_only=True):
    """A package that was read from an archive and found good."""

    id: str
    type: PackageType
    manifest: Manifest
    content: str | None
    archive: bytes
    warnings: list[str]

    @property
    def integrity(self) -> str:
        """The SRI digest of the archive's bytes."""
        return integrity_of(self.archive)


def integrity_of(content: bytes) -> str:
    """`sha256-` and the digest in base64, as subresource integrity has it (W3C SRI)."""
    return f"sha256-{base64.b64encode(hashlib.sha256(content).digest()).decode()}"


def blob_key(integrity: str) -> str:
    """Where the archive with this integrity is stored: content-addressed, so never overwritten."""
    digest = base64.b64decode(integrity.removeprefix("sha256-")).hex()
    return f"packages/{digest}.afps"


def integrity_at(key: str) -> str | None:
    """The integrity of the archive under this key of the storage; None when it is none."""
    found = ARCHIVE_KEY.fullmatch(key)
    if found is None:
        return None
    return f"sha256-{base64.b64encode(bytes.fromhex(found[1])).decode()}"


def read_package(archive_bytes: bytes) -> ReadPackage:
    """Check an archive of one package completely. Raises `ArchiveInvalid` or `Rejected`."""
    archive = open_archive(archive_bytes, SINGLE_PACKAGE)
    if "manifest.json" not in archive:
        if "bundle.json" in archive:
            raise ArchiveInvalid(
                "this is a bundle of packages: send it to /api/packages/import-bundle",
                code="missing_manifest",
            )
        raise ArchiveInvalid(
            "there is no manifest.json at the root of the archive", code="missing_manifest"
        )
    manifest = _parse_manifest(archive.text("manifest.json"))
    if problems := manifest_problems(manifest) or publication_problems(manifest):
        raise invalid_manifest(problems)
    kind: PackageType = manifest["type"]
    return ReadPackage(
        id=manifest["name"],
        type=kind,
        manifest=manifest,
        content=_read_content(kind, manifest, archive),
        archive=archive_bytes,
        warnings=manifest_warnings(manifest),
    )


def make_package(manifest: Manifest, content: str | None, kind: PackageType) -> ReadPackage:
    """A package from a manifest and its text, written as an archive."""
    problems = manifest_problems(manifest)
    if not problems and manifest["type"] != kind:
        problems = [
            FieldProblem(field="type", code="invalid_value", message=f"must be {kind} on this path")
        ]
    if problems:
        raise invalid_manifest(problems, under="manifest")
    check_content(kind, content)
    archive = write_archive(files_of(manifest, content))
    return ReadPackage(
        id=manifest["name"],
        type=kind,
        manifest=manifest,
        content=content,
        archive=archive,
        warnings=manifest_warnings(manifest),
    )


def files_of(manifest: Manifest, content: str | None) -> dict[str, bytes]:
    """The files of a package that is a manifest and one text."""
    files = {"manifest.json": json.dumps(manifest, indent=2, ensure_ascii=False).encode()}
    if content is not None:
        files[CONTENT_FILES[manifest["type"]]] = content.encode()
    return files


def check_content(kind: PackageType, content: str | None) -> None:
    """Refuse an agent without a prompt and a skill without a name."""
    if kind == "agent" and not (content or "").strip(BLANK):
        what = "is missing from the agent package" if content is None else "is empty"
        raise Rejected(f"prompt.md {what}", code="missing_content", param="content")
    if kind == "skill":
        if content is None:
            raise Rejected(
                "SKILL.md is missing from the skill package",
                code="missing_content",
                param="content",
            )
        if not front_matter(content).get("name"):
            raise Rejected(
                "SKILL.md has no front-matter with a name", code="invalid_content", param="content"
            )


def front_matter(text: str) -> dict[str, str]:
    """The `key: value` lines between two `---` lines at the top of a text."""
    lines = text.splitlines()
    if not lines or lines[0].rstrip() != "---":
        return {}
    found: dict[str, str] = {}
    for line in lines[1:]:
        if line.rstrip() == "---":
            return found
        key, separator, value = line.partition(":")
        if separator and not line.startswith((" ", "\t", "#")):
            found[key.strip()] = value.strip().strip("'\"")
    return {}


def invalid_manifest(problems: list[FieldProblem], under: str = "") -> Rejected:
    """The refusal of a manifest, naming its first problem and carrying all of them."""
    named = [
        msgspec.structs.replace(p, field=".".join(part for part in (under, p.field) if part))
        for p in problems
    ]
    first = named[0]
    more = f" (and {len(named) - 1} more)" if len(named) > 1 else ""
    return Rejected(
        f"the manifest is not valid: {first.field or 'it'} {first.message}{more}",
        code="invalid_manifest",
        problems=named,
    )


def _parse_manifest(text: str) -> Any:
    try:
        return decode_json(text.encode())
    except msgspec.DecodeError as error:
        raise ArchiveInvalid(
            f"manifest.json is no usable JSON: {error}", code="invalid_manifest"
        ) from None


def _read_content(kind: PackageType, manifest: Manifest, archive: Archive) -> str | None:
    if kind == "mcp-server":
        entry_point = manifest["server"]["entry_point"].removeprefix("./")
        if entry_point not in archive:
            raise ArchiveInvalid(
                f"the entry_point {entry_point} is not in the archive", code="missing_content"
            )
        return archive.text("manifest.json")
    name = CONTENT_FILES[kind]
    content = archive.text(name) if name in archive else None
    check_content(kind, content)
    if content is None and kind == "integration":
        return archive.text("manifest.json")
    return content
