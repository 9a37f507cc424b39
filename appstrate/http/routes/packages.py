"""The package catalogue."""

from typing import Any

import msgspec

from actors.contract import spell
from actors.packages import (
    AgentDetail,
    CreatePackage,
    DeletePackage,
    EditDraft,
    ImportPackage,
    ListPackages,
    PackageDetail,
    PackageItem,
    PackageType,
    ShowPackage,
)
from actors.runtime import Rejected
from appstrate.http.call import UPLOAD, Call, Page, Query, Routes, Scope, page
from appstrate.http.files import uploaded_file
from appstrate.http.routes.folders import FOLDERS

routes = Routes()

FORCE = Query("force", "`true` replaces a draft and a published version.", {"type": "boolean"})
ACTIVE = Query("active", "`true` leaves out what is switched off.", {"type": "boolean"})
VERSION = Query("version", "`draft` (the default), `published`, a version, a range or a tag.")


class PackageBody(msgspec.Struct, kw_only=True):
    """A manifest and the package's text."""

    manifest: dict[str, Any]
    content: str | None = None


class DraftBody(msgspec.Struct, kw_only=True):
    """A draft to be written over the one at `lock_version`; what is left out stays."""

    lock_version: int
    manifest: dict[str, Any] | None = None
    content: str | None = None


class ImportAnswer(msgspec.Struct, kw_only=True, rename=spell):
    """What an archive has become."""

    package_id: str
    type: str
    version: str
    warnings: list[str] | msgspec.UnsetType = msgspec.UNSET


@routes.add(
    "POST",
    "/api/packages/import",
    Scope.APPLICATION,
    "agents:write",
    query=(FORCE,),
    takes=UPLOAD,
    status=201,
    limit=10,
    refuses={
        400: "validation_failed file_too_large invalid_content invalid_manifest "
        "limits_exceeded missing_content missing_manifest name_collision "
        "post_install_failed type_mismatch zip_bomb zip_invalid",
        409: "draft_overwrite integrity_mismatch skill_unchanged",
        422: "bundle_signature_invalid",
    },
)
async def import_package(call: Call) -> ImportAnswer:
    """Import an archive: its draft is written, its version published, and it is installed."""
    force = call.query("force") == "true"
    body = await uploaded_file(call)
    made = await call.at.publisher.ask(
        ImportPackage(caller=call.caller, body=body, force=force), within=120
    )
    return ImportAnswer(
        package_id=made.package,
        type=made.type,
        version=made.version,
        warnings=made.warnings or msgspec.UNSET,
    )


def _register(folder: str, kind: PackageType) -> None:
    @routes.add(
        "GET",
        f"/api/packages/{folder}",
        Scope.APPLICATION,
        f"{folder}:read",
        query=(ACTIVE,),
    )
    async def list_packages(call: Call) -> Page[PackageItem]:
        """The packages of this type that the application sees."""
        active = call.query("active") == "true"
        asked = ListPackages(caller=call.caller, type=kind, active=active)
        return page(await call.at.packages.ask(asked))

    @routes.add(
        "POST",
        f"/api/packages/{folder}",
        Scope.APPLICATION,
        f"{folder}:write",
        body=PackageBody,
        status=201,
        refuses={
            400: "invalid_content invalid_manifest",
            409: "name_collision",
            415: "archive_required",
        },
    )
    async def create_package(call: Call, body: PackageBody) -> AgentDetail | PackageDetail:
        """Make a package of a manifest and a text, publish and install it."""
        if kind == "mcp-server":
            raise Rejected("an MCP server is imported as an archive", code="archive_required")
        created = await call.at.publisher.ask(
            CreatePackage(
                caller=call.caller, type=kind, manifest=body.manifest, content=body.content
            )
        )
        return await call.at.packages.ask(
            ShowPackage(caller=call.caller, type=kind, package=created)
        )

    @routes.add(
        "GET",
        f"/api/packages/{folder}/{{scope}}/{{name}}",
        Scope.APPLICATION,
        f"{folder}:read",
        query=(VERSION,),
    )
    async def show_package(call: Call) -> AgentDetail | PackageDetail:
        """One package, as of its draft or of a version."""
        return await call.at.packages.ask(
            ShowPackage(
                caller=call.caller, type=kind, package=call.package, version=call.query("version")
            )
        )

    @routes.add(
        "PUT",
        f"/api/packages/{folder}/{{scope}}/{{name}}",
        Scope.APPLICATION,
        f"{folder}:write",
        body=DraftBody,
        refuses={
            400: "invalid_content invalid_manifest",
            403: "operation_not_allowed",
            409: "conflict",
        },
    )
    async def edit_draft(call: Call, body: DraftBody) -> AgentDetail | PackageDetail:
        """Write the draft anew; it is published by a call of its own."""
        edit = EditDraft(
            caller=call.caller,
            type=kind,
            package=call.package,
            lock_version=body.lock_version,
            manifest=body.manifest,
            content=body.content,
        )
        await call.at.curator.ask(edit)
        shown = ShowPackage(caller=call.caller, type=kind, package=call.package)
        return await call.at.packages.ask(shown)

    @routes.add(
        "DELETE",
        f"/api/packages/{folder}/{{scope}}/{{name}}",
        Scope.APPLICATION,
        f"{folder}:delete",
        status=204,
        refuses={403: "operation_not_allowed", 409: "agent_in_use in_use"},
    )
    async def delete_package(call: Call) -> None:
        """Delete a package with all its versions; runs stay, under its name."""
        await call.at.curator.ask(
            DeletePackage(caller=call.caller, type=kind, package=call.package)
        )


for _folder, _kind in FOLDERS.items():
    _register(_folder, _kind)
