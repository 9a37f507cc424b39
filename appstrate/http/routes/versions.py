"""The versions of a package: publishing, yanking, tags."""

from typing import Annotated

import msgspec

from actors.contract import spell
from actors.packages import (
    AgentDetail,
    DeleteVersion,
    ListVersions,
    PackageDetail,
    PackageType,
    PublishDraft,
    RestoreVersion,
    ShowPackage,
    ShowVersion,
    SummarizeVersions,
    TagVersion,
    VersionDetail,
    VersionItem,
    VersionSummary,
    YankVersion,
)
from appstrate.http.call import Call, Routes, Scope
from appstrate.http.routes.folders import FOLDERS

routes = Routes()


class PublishBody(msgspec.Struct, kw_only=True):
    """What to publish the draft as; by default the version of its manifest."""

    version: str | None = None


class YankBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Why a version is yanked."""

    reason: Annotated[str, msgspec.Meta(max_length=500)] | None = None


class TagBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The exact version a tag points at."""

    version: str


class VersionList(msgspec.Struct, kw_only=True, rename=spell):
    """The published versions of a package, newest first."""

    versions: list[VersionItem]


def _reading(folder: str, kind: PackageType) -> None:
    path = f"/api/packages/{folder}/{{scope}}/{{name}}/versions"

    @routes.add("GET", path, Scope.APPLICATION, f"{folder}:read")
    async def list_versions(call: Call) -> VersionList:
        """The published versions, newest first."""
        found = await call.at.packages.ask(
            ListVersions(caller=call.caller, type=kind, package=call.package)
        )
        return VersionList(versions=found)

    @routes.add("GET", f"{path}/info", Scope.APPLICATION, f"{folder}:read")
    async def summarize_versions(call: Call) -> VersionSummary:
        """The latest published version, and the one this application uses."""
        return await call.at.packages.ask(
            SummarizeVersions(caller=call.caller, type=kind, package=call.package)
        )

    @routes.add("GET", f"{path}/{{version}}", Scope.APPLICATION, f"{folder}:read")
    async def show_version(call: Call) -> VersionDetail:
        """One published version: exact, a range or a tag."""
        return await _shown(call, kind, call.request.match_info["version"])


def _publishing(folder: str, kind: PackageType) -> None:
    path = f"/api/packages/{folder}/{{scope}}/{{name}}/versions"

    @routes.add(
        "POST",
        path,
        Scope.APPLICATION,
        f"{folder}:write",
        body=PublishBody,
        status=201,
        refuses={
            400: "invalid_manifest",
            403: "operation_not_allowed",
            409: "conflict no_changes version_exists",
        },
    )
    async def publish_draft(call: Call, body: PublishBody) -> VersionDetail:
        """Publish the draft as a version higher than all there are."""
        published = await call.at.publisher.ask(
            PublishDraft(caller=call.caller, type=kind, package=call.package, version=body.version)
        )
        return await _shown(call, kind, published)

    @routes.add(
        "POST",
        f"{path}/{{version}}/restore",
        Scope.APPLICATION,
        f"{folder}:write",
        refuses={403: "operation_not_allowed", 409: "conflict"},
    )
    async def restore_version(call: Call) -> AgentDetail | PackageDetail:
        """Make the draft what this version is."""
        version = call.request.match_info["version"]
        await call.at.curator.ask(
            RestoreVersion(caller=call.caller, type=kind, package=call.package, version=version)
        )
        return await call.at.packages.ask(
            ShowPackage(caller=call.caller, type=kind, package=call.package)
        )

    @routes.add(
        "DELETE",
        f"{path}/{{version}}",
        Scope.APPLICATION,
        f"{folder}:delete",
        status=204,
        refuses={403: "operation_not_allowed"},
    )
    async def delete_version(call: Call) -> None:
        """Delete an exact version; `latest` moves to the highest stable one left."""
        version = call.request.match_info["version"]
        await call.at.curator.ask(
            DeleteVersion(caller=call.caller, type=kind, package=call.package, version=version)
        )


def _yanking(folder: str, kind: PackageType) -> None:
    path = f"/api/packages/{folder}/{{scope}}/{{name}}/versions/{{version}}/yank"

    @routes.add(
        "POST",
        path,
        Scope.APPLICATION,
        f"{folder}:write",
        body=YankBody,
        refuses={403: "operation_not_allowed"},
    )
    async def yank_version(call: Call, body: YankBody) -> VersionDetail:
        """Take an exact version out of ranges and tags; it is still found by its name."""
        return await _yanked(call, kind, yanked=True, reason=body.reason)

    @routes.add(
        "DELETE",
        path,
        Scope.APPLICATION,
        f"{folder}:write",
        refuses={403: "operation_not_allowed"},
    )
    async def unyank_version(call: Call) -> VersionDetail:
        """Bring a yanked version back."""
        return await _yanked(call, kind, yanked=False)


def _tagging(folder: str, kind: PackageType) -> None:
    path = f"/api/packages/{folder}/{{scope}}/{{name}}/dist-tags/{{tag}}"

    @routes.add(
        "PUT",
        path,
        Scope.APPLICATION,
        f"{folder}:write",
        body=TagBody,
        refuses={403: "operation_not_allowed"},
    )
    async def tag_version(call: Call, body: TagBody) -> VersionDetail:
        """Point a dist-tag at an exact version; `latest` is the platform's own."""
        await _tagged(call, kind, body.version)
        return await _shown(call, kind, body.version)

    @routes.add(
        "DELETE",
        path,
        Scope.APPLICATION,
        f"{folder}:write",
        status=204,
        refuses={403: "operation_not_allowed"},
    )
    async def delete_tag(call: Call) -> None:
        """Delete a dist-tag."""
        await _tagged(call, kind, None)


async def _tagged(call: Call, kind: PackageType, version: str | None) -> None:
    await call.at.curator.ask(
        TagVersion(
            caller=call.caller,
            type=kind,
            package=call.package,
            tag=call.request.match_info["tag"],
            version=version,
        )
    )


async def _yanked(
    call: Call, kind: PackageType, *, yanked: bool, reason: str | None = None
) -> VersionDetail:
    version = call.request.match_info["version"]
    await call.at.curator.ask(
        YankVersion(
            caller=call.caller,
            type=kind,
            package=call.package,
            version=version,
            yanked=yanked,
            reason=reason,
        )
    )
    return await _shown(call, kind, version)


async def _shown(call: Call, kind: PackageType, query: str) -> VersionDetail:
    return await call.at.packages.ask(
        ShowVersion(caller=call.caller, type=kind, package=call.package, query=query)
    )


for _folder, _kind in FOLDERS.items():
    for _register in (_reading, _publishing, _yanking, _tagging):
        _register(_folder, _kind)
