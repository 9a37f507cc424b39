"""Documents: files that went into runs, or came out of them."""

from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias, assert_never

import msgspec
import structlog

from actors.accounts import Caller
from actors.files.records import Document, DocumentQuery, DocumentRecords
from actors.files.tokens import FileTokens
from actors.files.views import DocumentView, may_download, may_keep, preview_kind, view
from actors.ids import DocumentId
from actors.runtime import Actor, Address, Conflict, Lane, NotFound, Rejected, Request
from actors.storage import Blob, OpenBlob, Storage

log = structlog.get_logger("files")

PREVIEW_LIFE = timedelta(seconds=300)
DOOR = "preview"


class DocumentPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some documents, newest first, and whether there are more in the direction of the query."""

    documents: list[DocumentView]
    more: bool


class ShownDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A document, and the token its preview opens with, if it has one."""

    view: DocumentView
    token: str | None


class ListDocuments(Request["Documents", DocumentPage], frozen=True, kw_only=True):
    """Some documents of the caller's application."""

    caller: Caller
    query: DocumentQuery


class ReadDocument(Request["Documents", ShownDocument], frozen=True, kw_only=True):
    """One document of the caller's application."""

    caller: Caller
    document: DocumentId


class FindContent(Request["Documents", Document], frozen=True, kw_only=True):
    """A document whose content the caller may read; `forbidden` for another's upload."""

    caller: Caller
    document: DocumentId


class FindPreview(Request["Documents", Document], frozen=True, kw_only=True):
    """A document that a token opens the preview of."""

    document: DocumentId
    token: str


class OpenContent(Request["Documents", Blob], frozen=True, kw_only=True):
    """The content of a document that was found, or a part of it. Whoever asked closes it.

    Refuses with `document_unavailable` when the storage has lost it, or a part of it.
    """

    document: Document
    start: int = 0
    length: int | None = None


class KeepDocument(Request["Documents", DocumentView], frozen=True, kw_only=True):
    """Keep a document as long as its run. For who brought it, and whoever may delete it."""

    caller: Caller
    document: DocumentId


class DeleteDocument(Request["Documents", None], frozen=True, kw_only=True):
    """Delete a document, its content included; `document_in_use` while runs need it."""

    caller: Caller
    document: DocumentId


DocumentsMessage: TypeAlias = (
    ListDocuments
    | ReadDocument
    | FindContent
    | FindPreview
    | OpenContent
    | KeepDocument
    | DeleteDocument
)


class Documents(Actor):
    """Shows documents, and lets go of them."""

    lanes = (Lane("documents", 32),)

    def __init__(
        self, records: DocumentRecords, storage: Address[Storage], tokens: FileTokens
    ) -> None:
        super().__init__()
        self._records = records
        self._storage = storage
        self._tokens = tokens

    async def receive(self, message: DocumentsMessage) -> Any:
        match message:
            case ListDocuments():
                return await self._list(message)
            case ReadDocument():
                return await self._read(message)
            case FindContent():
                return await self._content(message)
            case FindPreview():
                return await self._preview(message)
            case OpenContent():
                return await self._open(message)
            case KeepDocument():
                return await self._keep(message)
            case DeleteDocument():
                return await self._delete(message)
            case _:
                assert_never(message)

    async def _list(self, message: ListDocuments) -> DocumentPage:
        caller = message.caller
        query = msgspec.structs.replace(message.query, end_user=caller.end_user)
        found = await self._records.documents(*caller.tenant, query)
        more, chosen = len(found) > query.limit, found[: query.limit]
        if query.before is not None:
            chosen = chosen[::-1]
        return DocumentPage(documents=[view(caller, each) for each in chosen], more=more)

    async def _read(self, message: ReadDocument) -> ShownDocument:
        document = await self._found(message.caller, message.document)
        shown = view(message.caller, document)
        until = datetime.now(UTC) + PREVIEW_LIFE
        token = self._tokens.new(DOOR, document.id, until) if shown.previewable else None
        return ShownDocument(view=shown, token=token)

    async def _content(self, message: FindContent) -> Document:
        document = await self._found(message.caller, message.document)
        if not may_download(message.caller, document):
            raise Rejected("only who uploaded this document may read it", code="forbidden")
        return document

    async def _preview(self, message: FindPreview) -> Document:
        named = self._tokens.open(DOOR, message.token, datetime.now(UTC), "unauthorized")
        found = await self._records.any_document(message.document)
        if named != message.document or found is None or preview_kind(found) is None:
            raise NotFound("there is no such preview")
        return found

    async def _open(self, message: OpenContent) -> Blob:
        document = message.document
        opening = OpenBlob(key=document.storage_key, start=message.start, length=message.length)
        try:
            blob = await self._storage.ask(opening)
        except NotFound:
            if await self._records.any_document(document.id) is None:
                raise _missing() from None
            raise _damaged(document, "is not in the storage any more") from None
        if blob.size != document.size:
            await blob.aclose()
            raise _damaged(document, f"has {blob.size} bytes left of {document.size}")
        return blob

    async def _keep(self, message: KeepDocument) -> DocumentView:
        document = await self._found(message.caller, message.document)
        if not may_keep(message.caller, document):
            raise Rejected("only who uploaded this document may keep it", code="forbidden")
        kept = await self._records.keep(document.id)
        if kept is None:
            raise _missing()
        return view(message.caller, kept)

    async def _delete(self, message: DeleteDocument) -> None:
        document = await self._found(message.caller, message.document)
        if not await self._records.delete(document.id):
            raise Conflict(
                "a run has this document as its input: delete the run first",
                code="document_in_use",
            )

    async def _found(self, caller: Caller, document: DocumentId) -> Document:
        found = await self._records.document(*caller.tenant, document)
        if found is None or not caller.sees(found.end_user_id):
            raise _missing()
        return found


def _missing() -> NotFound:
    return NotFound("there is no such document in this application")


def _damaged(document: Document, how: str) -> Conflict:
    log.error("a document is damaged", document=document.id, key=document.storage_key, how=how)
    told = f"the content of this document {how}: have it restored from a backup"
    return Conflict(told, code="document_unavailable")
