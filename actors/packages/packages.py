"""The catalogue: agents, skills, integrations and MCP servers, as those who use them see them."""

from typing import Any, TypeAlias, assert_never

from actors.accounts import Caller
from actors.ids import PackageId
from actors.packages.definition import AgentDefinition, facts, parts, resolve_skills
from actors.packages.manifest import PackageType
from actors.packages.records import (
    AgentItem,
    PackageItem,
    PackageRecords,
    StoredPackage,
    StoredVersion,
)
from actors.packages.views import AgentDetail, PackageDetail, agent_detail, package_detail
from actors.runtime import Actor, Lane, NotFound, Request


class ListPackages(Request["Packages", list[PackageItem]], frozen=True, kw_only=True):
    """The packages of one type the caller's application sees, by name."""

    caller: Caller
    type: PackageType


class ListAgents(Request["Packages", list[AgentItem]], frozen=True, kw_only=True):
    """The agents the caller's application sees, by name."""

    caller: Caller


class ShowPackage(Request["Packages", AgentDetail | PackageDetail], frozen=True, kw_only=True):
    """One package: its draft, or the `version` asked for (exact, tag or range)."""

    caller: Caller
    type: PackageType
    package: PackageId
    version: str | None = None


class ResolveAgent(Request["Packages", AgentDefinition], frozen=True, kw_only=True):
    """The agent as it would run now.

    `version` is None (the latest published), `draft`, `published`, a tag, a version or a range.
    Refuses with `no_published_version`, `missing_skill`, or `dependency_unresolved` when no
    published version of a skill fits.
    """

    caller: Caller
    package: PackageId
    version: str | None = None


PackagesMessage: TypeAlias = ListPackages | ListAgents | ShowPackage | ResolveAgent


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
                return await self._records.items(*message.caller.tenant, message.type)
            case ListAgents():
                return await self._records.agents(*message.caller.tenant)
            case ShowPackage():
                return await self._show(message)
            case ResolveAgent():
                return await self._resolve(message)
            case _:
                assert_never(message)

    async def _show(self, message: ShowPackage) -> AgentDetail | PackageDetail:
        package = await self._visible(message.caller, message.package, message.type)
        shown = None
        if message.version and message.version != "draft":
            shown = await self._version(package, message.version)
        org, application = message.caller.tenant
        if package.type != "agent":
            return package_detail(package, shown, await self._records.users(org, package.id))
        activity = await self._records.activity(application, package.id)
        return agent_detail(package, shown, activity, self._timeout_ceiling)

    async def _visible(
        self, caller: Caller, package: PackageId, kind: PackageType
    ) -> StoredPackage:
        found = await self._records.visible(*caller.tenant, package)
        if found is None or found.type != kind:
            code = "agent_not_found" if kind == "agent" else "not_found"
            raise NotFound(f"there is no {kind} {package} in this application", code=code)
        return found

    async def _version(self, package: StoredPackage, query: str) -> StoredVersion:
        version = package.choose(query)
        found = await self._records.version(package.id, version) if version else None
        if found is not None:
            return found
        if package.versions:
            raise NotFound(f"no published version of {package.id} fits {query!r}")
        raise NotFound(
            f"{package.id} was never published: publish its draft, or ask for ?version=draft",
            code="no_published_version",
        )

    async def _resolve(self, message: ResolveAgent) -> AgentDefinition:
        org, _ = message.caller.tenant
        package = await self._visible(message.caller, message.package, "agent")
        query = message.version or "published"
        if package.source == "system" and query == "draft":
            query = "published"  # what the platform ships has no draft of its own
        if query == "draft":
            manifest, prompt = package.draft_manifest, package.draft_content
            label, ref = f"{manifest['version']} (draft)", "draft"
        else:
            version = await self._version(package, query)
            manifest, prompt = version.manifest, version.content
            label = ref = version.version
        skills = await resolve_skills(
            manifest, lambda names: self._records.owned(org, names), self._records.version
        )
        return AgentDefinition(
            package=package.id,
            version_label=label,
            version_ref=ref,
            manifest=manifest,
            prompt=prompt or "",
            skills=facts(skills),
            parts=parts(skills),
        )
