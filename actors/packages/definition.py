"""An agent resolved for a run: one version of it, and the skills it needs, each exactly one."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

import msgspec

from actors.ids import PackageId
from actors.packages.content import front_matter
from actors.packages.manifest import Manifest, dependencies
from actors.packages.records import StoredPackage, StoredVersion
from actors.runtime import FieldProblem, Rejected


class DraftText(msgspec.Struct, frozen=True, kw_only=True):
    """What a draft has changed in the archive it began as."""

    manifest: Manifest
    content: str | None


class BundlePart(msgspec.Struct, frozen=True, kw_only=True):
    """One package inside a run's bundle: an archive, with a draft's changes if it is one.

    A draft that was never an archive has no `integrity`.
    """

    identity: str
    integrity: str | None
    draft: DraftText | None = None


class Skill(msgspec.Struct, frozen=True, kw_only=True):
    """A skill as a run gets it."""

    package: PackageId
    manifest: Manifest
    content: str | None
    part: BundlePart


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


DRAFT = "draft"
KINDS = ("skills", "mcp_servers", "integrations")
NO_OVERRIDES: Mapping[str, str] = {}
FindPackages = Callable[[list[PackageId]], Awaitable[list[StoredPackage]]]
ReadVersion = Callable[[PackageId, str], Awaitable[StoredVersion | None]]


async def resolve_skills(
    manifest: Manifest,
    find: FindPackages,
    read: ReadVersion,
    overrides: Mapping[str, str] = NO_OVERRIDES,
) -> list[Skill]:
    """The skills of an agent, and the skills those depend on, breadth first, each once.

    `overrides` are taken instead of the declared ranges: a version, a range, a tag or `draft`.
    Raises one refusal with every dependency that has no package (`missing_skill`) or no version
    in its range (`dependency_unresolved`), and one for overrides of what is no dependency.
    """
    chosen: dict[PackageId, Skill] = {}
    problems: list[FieldProblem] = []
    wanted = _wanted(manifest)
    while wanted:
        packages = {p.id: p for p in await find([PackageId(name) for _, name, _ in wanted])}
        following: list[tuple[str, str, str]] = []
        for source, name, version_range in wanted:
            package = packages.get(PackageId(name))
            if PackageId(name) in chosen:
                continue
            query = overrides.get(name, version_range)
            problem = _problem(source, name, query, package)
            if problem is not None or package is None:
                problems += [problem] if problem else []
                continue
            chosen[package.id] = await _skill(package, query, read)
            following += _wanted(chosen[package.id].manifest)
        wanted = following
    if unknown := _unknown(manifest, overrides, chosen):
        raise Rejected(unknown[0].message, code="validation_failed", problems=unknown)
    problems += await _unfit(manifest, find, overrides)
    if problems:
        raise Rejected(problems[0].message, code=problems[0].code, problems=problems)
    return list(chosen.values())


async def _skill(package: StoredPackage, query: str, read: ReadVersion) -> Skill:
    if query == DRAFT:
        manifest, content = package.draft_manifest, package.draft_content
        part = BundlePart(
            identity=f"{package.id}@{manifest.get('version', DRAFT)}",
            integrity=package.draft_archive,
            draft=DraftText(manifest=manifest, content=content),
        )
        return Skill(package=package.id, manifest=manifest, content=content, part=part)
    version = await read(package.id, package.choose(query) or "")
    assert version is not None
    part = BundlePart(identity=f"{package.id}@{version.version}", integrity=version.integrity)
    return Skill(package=package.id, manifest=version.manifest, content=version.content, part=part)


def facts(skills: Sequence[Skill]) -> list[SkillFacts]:
    """What the prompt says of some skills: what their SKILL.md says of themselves."""
    found: list[SkillFacts] = []
    for skill in skills:
        about = front_matter(skill.content or "")
        found.append(
            SkillFacts(
                package=skill.package,
                name=about.get("name") or skill.package,
                description=about.get("description") or skill.manifest.get("description", ""),
            )
        )
    return found


def parts(skills: Sequence[Skill]) -> list[BundlePart]:
    """Some skills as parts of a bundle."""
    return [skill.part for skill in skills]


def _wanted(manifest: Manifest) -> list[tuple[str, str, str]]:
    source = str(manifest["name"])
    return [(source, name, wanted) for name, wanted in dependencies(manifest, "skills").items()]


def _unknown(
    manifest: Manifest, overrides: Mapping[str, str], chosen: Collection[str]
) -> list[FieldProblem]:
    """A problem for each override of something the agent does not depend on."""
    declared = {name for kind in KINDS for name in dependencies(manifest, kind)}
    has = ", ".join(sorted(declared | set(chosen))) or "none"
    return [
        FieldProblem(
            field=f"dependency_overrides.{name}",
            code="invalid_key",
            message=f"{name} is no dependency of this agent, which has: {has}",
        )
        for name in overrides
        if name not in declared and name not in chosen
    ]


async def _unfit(
    manifest: Manifest, find: FindPackages, overrides: Mapping[str, str]
) -> list[FieldProblem]:
    """A problem for each override of a dependency of another kind that no version fits."""
    others = {name: kind for kind in KINDS[1:] for name in dependencies(manifest, kind)}
    named = [PackageId(name) for name in overrides if name in others]
    packages = {package.id: package for package in await find(named)} if named else {}
    problems: list[FieldProblem] = []
    for name in named:
        package, query = packages.get(name), overrides[name]
        if package is None or (query != DRAFT and package.choose(query) is None):
            message = f"there is no version of {name} that fits {query!r}"
            field = f"dependencies.{others[name]}.{name}"
            problem = FieldProblem(field=field, code="dependency_unresolved", message=message)
            problems.append(problem)
    return problems


def _problem(
    source: str, name: str, version_range: str, package: StoredPackage | None
) -> FieldProblem | None:
    field = f"dependencies.skills.{name}"
    if package is None or package.type != "skill":
        message = f"{source} needs the skill {name}, which this organization does not have"
        return FieldProblem(field=field, code="missing_skill", message=message)
    if version_range != DRAFT and package.choose(version_range) is None:
        published = ", ".join(v.version for v in package.versions) or "none"
        message = f"{source} needs {name} {version_range}; published versions: {published}"
        return FieldProblem(field=field, code="dependency_unresolved", message=message)
    return None
