"""Changes packages that are there: drafts, and what is said of their versions."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias, assert_never

from actors.accounts import Caller
from actors.ids import PackageId
from actors.packages.access import find_own
from actors.packages.content import invalid_manifest
from actors.packages.curation import Change, CurationRecords, remove, require, tag, yank
from actors.packages.drafts import Draft, edit
from actors.packages.manifest import Manifest, PackageType, manifest_problems
from actors.packages.records import PackageRecords, StoredPackage
from actors.packages.stored import discard
from actors.runtime import Actor, Address, Lane, NotFound, Request
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
CuratorMessage: TypeAlias = EditDraft | VersionMessage


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
