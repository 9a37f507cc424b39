"""Changes to packages that are there: what each writes, decided over what is stored."""

import re
from collections.abc import Callable, Collection
from typing import Protocol

import msgspec

from actors.ids import PackageId
from actors.packages.drafts import Draft
from actors.packages.records import ArchiveRecords, StoredPackage
from actors.packages.versions import highest, is_stable, moves_latest
from actors.runtime import NotFound, Rejected

TAG = re.compile(r"[a-z][a-z0-9._-]*")
PROTECTED = ("latest", "draft", "published")


class Yank(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a version is yanked, and why."""

    version: str
    yanked: bool
    reason: str | None


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What to write: a new draft, a version to yank or to remove, all tags as they are after."""

    draft: Draft | None = None
    yank: Yank | None = None
    removed: str | None = None
    tags: dict[str, str] | None = None


class CurationRecords(ArchiveRecords, Protocol):
    """Where packages are changed. Each method is one transaction."""

    async def change(
        self, package: PackageId, decide: Callable[[StoredPackage], Change]
    ) -> list[str]:
        """Write what `decide` makes of a package; changes of one package wait for each other.

        Answers the integrities of archives it does not name any more.
        """
        ...

    async def delete(self, package: PackageId) -> list[str]:
        """Delete a package with all its versions; answers the integrities of its archives.

        Refuses with `agent_in_use` while it has active runs, and with `in_use` while a draft or
        a version that is not yanked of another package of its organization depends on it.
        """
        ...


def yank(package: StoredPackage, version: str, *, yanked: bool, reason: str | None) -> Change:
    """Take a version out of ranges and tags, or back into them.

    Tags at a yanked version move to the highest stable one that is left, or go. A version that
    comes back is the latest again when it is the highest.
    """
    require(package, version)
    tags = dict(package.tags)
    if yanked:
        tags = _without(package, {version}, tags)
    elif moves_latest(version, package.latest):
        tags["latest"] = version
    return Change(yank=Yank(version=version, yanked=yanked, reason=reason), tags=tags)


def remove(package: StoredPackage, version: str) -> Change:
    """Delete a version; `latest` moves to the highest stable one that is left, or goes."""
    require(package, version)
    tags = {t: v for t, v in package.tags.items() if v != version or t == "latest"}
    return Change(removed=version, tags=_without(package, {version}, tags))


def tag(package: StoredPackage, name: str, version: str | None) -> Change:
    """Point a dist-tag at a version, or with None delete it."""
    if TAG.fullmatch(name) is None or len(name) > 64:
        raise Rejected(
            f"{name[:80]!r} is no tag: a tag is a lower-case word such as `beta`", param="tag"
        )
    if name in PROTECTED:
        raise Rejected(f"the tag {name} is set by the platform alone", param="tag")
    tags = dict(package.tags)
    if version is not None:
        require(package, version)
        if any(v.version == version and v.yanked for v in package.versions):
            raise Rejected(f"{version} is yanked and cannot be tagged", param="version")
        tags[name] = version
    elif tags.pop(name, None) is None:
        raise NotFound(f"{package.id} has no tag {name}")
    return Change(tags=tags)


def require(package: StoredPackage, version: str) -> None:
    """Refuse unless this exact version is published."""
    if all(v.version != version for v in package.versions):
        raise NotFound(f"there is no version {version} of {package.id}; name one exactly")


def _without(package: StoredPackage, gone: Collection[str], tags: dict[str, str]) -> dict[str, str]:
    stable = [
        v.version
        for v in package.versions
        if v.version not in gone and not v.yanked and is_stable(v.version)
    ]
    best = highest(stable) if stable else None
    moved = {tag: best if version in gone else version for tag, version in tags.items()}
    return {tag: version for tag, version in moved.items() if version is not None}
