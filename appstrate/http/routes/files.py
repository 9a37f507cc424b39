"""The files of a package, and its archives."""

import msgspec
from aiohttp import web

from actors.packages import FileEntry, ListFiles, OpenArchive, OpenFile
from appstrate.http.call import Call, Media, Query, Routes, Scope
from appstrate.http.files import blob_response
from appstrate.http.routes.document import unless_known

routes = Routes()

VERSION = Query(
    "version", "`draft`, `published`, a version, a range or a tag; the draft of one's own packages."
)
PATH = Query("path", "The path of a file as it is listed.", required=True)


class Files(msgspec.Struct, kw_only=True):
    """The files of a package, by path; short texts come with their content."""

    entries: list[FileEntry]


@routes.add(
    "GET",
    "/api/packages/{scope}/{name}/files",
    Scope.APPLICATION,
    "agents:read",
    query=(VERSION,),
    answer=Media("application/json", Files),
    also=(304,),
    limit=50,
    refuses={422: "package_archive_unreadable", 500: "bundle_integrity_mismatch"},
)
async def list_files(call: Call) -> web.Response:
    """The files of a package. The ETag changes when one of them does."""
    found = await call.at.artifacts.ask(
        ListFiles(caller=call.caller, package=call.package, version=call.query("version"))
    )
    body = msgspec.json.encode(Files(entries=found.entries))
    return unless_known(call.request, body, "application/json")


@routes.add(
    "GET",
    "/api/packages/{scope}/{name}/files/content",
    Scope.APPLICATION,
    "agents:read",
    query=(PATH, VERSION),
    answer=Media("*/*"),
    refuses={422: "package_archive_unreadable", 500: "bundle_integrity_mismatch"},
)
async def read_file(call: Call) -> web.StreamResponse:
    """One file as it is, to be saved and never to be shown as a page."""
    found = await call.at.artifacts.ask(
        OpenFile(
            caller=call.caller,
            package=call.package,
            path=call.required("path"),
            version=call.query("version"),
        )
    )
    headers = {
        "Content-Type": "text/plain; charset=utf-8" if found.text else "application/octet-stream",
        "Content-Disposition": "attachment",
        "X-Content-Type-Options": "nosniff",
    }
    return await blob_response(call.request, found.blob, headers)


@routes.add(
    "GET",
    "/api/packages/{scope}/{name}/{version}/download",
    Scope.APPLICATION,
    "agents:read",
    answer=Media("application/zip"),
    refuses={500: "bundle_integrity_mismatch"},
)
async def download_version(call: Call) -> web.StreamResponse:
    """A published version as an archive, the bytes that were published."""
    found = await call.at.artifacts.ask(
        OpenArchive(
            caller=call.caller,
            package=call.package,
            version=call.request.match_info["version"],
        )
    )
    name = call.request.match_info["name"]
    headers = {
        "Content-Type": "application/zip",
        "Content-Disposition": f'attachment; filename="{name}-{found.version}.afps"',
        "X-Integrity": found.integrity,
        "X-Yanked": "true" if found.yanked else "false",
    }
    return await blob_response(call.request, found.blob, headers)
