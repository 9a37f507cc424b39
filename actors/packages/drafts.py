"""Drafts: their text, their files, and what an edit makes of them. Pure."""

import json
from codecs import BOM_UTF8
from collections.abc import Mapping

import msgspec

from actors.documents import as_object, decode_json
from actors.packages.content import CONTENT_FILES
from actors.packages.manifest import Manifest
from actors.packages.records import StoredPackage
from actors.runtime import Conflict, FieldProblem, Rejected


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A draft; `archive` is the integrity of the archive that holds its other files."""

    manifest: Manifest
    content: str | None
    archive: str | None


def edit(
    package: StoredPackage, lock_version: int | None, manifest: Manifest | None, content: str | None
) -> Draft:
    """The draft with another manifest or text; what is None stays.

    Refuses when the draft is not at `lock_version` any more, unless that is None.
    """
    if lock_version not in (package.lock_version, None):
        raise Conflict(
            f"the draft was changed meanwhile and is at lock_version {package.lock_version}: "
            "read it again, and repeat your change on it",
            param="lock_version",
        )
    changed = package.draft_manifest if manifest is None else manifest
    for field, kept in (("name", package.id), ("type", package.type)):
        if changed[field] != kept:
            message = f"must stay {kept}"
            problem = FieldProblem(field=f"manifest.{field}", code="invalid_value", message=message)
            raise Rejected(
                f"the {field} of a package cannot change: it {message}",
                code="validation_failed",
                param=problem.field,
                problems=[problem],
            )
    if content is not None and package.type == "mcp-server":
        raise Rejected(
            "an MCP server has no text of its own: import an archive instead", param="content"
        )
    return Draft(
        manifest=changed, content=_text(package, changed, content), archive=package.draft_archive
    )


def with_skills(package: StoredPackage, ranges: Mapping[str, str]) -> Draft:
    """The draft with these skills and no others; the ranges it has for them stay."""
    declared = as_object(package.draft_manifest.get("dependencies"))
    had = as_object(declared.get("skills"))
    skills = {name: had.get(name, wanted) for name, wanted in ranges.items()}
    manifest = package.draft_manifest | {"dependencies": declared | {"skills": skills}}
    return edit(package, None, manifest, None)


def draft_files(
    manifest: Manifest, content: str | None, base: Mapping[str, bytes]
) -> dict[str, bytes]:
    """The files of a draft: those of the archive it began as, with its manifest and text."""
    files = dict(base)
    written = base.get("manifest.json", b"null").removeprefix(BOM_UTF8)
    if decode_json(written) != manifest:
        files["manifest.json"] = manifest_text(manifest).encode()
    if content is not None and not _is_manifest(content, manifest):
        files[CONTENT_FILES[manifest["type"]]] = content.encode()
    return files


def manifest_text(manifest: Manifest) -> str:
    """A manifest as a file."""
    return json.dumps(manifest, indent=2, ensure_ascii=False)


def _text(package: StoredPackage, manifest: Manifest, content: str | None) -> str | None:
    """A package without a text of its own has its manifest in the text's place."""
    if content is not None or package.draft_content is None:
        return content
    if not _is_manifest(package.draft_content, package.draft_manifest):
        return package.draft_content
    unchanged = manifest == package.draft_manifest
    return package.draft_content if unchanged else manifest_text(manifest)


def _is_manifest(content: str, manifest: Manifest) -> bool:
    if manifest["type"] == "mcp-server":
        return True
    try:
        return manifest["type"] == "integration" and bool(decode_json(content.encode()) == manifest)
    except msgspec.DecodeError:
        return False
