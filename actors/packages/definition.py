"""An agent resolved for a run: one version of it, and the skills it needs, each exactly one."""

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from actors.ids import PackageId
from actors.packages.content import front_matter
from actors.packages.manifest import Manifest, dependencies
from actors.packages.records import StoredPackage, StoredVersion
from actors.runtime import FieldProblem, Rejected


class BundlePart(msgspec.Struct, frozen=True, kw_only=True):
    """One published package inside a run's bundle."""

    identity: str
    integrity: str


class SkillFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A skill as the prompt lists it."""

    package: PackageId
    name: str
    description: str


class AgentDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """One version of an agent with everything it depends on, resolved."""

    package: PackageId
    version_label: str
    version_ref: str
    manifest: Manifest
    prompt: str
    skills: list[SkillFacts]
    parts: list[BundlePart]


FindPackages = Callable[[list[PackageId]], Awaitable[list[StoredPackage]]]
ReadVersion = Callable[[PackageId, str], Awaitable[StoredVersion | None]]


async def resolve_skills(
    manifest: Manifest, find: FindPackages, read: ReadVersion
) -> list[tuple[PackageId, StoredVersion]]:
    """The skills of an agent, and the skills those depend on, breadth first, each once.

    Raises one refusal with every dependency that has no package (`missing_skill`) or no version
    in its range (`dependency_unresolved`).
    """
    chosen: dict[PackageId, StoredVersion] = {}
    problems: list[FieldProblem] = []
    wanted = _wanted(manifest)
    while wanted:
        packages = {p.id: p for p in await find([PackageId(name) for _, name, _ in wanted])}
        following: list[tuple[str, str, str]] = []
        for source, name, version_range in wanted:
            package = packages.get(PackageId(name))
            if PackageId(name) in chosen:
                continue
            problem = _problem(source, name, version_range, package)
            if problem is not None or package is None:
                problems += [problem] if problem else []
                continue
            version = await read(package.id, package.choose(version_range) or "")
            assert version is not None
            chosen[package.id] = version
            following += _wanted(version.manifest)
        wanted = following
    if problems:
        raise Rejected(problems[0].message, code=problems[0].code, problems=problems)
    return list(chosen.items())


def facts(skills: Sequence[tuple[PackageId, StoredVersion]]) -> list[SkillFacts]:
    """What the prompt says of some skills: what their SKILL.md says of themselves."""
    found: list[SkillFacts] = []
    for package, version in skills:
        about = front_matter(version.content or "")
        found.append(
            SkillFacts(
                package=package,
                name=about.get("name") or package,
                description=about.get("description") or version.manifest.get("description", ""),
            )
        )
    return found


def parts(skills: Sequence[tuple[PackageId, StoredVersion]]) -> list[BundlePart]:
    """Some skills as parts of a bundle."""
    return [
        BundlePart(identity=f"{package}@{version.version}", integrity=version.integrity)
        for package, version in skills
    ]


def _wanted(manifest: Manifest) -> list[tuple[str, str, str]]:
    source = str(manifest["name"])
    return [(source, name, wanted) for name, wanted in dependencies(manifest, "skills").items()]


def _problem(
    source: str, name: str, version_range: str, package: StoredPackage | None
) -> FieldProblem | None:
    field = f"dependencies.skills.{name}"
    if package is None or package.type != "skill":
        message = f"{source} needs the skill {name}, which this organization does not have"
        return FieldProblem(field=field, code="missing_skill", message=message)
    if package.choose(version_range) is None:
        published = ", ".join(v.version for v in package.versions) or "none"
        message = f"{source} needs {name} {version_range}; published versions: {published}"
        return FieldProblem(field=field, code="dependency_unresolved", message=message)
    return None
