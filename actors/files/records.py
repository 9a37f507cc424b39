"""Uploads, documents, and what is kept of them."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Literal, Protocol, TypeAlias

import msgspec

from actors.ids import (
    ApplicationId,
    DocumentId,
    EndUserId,
    OrgId,
    PackageId,
    RunId,
    UploadId,
    UserId,
)

MIB = 2**20
Purpose: TypeAlias = Literal["user_upload", "agent_output"]
DELETE_TOPIC = "storage.delete"


class FileLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds on files. Bytes, counts, hours and days; None is no bound."""

    file_bytes: int = 100 * MIB
    input_files: int = 200
    input_bytes: int = 256 * MIB
    output_bytes: int = 256 * MIB
    org_bytes: int | None = None
    retention_days: int | None = None
    reuse_hours: int = 24
    staged_of_user: int = 50
    staged_bytes_of_org: int = 2048 * MIB


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """A file on its way in. Without a `storage_key` its bytes have not come yet."""

    id: UploadId
    org_id: OrgId
    application_id: ApplicationId
    created_by: UserId | None
    end_user_id: EndUserId | None = None
    storage_key: str | None = None
    name: str
    mime: str
    size: int
    sha256: str | None = None
    expires_at: datetime
    consumed_at: datetime | None = None


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is kept, with the digest of its content in hexadecimal."""

    id: DocumentId
    org_id: OrgId
    application_id: ApplicationId
    purpose: Purpose
    run_id: RunId | None
    package_id: PackageId | None
    user_id: UserId | None
    end_user_id: EndUserId | None = None
    storage_key: str
    name: str
    mime: str
    size: int
    sha256: str
    presentation: Literal["primary"] | None = None
    expires_at: datetime | None = None
    created_at: datetime

    @property
    def uri(self) -> str:
        """What inputs call it by."""
        return f"document://{self.id}"


class InputFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file a run will read, under `workspace_name` in its documents.

    `new` tells that the document is to be made when the run is launched, from `upload` if it
    came by one.
    """

    document: DocumentId
    workspace_name: str
    storage_key: str
    name: str
    mime: str
    size: int
    sha256: str
    new: bool
    upload: UploadId | None = None
    expires_at: datetime | None = None
    reusable_until: datetime | None = None


class OutputRoom(msgspec.Struct, frozen=True, kw_only=True):
    """What a run has published so far."""

    running: bool
    replayed: bool = False
    files: int = 0
    size: int = 0


class DocumentQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which documents of an application to list, newest first.

    With an `end_user` only theirs. Those `after` a document, or, nearest first, those `before` it.
    """

    limit: int
    purpose: Purpose | None = None
    run: RunId | None = None
    package: PackageId | None = None
    end_user: EndUserId | None = None
    after: DocumentId | None = None
    before: DocumentId | None = None


class UploadRecords(Protocol):
    """Where uploads are kept. Each method is one transaction."""

    async def add(self, upload: Upload, limits: FileLimits, now: datetime) -> None:
        """Insert an upload; refuses with the staging limits of its user and organization."""
        ...

    async def upload(self, upload: UploadId) -> Upload | None:
        """One upload, of whatever organization."""
        ...

    async def written(self, upload: UploadId, storage_key: str, sha256: str) -> bool:
        """Its bytes have come. False when others had come before, or it is gone."""
        ...


class DocumentRecords(Protocol):
    """Where documents are kept. Each method is one transaction."""

    async def documents(
        self, org: OrgId, application: ApplicationId, query: DocumentQuery
    ) -> list[Document]:
        """Up to one more document than the limit of the query."""
        ...

    async def document(
        self, org: OrgId, application: ApplicationId, document: DocumentId
    ) -> Document | None:
        """One document of an application."""
        ...

    async def any_document(self, document: DocumentId) -> Document | None:
        """One document of whatever organization, for who has proved to know of it."""
        ...

    async def keep(self, document: DocumentId) -> Document | None:
        """Take its expiry away."""
        ...

    async def delete(self, document: DocumentId) -> bool:
        """Delete it. False when a run still reads it, or another run has read it."""
        ...


class RunFileRecords(Protocol):
    """The files that go into runs and come out of them. Each method is one transaction."""

    async def uploads(
        self, org: OrgId, application: ApplicationId, uploads: list[UploadId]
    ) -> list[Upload]:
        """Those of some uploads that are of this application."""
        ...

    async def documents(
        self, org: OrgId, application: ApplicationId, documents: list[DocumentId]
    ) -> list[Document]:
        """Those of some documents that are of this application."""
        ...

    async def inputs(self, run: RunId) -> list[InputFile]:
        """The files a run reads, in the order of its input."""
        ...

    async def claim_message(self, run: RunId, message_id: str) -> OutputRoom:
        """Use a message id of a run up, and tell what the run has published."""
        ...

    async def add_output(self, document: Document, limits: FileLimits) -> Document:
        """Insert an output of a running run, and count it. Its duplicate if there is one, then
        nothing is inserted. The last primary one is the primary one.

        Refuses with `run_not_running`, and with the limits of the run and its organization.
        """
        ...


class SweepRecords(Protocol):
    """What goes by itself. Each method is one transaction."""

    async def sweep(self, now: datetime, most: int) -> int:
        """Delete up to `most` uploads and documents each that have expired; how many went.

        A document that a run reads which has not ended stays until then.
        """
        ...

    async def delete_unkept(self, storage_key: str, delete: Callable[[], Awaitable[None]]) -> None:
        """Have a blob deleted that no row tells of any more; none comes to meanwhile."""
        ...
