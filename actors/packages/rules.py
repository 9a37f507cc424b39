"""Whether a publication may happen, decided over what is stored. Pure."""

from typing import Literal, TypeAlias

from actors.packages.records import Publication, StoredPackage
from actors.packages.versions import highest, moves_latest, newer_than_all
from actors.runtime import Conflict, Rejected

Outcome: TypeAlias = Literal["inserted", "replaced", "reused", "drafted"]


def admit(existing: StoredPackage | None, publication: Publication) -> Outcome:
    """What storing `publication` means, or the refusal.

    `inserted`: a new version; `replaced`: the bytes of a version, by force; `reused`: this very
    version is there; `drafted`: nothing is published.
    """
    name = publication.package
    if existing is None:
        return "inserted" if publication.publish else "drafted"
    if existing.org_id != publication.org:
        raise Rejected(f"the name {name} is taken", code="name_collision", param="name")
    if publication.only_new:
        raise Conflict(f"there is a package {name} already", code="name_collision", param="name")
    if existing.type != publication.type:
        raise Rejected(
            f"{name} is a package of type {existing.type}", code="type_mismatch", param="type"
        )
    if publication.of_draft is not None:
        return _admit_draft(existing, publication)
    if publication.org is not None and touches_draft(existing, publication):
        _check_draft(existing, publication)
    if not publication.publish:
        return "drafted"
    return _admit_version(existing, publication)


def adopt(
    existing: StoredPackage | None, publication: Publication
) -> Literal["inserted", "reused"]:
    """What a package of a bundle means, or the refusal. Versions need not come in order.

    What the platform ships is never added to: it counts as reused, whatever its version.
    """
    if existing is None:
        return "inserted"
    if existing.org_id is None:
        return "reused"
    if existing.org_id != publication.org:
        raise Conflict(
            f"the name {existing.id} belongs to another organization", code="bundle_conflict"
        )
    for stored in existing.versions:
        if stored.version == publication.version:
            if stored.integrity == publication.integrity:
                return "reused"
            what = f"{existing.id}@{stored.version} is published with other content"
            raise Conflict(what, code="bundle_conflict")
    return "inserted"


def touches_draft(existing: StoredPackage | None, publication: Publication) -> bool:
    """Whether storing `publication` writes the draft. Bringing an older version does not."""
    if existing is None or not publication.publish:
        return True
    if publication.of_draft is not None:
        return existing.draft_manifest != publication.manifest
    if publication.org is None and existing.latest is not None:
        return moves_latest(publication.version, existing.latest)
    brought = publication.version, publication.integrity
    return all((v.version, v.integrity) != brought for v in existing.versions[:-1])


def new_latest(existing: StoredPackage | None, publication: Publication) -> bool:
    """Whether the tag `latest` moves to this publication's version."""
    return moves_latest(publication.version, existing.latest if existing else None)


def _check_draft(existing: StoredPackage, publication: Publication) -> None:
    same = (existing.draft_manifest, existing.draft_content) == (
        publication.manifest,
        publication.content,
    )
    if existing.unpublished_changes and not same and not publication.force:
        raise Conflict(
            f"the draft of {publication.package} has changes that were never published: "
            "publish them, or import with `force` to overwrite them",
            code="draft_overwrite",
        )


def _admit_draft(existing: StoredPackage, publication: Publication) -> Outcome:
    version = publication.version
    if existing.lock_version != publication.of_draft:
        raise Conflict(f"the draft of {existing.id} was changed while it was published: try again")
    if any(v.version == version for v in existing.versions):
        if not existing.unpublished_changes:
            raise Conflict(f"the draft is what {version} is: nothing changed", code="no_changes")
        raise Conflict(
            f"{existing.id}@{version} is published already: name a higher version",
            code="version_exists",
            param="version",
        )
    if not newer_than_all(version, existing.published):
        top = highest([v.version for v in existing.versions])
        raise Rejected(f"version {version} is not higher than {top}", param="version")
    return "inserted"


def _admit_version(existing: StoredPackage, publication: Publication) -> Outcome:
    version = publication.version
    for stored in existing.versions:
        if stored.version != version:
            continue
        if stored.integrity == publication.integrity:
            return "reused"
        if publication.force:
            return "replaced"
        raise Conflict(
            f"{publication.package}@{version} is published with other content: "
            "raise the version, or import with `force` to replace it",
            code="integrity_mismatch",
            param="version",
        )
    if publication.org is None:
        return "inserted"  # whoever ships packages may bring an older version later
    if not newer_than_all(version, existing.published):
        top = highest([v.version for v in existing.versions])
        raise Rejected(
            f"version {version} is not higher than {top}, which is published",
            code="post_install_failed",
            param="version",
        )
    return "inserted"
