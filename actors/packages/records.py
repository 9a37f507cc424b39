"""What packages are made of, and what is kept of them."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Literal, Protocol

import msgspec

from actors.contract import Resource, spell
from actors.ids import ApplicationId, EndUserId, OrgId, PackageId, UserId
from actors.packages.manifest import Manifest, PackageType
from actors.packages.versions import Published, choose


class VersionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A published version, without its text; `integrity` is the SRI digest of its archive."""

    version: str
    integrity: str
    yanked: bool = False


class StoredVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A published version, whole; `artifact_size` is the size of its archive in bytes."""

    id: int
    version: str
    integrity: str
    artifact_size: int
    manifest: Manifest
    content: str | None
    yanked: bool
    yanked_reason: str | None
    created_at: datetime


class VersionItem(Resource, frozen=True, kw_only=True, rename=spell):
    """A published version in a list."""

    id: int
    version: str
    integrity: str
    artifact_size: int
    yanked: bool
    created_by: UserId | None
    created_at: datetime


class StoredPackage(msgspec.Struct, frozen=True, kw_only=True):
    """A package: its draft, and what was published of it, oldest version first.

    `draft_archive` is the integrity of the archive that holds the draft's other files. `pinned` is
    the version the application in question asks for, where one is in question.
    """

    id: PackageId
    org_id: OrgId | None
    type: PackageType
    source: str
    draft_manifest: Manifest
    draft_content: str | None
    draft_archive: str | None = None
    unpublished_changes: bool
    lock_version: int
    forked_from: str | None
    auto_installed: bool
    created_by: UserId | None
    created_by_name: str | None
    created_at: datetime
    updated_at: datetime
    versions: list[VersionRow]
    tags: dict[str, str]
    pinned: str | None = None
    enabled: bool = True

    @property
    def latest(self) -> str | None:
        """The version tagged `latest`."""
        return self.tags.get("latest")

    @property
    def published(self) -> list[Published]:
        """Its versions, as far as choosing is concerned."""
        return [Published(v.version, v.yanked) for v in self.versions]

    def choose(self, query: str) -> str | None:
        """The version a query means, or None."""
        return choose(query, self.published, self.tags)


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """A draft to be stored and, with `publish`, a version to be published of it.

    `org` is None for packages shipped with the platform. `force` overwrites an unpublished draft
    and replaces the bytes of a published version. `of_draft` is the `lock_version` of the draft
    that is published, None when it comes from elsewhere.
    """

    package: PackageId
    type: PackageType
    manifest: Manifest
    content: str | None
    integrity: str
    size: int
    org: OrgId | None = None
    application: ApplicationId | None = None
    user: UserId | None = None
    forked_from: PackageId | None = None
    auto_installed: bool = False
    publish: bool = True
    only_new: bool = False
    force: bool = False
    of_draft: int | None = None

    @property
    def version(self) -> str:
        """The version of the manifest."""
        return str(self.manifest["version"])


class PackageItem(Resource, frozen=True, kw_only=True, rename=spell):
    """A package in a list."""

    id: PackageId
    name: str
    description: str | None
    source: str
    scope: str
    version: str | None
    forked_from: str | None
    created_by: UserId | None
    created_by_name: str | None
    created_at: datetime
    updated_at: datetime
    used_by_agents: int
    auto_installed: bool


class AgentItem(Resource, frozen=True, kw_only=True, rename=spell):
    """An agent in a list."""

    id: PackageId
    display_name: str = msgspec.field(name="display_name")
    description: str | None
    schema_version: str | None
    author: Any
    keywords: list[str]
    dependencies: dict[str, dict[str, str]]
    running_runs: int
    source: str
    scope: str
    version: str | None
    type: str = "agent"


class RunSummary(Resource, frozen=True, kw_only=True, rename=spell):
    """The last run of an agent, in a few words."""

    id: str
    status: str
    started_at: datetime
    duration: int | None


class AgentActivity(msgspec.Struct, frozen=True, kw_only=True):
    """How busy an agent is in one application, and what is set for its input there."""

    running_runs: int
    last_run: RunSummary | None
    input_values: dict[str, Any]
    locked_fields: list[str]


class PackageRecords(Protocol):
    """Where packages are read. Each method is one transaction."""

    async def find(self, package: PackageId) -> StoredPackage | None:
        """A package, whoever owns it."""
        ...

    async def visible(
        self, org: OrgId, application: ApplicationId, package: PackageId
    ) -> StoredPackage | None:
        """A package that is installed in this application, or shipped with the platform.

        It tells the version the application is pinned to, and whether it is enabled there.
        """
        ...

    async def version(self, package: PackageId, version: str) -> StoredVersion | None:
        """One published version, whole."""
        ...

    async def versions(self, package: PackageId) -> list[VersionItem]:
        """Every published version, newest first."""
        ...

    async def items(
        self, org: OrgId, application: ApplicationId, kind: PackageType, *, active: bool
    ) -> list[PackageItem]:
        """The visible packages of one type, by name; `active`: only those not switched off."""
        ...

    async def agents(self, org: OrgId, application: ApplicationId) -> list[AgentItem]:
        """The visible agents, by name, with how busy they are."""
        ...

    async def users(self, org: OrgId, package: PackageId) -> list[PackageId]:
        """The agents this organization may use that depend on a package, by name."""
        ...

    async def activity(
        self, application: ApplicationId, package: PackageId, end_user: EndUserId | None
    ) -> AgentActivity:
        """How busy an agent is, and its last run: the last one of an end user, if one is named."""
        ...

    async def owned(self, org: OrgId, packages: list[PackageId]) -> list[StoredPackage]:
        """Those of `packages` that this organization may use: its own and the shipped ones."""
        ...


class Adopted(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one package of a bundle."""

    status: Literal["inserted", "reused"]
    version_id: int


class ArchiveRecords(Protocol):
    """Which archives are named by a draft or a version. Each method is one transaction."""

    async def discard(self, integrity: str, delete: Callable[[str], Awaitable[None]]) -> None:
        """Call `delete` if nothing names this archive; until it is done nothing can."""
        ...


class PublicationRecords(ArchiveRecords, Protocol):
    """Where packages are written. Each method is one transaction."""

    async def store(self, publication: Publication) -> list[str]:
        """Store a draft and publish it, as `rules.admit` decides over what there is.

        Installs the package in the publication's application. Two publications of one package
        wait for each other. Answers the integrities of archives the package does not name any more.
        """
        ...

    async def slug(self, org: OrgId) -> str:
        """The slug of an organization."""
        ...

    async def system_integrities(self) -> dict[tuple[str, str], str]:
        """(package, version) → integrity of every shipped version."""
        ...


class BundleRecords(Protocol):
    """Where the packages of a bundle are written. Each method is one transaction."""

    async def find(self, package: PackageId) -> StoredPackage | None:
        """A package, whoever owns it."""
        ...

    async def adopt(self, publications: list[Publication]) -> list[Adopted]:
        """Publish every version that is not published, and install those with an application.

        A package that is new gets its draft; the drafts of others stay as they are. The answers
        are in the order of the publications. Refuses what `rules.adopt` refuses, and then
        publishes none.
        """
        ...
