"""The catalogue: agents, skills, integrations and MCP servers, as those who use them see them."""

from typing import Any, TypeAlias, assert_never

import msgspec

from actors.accounts import Caller
from actors.ids import PackageId
from actors.packages.access import find_version, find_visible
from actors.packages.definition import AgentDefinition, Skill, facts, parts, resolve_skills
from actors.packages.manifest import Manifest, PackageType
from actors.packages.records import (
    AgentItem,
    PackageItem,
    PackageRecords,
    VersionItem,
)
from actors.packages.views import (
    AgentDetail,
    PackageDetail,
    VersionDetail,
    VersionSummary,
    agent_detail,
    package_detail,
    version_detail,
)
from actors.runtime import Actor, Lane, NotFound, Request

INLINE = "inline"
"""The version of an agent that is no package."""


class ListPackages(Request["Packages", list[PackageItem]], frozen=True, kw_only=True):
    """The packages of one type the caller's application sees, by name.

    `active` leaves out those that are switched off there.
    """

    caller: Caller
    type: PackageType
    active: bool = False


class ListAgents(Request["Packages", list[AgentItem]], frozen=True, kw_only=True):
    """The agents the caller's application sees, by name."""

    caller: Caller


class ShowPackage(Request["Packages", AgentDetail | PackageDetail], frozen=True, kw_only=True):
    """One package: its draft, or the `version` asked for (exact, tag or range)."""

    caller: Caller
    type: PackageType | None = None
    package: PackageId
    version: str | None = None


class ListVersions(Request["Packages", list[VersionItem]], frozen=True, kw_only=True):
    """The published versions of a package, newest first."""

    caller: Caller
    type: PackageType
    package: PackageId


class ShowVersion(Request["Packages", VersionDetail], frozen=True, kw_only=True):
    """One published version: exact, a tag or a range."""

    caller: Caller
    type: PackageType
    package: PackageId
    query: str


class SummarizeVersions(Request["Packages", VersionSummary], frozen=True, kw_only=True):
    """The latest version of a package, and the one that is used in the caller's application."""

    caller: Caller
    type: PackageType
    package: PackageId


class ResolveAgent(Request["Packages", AgentDefinition], frozen=True, kw_only=True):
    """The agent as it would run now.

    `version` is None (what the application is pinned to, else the latest published), `draft`,
    `published`, a tag, a version or a range; `overrides` are the same for its dependencies.
    Refuses with `no_published_version`, `missing_skill`, or `dependency_unresolved` when no
    published version of a skill fits.
    """

    caller: Caller
    package: PackageId
    version: str | None = None
    overrides: dict[str, str] = msgspec.field(default_factory=dict[str, str])


class ResolveInline(Request["Packages", AgentDefinition], frozen=True, kw_only=True):
    """An agent that is no package, with the skills its manifest names."""

    caller: Caller
    manifest: Manifest
    prompt: str


PackagesMessage: TypeAlias = (
    ListPackages
    | ListAgents
    | ShowPackage
    | ListVersions
    | ShowVersion
    | SummarizeVersions
    | ResolveAgent
    | ResolveInline
)


class Packages(Actor):
    """Reads the catalogue, each caller seeing what is installed in the application, or shipped."""

    lanes = (Lane("reads", 32),)

    def __init__(self, records: PackageRecords, timeout_ceiling: float) -> None:
        super().__init__()
        self._records = records
        self._timeout_ceiling = timeout_ceiling

    async def receive(self, message: PackagesMessage) -> Any:
        match message:
            case ListPackages():
                tenant, active = message.caller.tenant, message.active
                return await self._records.items(*tenant, message.type, active=active)
            case ListAgents():
                return await self._records.agents(*message.caller.tenant)
            case ShowPackage():
                return await self._show(message)
            case ListVersions():
                return await self._list_versions(message)
            case ShowVersion():
                return await self._show_version(message)
            case SummarizeVersions():
                return await self._summarize(message)
            case ResolveAgent():
                return await self._resolve(message)
            case ResolveInline():
                return await self._resolve_inline(message)
            case _:
                assert_never(message)

    async def _show(self, message: ShowPackage) -> AgentDetail | PackageDetail:
        package = await find_visible(self._records, message.caller, message.package, message.type)
        shown = None
        if message.version and message.version != "draft":
            shown = await find_version(self._records, package, message.version)
        org, application = message.caller.tenant
        if package.type != "agent":
            return package_detail(package, shown, await self._records.users(org, package.id))
        activity = await self._records.activity(application, package.id, message.caller.end_user)
        return agent_detail(package, shown, activity, self._timeout_ceiling)

    async def _list_versions(self, message: ListVersions) -> list[VersionItem]:
        found = await find_visible(self._records, message.caller, message.package, message.type)
        return await self._records.versions(found.id)

    async def _show_version(self, message: ShowVersion) -> VersionDetail:
        found = await find_visible(self._records, message.caller, message.package, message.type)
        return version_detail(found, await find_version(self._records, found, message.query))

    async def _summarize(self, message: SummarizeVersions) -> VersionSummary:
        found = await find_visible(self._records, message.caller, message.package, message.type)
        return VersionSummary(
            latest_published_version=found.latest, active_version=found.pinned or found.latest
        )

    async def _resolve(self, message: ResolveAgent) -> AgentDefinition:
        package = await find_visible(self._records, message.caller, message.package, "agent")
        if not package.enabled:
            raise NotFound(
                f"{package.id} is switched off in this application: enable it first",
                code="agent_not_installed_in_app",
            )
        query = message.version or package.pinned or "published"
        if package.source == "system" and query == "draft":
            query = "published"  # what the platform ships has no draft of its own
        if query == "draft":
            manifest, prompt = package.draft_manifest, package.draft_content
            label, ref = f"{manifest['version']} (draft)", "draft"
        else:
            version = await find_version(self._records, package, query)
            manifest, prompt = version.manifest, version.content
            label = ref = version.version
        skills = await self._skills(message.caller, manifest, message.overrides)
        return AgentDefinition(
            package=package.id,
            version_label=label,
            version_ref=ref,
            manifest=manifest,
            prompt=prompt or "",
            skills=facts(skills),
            parts=parts(skills),
        )

    async def _resolve_inline(self, message: ResolveInline) -> AgentDefinition:
        skills = await self._skills(message.caller, message.manifest, {})
        return AgentDefinition(
            package=PackageId(message.manifest["name"]),
            version_label=INLINE,
            version_ref=INLINE,
            manifest=message.manifest,
            prompt=message.prompt,
            skills=facts(skills),
            parts=parts(skills),
        )

    async def _skills(
        self, caller: Caller, manifest: Manifest, overrides: dict[str, str]
    ) -> list[Skill]:
        org, _ = caller.tenant
        return await resolve_skills(
            manifest,
            lambda names: self._records.owned(org, names),
            self._records.version,
            overrides,
        )
