"""Changes packages that are there: drafts, and what is said of their versions."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias, assert_never

from actors.accounts import Caller
from actors.ids import PackageId
from actors.packages.access import find_own
from actors.packages.content import invalid_manifest
from actors.packages.curation import Change, CurationRecords, remove, require, tag, yank
from actors.packages.drafts import Draft, edit, with_skills
from actors.packages.manifest import Manifest, PackageType, manifest_problems
from actors.packages.records import PackageRecords, StoredPackage
from actors.packages.stored import discard
from actors.runtime import Actor, Address, FieldProblem, Lane, NotFound, Rejected, Request
from actors.storage import Storage


class EditDraft(Request["Curator", None], frozen=True, kw_only=True):
    """Write the draft anew; `manifest` or `content` that is None stays as it is.

    Refuses with `conflict` when the draft is not at `lock_version` any more.
    """

    caller: Caller
    type: PackageType
    package: PackageId
    lock_version: int
    manifest: Manifest | None = None
    content: str | None = None


class ChooseSkills(Request["Curator", None], frozen=True, kw_only=True):
    """Make these the skills of an agent's draft; those it has keep their ranges.

    Refuses with `missing_skill` naming every one the organization does not have.
    """

    caller: Caller
    package: PackageId
    skills: Sequence[PackageId]
    type: PackageType = "agent"


class DeletePackage(Request["Curator", None], frozen=True, kw_only=True):
    """Delete a package with its versions and archives; runs stay, under its name.

    Refuses with `agent_in_use` while it has active runs, with `in_use` while others need it.
    """

    caller: Caller
    type: PackageType
    package: PackageId


class RestoreVersion(Request["Curator", None], frozen=True, kw_only=True):
    """Make the draft what an exact version is."""

    caller: Caller
    type: PackageType
    package: PackageId
    version: str


class DeleteVersion(Request["Curator", None], frozen=True, kw_only=True):
    """Delete an exact version; its name may be published again if it is the highest then."""

    caller: Caller
    type: PackageType
    package: PackageId
    version: str


class YankVersion(Request["Curator", None], frozen=True, kw_only=True):
    """Take an exact version out of ranges and tags, or back: it is still found by its name."""

    caller: Caller
    type: PackageType
    package: PackageId
    version: str
    yanked: bool
    reason: str | None = None


class TagVersion(Request["Curator", None], frozen=True, kw_only=True):
    """Point a dist-tag at an exact version; None deletes the tag."""

    caller: Caller
    type: PackageType
    package: PackageId
    tag: str
    version: str | None


VersionMessage: TypeAlias = RestoreVersion | DeleteVersion | YankVersion | TagVersion
CuratorMessage: TypeAlias = EditDraft | ChooseSkills | DeletePackage | VersionMessage


class Curator(Actor):
    """Changes packages of the caller's own organization; two changes of one wait for each other.

    What the platform ships is refused with `operation_not_allowed`. Archives that nothing names
    any more are deleted once the change is committed.
    """

    lanes = (Lane("changes", 16, limit=64),)

    def __init__(
        self, records: CurationRecords, catalogue: PackageRecords, storage: Address[Storage]
    ) -> None:
        super().__init__()
        self._records = records
        self._catalogue = catalogue
        self._storage = storage

    async def receive(self, message: CuratorMessage) -> Any:
        await find_own(self._catalogue, message.caller, message.package, message.type)
        match message:
            case EditDraft():
                await self._edit(message)
            case ChooseSkills():
                await self._choose_skills(message)
            case DeletePackage():
                archives = await self._records.delete(message.package)
                await discard(self._records, self._storage, archives)
            case RestoreVersion():
                await self._restore(message)
            case DeleteVersion():
                await self._apply(message.package, partial(remove, version=message.version))
            case YankVersion():
                change = partial(
                    yank, version=message.version, yanked=message.yanked, reason=message.reason
                )
                await self._apply(message.package, change)
            case TagVersion():
                change = partial(tag, name=message.tag, version=message.version)
                await self._apply(message.package, change)
            case _:
                assert_never(message)

    async def _apply(self, package: PackageId, decide: Callable[[StoredPackage], Change]) -> None:
        unused = await self._records.change(package, decide)
        await discard(self._records, self._storage, unused)

    async def _edit(self, message: EditDraft) -> None:
        if message.manifest is not None and (problems := manifest_problems(message.manifest)):
            raise invalid_manifest(problems, under="manifest")

        def decide(package: StoredPackage) -> Change:
            draft = edit(package, message.lock_version, message.manifest, message.content)
            return Change(draft=draft)

        await self._apply(message.package, decide)

    async def _choose_skills(self, message: ChooseSkills) -> None:
        org, _ = message.caller.tenant
        known = await self._catalogue.owned(org, list(message.skills))
        found = {each.id: each for each in known if each.type == "skill"}
        problems = [
            FieldProblem(field=f"skillIds[{n}]", code="missing_skill", message=f"no skill {skill}")
            for n, skill in enumerate(message.skills)
            if skill not in found
        ]
        if problems:
            told = ", ".join(problem.message for problem in problems)
            raise Rejected(
                f"the organization does not have these: {told}",
                code="missing_skill",
                problems=problems,
            )
        latest = {str(skill): found[skill].latest for skill in message.skills}
        ranges = {skill: f"^{version}" if version else "*" for skill, version in latest.items()}

        def decide(package: StoredPackage) -> Change:
            return Change(draft=with_skills(package, ranges))

        await self._apply(message.package, decide)

    async def _restore(self, message: RestoreVersion) -> None:
        version = await self._catalogue.version(message.package, message.version)
        if version is None:
            raise NotFound(f"there is no version {message.version} of {message.package}")

        def decide(package: StoredPackage) -> Change:
            require(package, version.version)
            return Change(
                draft=Draft(
                    manifest=version.manifest, content=version.content, archive=version.integrity
                )
            )

        await self._apply(message.package, decide)
