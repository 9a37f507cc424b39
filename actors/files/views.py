"""Documents as their readers see them, and what each reader may do with one. Pure."""

from datetime import datetime
from typing import Literal, TypeAlias

import msgspec

from actors.accounts import Caller
from actors.contract import Resource, spell
from actors.files.records import Document, Purpose
from actors.ids import ApplicationId, DocumentId, EndUserId, PackageId, RunId, UserId

PreviewKind: TypeAlias = Literal["image", "pdf", "html", "text"]
LARGEST_PREVIEW = 10 * 2**20
TEXTS = ("application/json", "application/yaml", "application/x-yaml", "application/xml")


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader may do with a document."""

    visible: bool
    metadata: bool
    download: bool
    preview: bool
    keep: bool
    delete: bool


class DocumentView(Resource, frozen=True, kw_only=True, rename=spell):
    """A document. Times are UTC, sizes bytes; `sha256` is hexadecimal."""

    object: Literal["document"] = "document"
    id: DocumentId
    uri: str
    purpose: Purpose
    application_id: ApplicationId
    run_id: RunId | None = msgspec.field(name="run_id")
    chat_session_id: str | None = msgspec.field(default=None, name="chat_session_id")
    package_id: PackageId | None
    name: str
    mime: str
    size: int
    sha256: str
    presentation: Literal["primary"] | None
    downloadable: bool
    capabilities: Capabilities
    previewable: bool
    preview_kind: PreviewKind | None
    preview_url: str | msgspec.UnsetType = msgspec.UNSET
    expires_at: datetime | None
    created_at: datetime


def brought(caller: Caller, user: UserId | None, end_user: EndUserId | None) -> bool:
    """Whether it was this caller who brought something."""
    if caller.end_user is not None:
        return caller.end_user == end_user
    return end_user is None and user == caller.user


def may_download(caller: Caller, document: Document) -> bool:
    """Whether somebody may read a document's content: what came in, only who brought it."""
    mine = brought(caller, document.user_id, document.end_user_id)
    return mine or (document.purpose == "agent_output" and caller.sees(document.end_user_id))


def may_keep(caller: Caller, document: Document) -> bool:
    """Whether somebody may take a document's expiry away."""
    mine = document.purpose == "user_upload" and brought(
        caller, document.user_id, document.end_user_id
    )
    return mine or "documents:delete" in caller.permissions


def preview_kind(document: Document) -> PreviewKind | None:
    """How a document can be shown, if it can."""
    mime = document.mime
    if document.size > LARGEST_PREVIEW:
        return None
    if mime in ("text/html", "application/xhtml+xml"):
        return "html"
    if mime == "application/pdf":
        return "pdf"
    if mime.startswith("image/"):
        return "image"
    return "text" if mime.startswith("text/") or mime in TEXTS or mime.endswith("+json") else None


def view(caller: Caller, document: Document) -> DocumentView:
    """A document as this caller sees it."""
    download, kind = may_download(caller, document), preview_kind(document)
    return DocumentView(
        id=document.id,
        uri=document.uri,
        purpose=document.purpose,
        application_id=document.application_id,
        run_id=document.run_id,
        package_id=document.package_id,
        name=document.name,
        mime=document.mime,
        size=document.size,
        sha256=document.sha256,
        presentation=document.presentation,
        downloadable=download,
        capabilities=Capabilities(
            visible=True,
            metadata=True,
            download=download,
            preview=download and kind is not None,
            keep=may_keep(caller, document),
            delete="documents:delete" in caller.permissions,
        ),
        previewable=download and kind is not None,
        preview_kind=kind,
        expires_at=document.expires_at,
        created_at=document.created_at,
    )
