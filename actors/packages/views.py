"""What a client reads about one package."""

from datetime import datetime
from typing import Any

import msgspec

from actors.contract import Resource, spell
from actors.documents import as_object
from actors.ids import PackageId
from actors.packages.manifest import Manifest, dependencies, effective_timeout
from actors.packages.records import (
    AgentActivity,
    PackageItem,
    RunSummary,
    StoredPackage,
    StoredVersion,
)


class InputView(Resource, frozen=True, kw_only=True, rename=spell, omit_defaults=True):
    """The input of an agent: its schema and what the application has set."""

    schema: dict[str, Any]
    values: dict[str, Any]
    locked_fields: list[str]
    file_constraints: dict[str, Any] | None = None
    ui_hints: dict[str, Any] | None = None
    property_order: list[str] | None = None


class AgentDetail(Resource, frozen=True, kw_only=True, rename=spell):
    """Everything about one agent. The last four fields are there for one's own agents only."""

    id: PackageId
    display_name: str = msgspec.field(name="display_name")
    description: str | None
    source: str
    scope: str
    version: str | None
    dependencies: dict[str, list[dict[str, Any]]]
    input: InputView
    output: dict[str, Any] | None
    running_runs: int
    last_run: RunSummary | None
    version_count: int
    has_unarchived_changes: bool
    effective_timeout_seconds: float
    forked_from: str | None
    manifest: Manifest | msgspec.UnsetType = msgspec.UNSET
    prompt: str | msgspec.UnsetType | None = msgspec.UNSET
    updated_at: datetime | msgspec.UnsetType = msgspec.UNSET
    lock_version: int | msgspec.UnsetType = msgspec.UNSET


class PackageDetail(PackageItem, frozen=True, kw_only=True, rename=spell):
    """Everything about one skill, integration or MCP server; `agents` are those that use it."""

    content: str | None
    agents: list[PackageId]
    manifest: Manifest
    manifest_name: str
    lock_version: int
    version_count: int
    has_unarchived_changes: bool


class VersionDetail(Resource, frozen=True, kw_only=True, rename=spell):
    """One published version of a package, with the tags that point at it."""

    id: int
    version: str
    manifest: Manifest
    content: str | None
    integrity: str
    artifact_size: int
    yanked: bool
    yanked_reason: str | None
    created_at: datetime
    dist_tags: list[str]


class VersionSummary(Resource, frozen=True, kw_only=True, rename=spell):
    """The latest published version, and the one that is used in an application."""

    latest_published_version: str | None
    active_version: str | None


def split_name(package: str) -> tuple[str, str]:
    """Scope and name of a package id: `@acme/report` gives `@acme` and `report`."""
    scope, _, name = package.partition("/")
    return scope, name


def agent_detail(
    package: StoredPackage,
    shown: StoredVersion | None,
    activity: AgentActivity,
    ceiling: float,
) -> AgentDetail:
    """The detail of an agent as of its draft, or of the version to be `shown`."""
    manifest = shown.manifest if shown else package.draft_manifest
    scope, _ = split_name(package.id)
    detail = AgentDetail(
        id=package.id,
        display_name=manifest.get("display_name") or package.id,
        description=manifest.get("description"),
        source=package.source,
        scope=scope,
        version=shown.version if shown else package.latest or manifest.get("version"),
        dependencies=_dependencies(manifest),
        input=_input(manifest, activity),
        output=manifest.get("output"),
        running_runs=activity.running_runs,
        last_run=activity.last_run,
        version_count=len(package.versions),
        has_unarchived_changes=package.unpublished_changes,
        effective_timeout_seconds=min(effective_timeout(manifest), ceiling),
        forked_from=package.forked_from,
    )
    if package.org_id is None:
        return detail
    return msgspec.structs.replace(
        detail,
        manifest=manifest,
        prompt=shown.content if shown else package.draft_content,
        updated_at=package.updated_at,
        lock_version=package.lock_version,
    )


def package_detail(
    package: StoredPackage, shown: StoredVersion | None, agents: list[PackageId]
) -> PackageDetail:
    """The detail of any other package as of its draft, or of the version to be `shown`."""
    manifest = shown.manifest if shown else package.draft_manifest
    scope, name = split_name(package.id)
    return PackageDetail(
        id=package.id,
        name=name,
        description=manifest.get("description"),
        source=package.source,
        scope=scope,
        version=shown.version if shown else package.latest or manifest.get("version"),
        forked_from=package.forked_from,
        created_by=package.created_by,
        created_by_name=package.created_by_name,
        created_at=package.created_at,
        updated_at=package.updated_at,
        auto_installed=package.auto_installed,
        content=shown.content if shown else package.draft_content,
        used_by_agents=len(agents),
        agents=agents,
        manifest=manifest,
        manifest_name=str(manifest["name"]),
        lock_version=package.lock_version,
        version_count=len(package.versions),
        has_unarchived_changes=package.unpublished_changes,
    )


def version_detail(package: StoredPackage, version: StoredVersion) -> VersionDetail:
    """The detail of one version of a package."""
    tags = sorted(tag for tag, target in package.tags.items() if target == version.version)
    return VersionDetail(**msgspec.structs.asdict(version), dist_tags=tags)


def _dependencies(manifest: Manifest) -> dict[str, list[dict[str, Any]]]:
    configured = manifest.get("integrations_configuration", {})
    return {
        "skills": [{"id": k, "version": v} for k, v in dependencies(manifest, "skills").items()],
        "mcp_servers": [
            {"id": k, "version": v} for k, v in dependencies(manifest, "mcp_servers").items()
        ],
        "integrations": [
            {"id": k, "version": v} | configured.get(k, {})
            for k, v in dependencies(manifest, "integrations").items()
        ],
    }


def _input(manifest: Manifest, activity: AgentActivity) -> InputView:
    wrapper = as_object(manifest.get("input"))
    return InputView(
        schema=wrapper.get("schema") or {"type": "object", "properties": {}},
        values=activity.input_values,
        locked_fields=activity.locked_fields,
        file_constraints=wrapper.get("file_constraints"),
        ui_hints=wrapper.get("ui_hints"),
        property_order=wrapper.get("property_order"),
    )
