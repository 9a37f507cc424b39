"""Versions and what may be asked of them: exact, dist-tag or npm range, in that order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import nodesemver
from semantic_version import Version

npm: Any = nodesemver  # it ships no types
LONGEST_RANGE = 256


@dataclass(frozen=True, slots=True)
class Published:
    """One published version, as far as choosing is concerned."""

    version: str
    yanked: bool = False


def is_version(text: str) -> bool:
    """Whether `text` is a valid semantic version."""
    try:
        Version(text)
    except ValueError:
        return False
    return text.isprintable()


def is_range(text: str) -> bool:
    """Whether `text` is a range in npm's grammar, of 256 characters at most as with npm."""
    if len(text) > LONGEST_RANGE:
        return False
    try:
        npm.make_range(text, loose=False)
    except ValueError:
        return False
    return True


def choose(
    query: str, versions: Sequence[Published], tags: Mapping[str, str] | None = None
) -> str | None:
    """The version a query means, or None.

    An exact version must be there, and is found although yanked; its build does not count. A known
    tag means its target, and nothing when that is yanked. A range means the highest version in it
    that is not yanked; prereleases count as in npm. `published` is another word for `latest`.
    """
    if is_version(query):
        wanted = Version(query).truncate("prerelease")
        same = [v.version for v in versions if Version(v.version).truncate("prerelease") == wanted]
        return query if query in same else next(iter(same), None)
    tag = "latest" if query == "published" else query
    target = (tags or {}).get(tag)
    if target is not None:
        found = any(v.version == target and not v.yanked for v in versions)
        return target if found else None
    if not is_range(query):
        return None
    alive = [v.version for v in versions if not v.yanked]
    fitting = [version for version in alive if npm.satisfies(version, query, loose=False)]
    return max(fitting, key=Version) if fitting else None


def newer_than_all(version: str, versions: Sequence[Published]) -> bool:
    """Whether `version` is strictly greater than every one there is, yanked ones included."""
    return all(Version(version) > Version(v.version) for v in versions)


def highest(versions: Sequence[str]) -> str:
    """The greatest of some valid versions; there must be one."""
    return str(max(Version(v) for v in versions))


def next_patch(version: str) -> str:
    """The stable version that follows."""
    return str(Version(version).next_patch())


def is_stable(version: str) -> bool:
    """Whether a version has no prerelease part."""
    return not Version(version).prerelease


def moves_latest(version: str, latest: str | None) -> bool:
    """Whether publishing `version` moves the tag `latest`: only a stable one that is not older."""
    parsed = Version(version)
    return not parsed.prerelease and (latest is None or parsed >= Version(latest))
