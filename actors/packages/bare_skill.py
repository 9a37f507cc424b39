"""Skills that come without a manifest: an archive with a SKILL.md at its root. Pure."""

import re

import msgspec

from actors.packages.archive import SINGLE_PACKAGE, ArchiveInvalid, open_archive, write_archive
from actors.packages.content import front_matter
from actors.packages.drafts import manifest_text
from actors.packages.versions import highest, next_patch


class BareSkill(msgspec.Struct, frozen=True, kw_only=True):
    """A skill as its SKILL.md presents it; `slug` is its name as packages are named."""

    name: str
    slug: str
    description: str | None
    files: dict[str, bytes]


def read_bare_skill(content: bytes) -> BareSkill | None:
    """The skill in an archive without a manifest; None when it is none."""
    archive = open_archive(content, SINGLE_PACKAGE)
    if "SKILL.md" not in archive or "manifest.json" in archive:
        return None
    about = front_matter(archive.text("SKILL.md"))
    name = about.get("name", "")
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if not slug:
        raise ArchiveInvalid(
            "SKILL.md has no front-matter with a name, and there is no manifest.json",
            code="invalid_content",
        )
    files = {path: archive.read(path) for path in archive.paths}
    return BareSkill(name=name, slug=slug, description=about.get("description"), files=files)


def write_bare_skill(skill: BareSkill, package: str, published: list[str]) -> bytes:
    """The skill as an archive with a manifest: 1.0.0, or the next after those `published`."""
    manifest = {
        "name": package,
        "version": next_patch(highest(published)) if published else "1.0.0",
        "type": "skill",
        "schema_version": "0.1",
        "display_name": skill.name,
    }
    if skill.description:
        manifest["description"] = skill.description
    return write_archive(skill.files | {"manifest.json": manifest_text(manifest).encode()})
