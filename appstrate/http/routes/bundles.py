"""Bundles: an agent with everything it needs, in one file."""

from aiohttp import web

from actors.packages import ExportBundle, ImportBundle, ImportedBundle
from appstrate.http.call import UPLOAD, Call, Media, Query, Routes, Scope
from appstrate.http.files import blob_response, uploaded_file

routes = Routes()

VERSION = Query("version", "`published` (the default), `draft`, a version, a range or a tag.")
SOURCE = Query("source", "`draft` for the draft.", {"enum": ["draft"]})


@routes.add(
    "POST",
    "/api/packages/import-bundle",
    Scope.APPLICATION,
    "agents:write",
    takes=UPLOAD,
    status=201,
    limit=10,
    refuses={
        400: "validation_failed file_too_large invalid_content invalid_manifest "
        "missing_content missing_manifest name_collision",
        409: "bundle_conflict",
        422: "bundle_invalid bundle_signature_invalid",
    },
)
async def import_bundle(call: Call) -> ImportedBundle:
    """Import a bundle: publish what is not there yet, and install its root."""
    body = await uploaded_file(call)
    return await call.at.bundles.ask(ImportBundle(caller=call.caller, body=body), within=300)


@routes.add(
    "GET",
    "/api/agents/{scope}/{name}/bundle",
    Scope.APPLICATION,
    "agents:read",
    query=(VERSION, SOURCE),
    answer=Media("application/zip"),
    limit=30,
    refuses={
        422: "dependency_unresolved package_archive_unreadable",
        500: "bundle_integrity_mismatch",
    },
)
async def export_bundle(call: Call) -> web.StreamResponse:
    """An agent and the skills it depends on, as an `.afps-bundle`."""
    version = "draft" if call.query("source") == "draft" else call.query("version")
    found = await call.at.bundles.ask(
        ExportBundle(caller=call.caller, package=call.package, version=version)
    )
    name = call.request.match_info["name"]
    headers = {
        "Content-Type": "application/zip",
        "Content-Disposition": f'attachment; filename="{name}-{found.version}.afps-bundle"',
        "X-Bundle-Integrity": found.integrity,
        "X-Bundle-Version": found.version,
    }
    return await blob_response(call.request, found.blob, headers)
