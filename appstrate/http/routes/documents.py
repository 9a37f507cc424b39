"""Documents: what went into runs, and came out of them."""

import base64
from typing import cast, get_args
from urllib.parse import quote

from aiohttp import web
from msgspec.structs import replace

from actors.files import (
    DeleteDocument,
    Document,
    DocumentQuery,
    DocumentView,
    FindContent,
    FindPreview,
    KeepDocument,
    ListDocuments,
    OpenContent,
    Purpose,
    ReadDocument,
    preview_kind,
)
from actors.ids import DocumentId, PackageId, RunId
from actors.runtime import Rejected
from appstrate.http.call import Call, Media, Page, Query, Routes, Scope, number, page
from appstrate.http.files import asked_part, blob_response

routes = Routes()

DOCUMENT = "/api/documents/{document}"
PURPOSES = get_args(Purpose)
OF_CONTENT = {409: "document_unavailable", 416: "range_not_satisfiable"}
# What is shown comes from anywhere: it loads nothing, and runs in a place of its own, if at all.
PREVIEW_POLICY = (
    "sandbox{scripts}; default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src data:; media-src data: blob:; script-src {script_source}; base-uri 'none'; "
    "form-action 'none'; frame-ancestors {ancestors}"
)


@routes.add(
    "GET",
    "/api/documents",
    Scope.APPLICATION,
    "documents:read",
    query=(
        Query("purpose", "What came in, or what came out.", {"enum": list(PURPOSES)}),
        Query("run_id", "Only documents that went into this run, or came out of it."),
        Query("packageId", "Only documents of runs of this agent."),
        Query("chat_session_id", "Only documents of this conversation."),
        Query("startingAfter", "The id of the last document one has."),
        Query("endingBefore", "The id of the first document one has."),
        Query("limit", "Documents on a page.", number(100, 20)),
    ),
    limit=120,
)
async def list_documents(call: Call) -> Page[DocumentView]:
    """The documents of the application, newest first."""
    query = _query(call)
    if call.query("chat_session_id") is not None:
        return page([])  # there are no conversations here
    found = await call.at.documents.ask(ListDocuments(caller=call.caller, query=query))
    if found.more:
        forward = query.before is None
        last = found.documents[-1 if forward else 0].id
        call.next_page(**{"startingAfter" if forward else "endingBefore": last})
    return page(found.documents, has_more=found.more)


@routes.add("GET", DOCUMENT, Scope.APPLICATION, "documents:read")
async def show_document(call: Call) -> DocumentView:
    """One document; what can be shown has a `preview_url` that works for five minutes."""
    shown = await call.at.documents.ask(ReadDocument(caller=call.caller, document=_id(call)))
    if shown.token is None:
        return shown.view
    url = f"{call.url}/preview/documents/{shown.view.id}?t={shown.token}"
    return replace(shown.view, preview_url=url)


@routes.add(
    "GET",
    f"{DOCUMENT}/content",
    Scope.APPLICATION,
    "documents:read",
    answer=Media("*/*"),
    also=(206, 304),
    refuses=OF_CONTENT,
)
async def download_document(call: Call) -> web.StreamResponse:
    """The content of a document, or the range of it that is asked for, to be saved."""
    found = await call.at.documents.ask(FindContent(caller=call.caller, document=_id(call)))
    name = quote(found.name, safe="")
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
    return await _content(call, found, headers)


@routes.add(
    "DELETE",
    DOCUMENT,
    Scope.APPLICATION,
    "documents:delete",
    status=204,
    refuses={409: "document_in_use"},
)
async def delete_document(call: Call) -> None:
    """Delete a document, unless a run has it as its input."""
    await call.at.documents.ask(DeleteDocument(caller=call.caller, document=_id(call)))


@routes.add("POST", f"{DOCUMENT}/keep", Scope.APPLICATION, "documents:read")
async def keep_document(call: Call) -> DocumentView:
    """Keep a document for as long as its run. For who uploaded it, and those who may delete it."""
    return await call.at.documents.ask(KeepDocument(caller=call.caller, document=_id(call)))


@routes.add(
    "GET",
    "/preview/documents/{document}",
    Scope.PUBLIC,
    query=(Query("t", "The token in the document's `preview_url`."),),
    answer=Media("*/*"),
    also=(206, 304),
    refuses={401: "unauthorized", **OF_CONTENT},
)
async def preview_document(call: Call) -> web.StreamResponse:
    """A document as a page of its own, that can do nothing; scripts run inside a frame only."""
    found = await call.at.documents.ask(
        FindPreview(document=_id(call), token=call.query("t") or "")
    )
    kind = preview_kind(found)
    mime = "text/plain; charset=utf-8" if kind == "text" else found.mime
    framed = kind == "html" and call.request.headers.get("Sec-Fetch-Dest") == "iframe"
    policy = PREVIEW_POLICY.format(
        scripts=" allow-scripts" if framed else "",
        script_source="'unsafe-inline'" if framed else "'none'",
        ancestors="*" if kind == "html" else "'self'",
    )
    headers = {"Content-Type": mime, "Content-Disposition": "inline"}
    return await _content(call, found, headers | {"Content-Security-Policy": policy})


async def _content(call: Call, document: Document, headers: dict[str, str]) -> web.StreamResponse:
    digest = base64.b64encode(bytes.fromhex(document.sha256)).decode()
    tag = f'"{document.sha256}"'
    headers = {
        "Content-Type": document.mime,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "ETag": tag,
        "Repr-Digest": f"sha-256=:{digest}:",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    } | headers
    if any(each.value in (document.sha256, "*") for each in call.request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    part = asked_part(call.request, document.size, tag)
    opening = OpenContent(document=document)
    if part is not None:
        opening = replace(opening, start=part.start, length=part.length)
    blob = await call.at.documents.ask(opening)
    return await blob_response(call.request, blob, headers, part=part)


def _id(call: Call) -> DocumentId:
    return DocumentId(call.request.match_info["document"])


def _query(call: Call) -> DocumentQuery:
    after, before = call.query("startingAfter"), call.query("endingBefore")
    if after is not None and before is not None:
        told = "give startingAfter or endingBefore, not both"
        raise Rejected(told, param="endingBefore")
    run, package = call.query("run_id"), call.query("packageId")
    return DocumentQuery(
        limit=call.number("limit", 20, most=100),
        purpose=cast("Purpose | None", call.choice("purpose", PURPOSES)),
        run=RunId(run) if run else None,
        package=PackageId(package) if package else None,
        after=DocumentId(after) if after else None,
        before=DocumentId(before) if before else None,
    )
