"""Uploads: announced, then sent once, then given to a run by their URI."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias, assert_never
from uuid import uuid4

import msgspec

from actors.accounts import Caller
from actors.files.blobs import FileBlobs
from actors.files.names import LONGEST_NAME, read_mime, safe_name
from actors.files.records import FileLimits, Upload, UploadRecords
from actors.files.tokens import FileTokens
from actors.ids import UploadId, new_upload_id
from actors.runtime import Actor, Conflict, FieldProblem, Lane, Rejected, Request
from actors.storage import Body, close_body

LIFE = timedelta(minutes=15)
DOOR = "upload"
SHA256 = re.compile(r"[0-9a-f]{64}")


class StagedUpload(msgspec.Struct, frozen=True, kw_only=True):
    """An upload that was announced, and the token its bytes are sent with."""

    upload: Upload
    token: str


class CreateUpload(Request["Uploads", StagedUpload], frozen=True, kw_only=True):
    """Announce a file: its name, media type and size in bytes, and perhaps its SHA-256.

    Refuses with `upload_staging_limit_exceeded` when its user has too many that no run has read,
    with `storage_limit_exceeded` when those of the organization are too large together.
    """

    caller: Caller
    name: str
    mime: str
    size: int
    sha256: str | None = None


class WriteUpload(Request["Uploads", None], frozen=True, kw_only=True):
    """Send the bytes of an upload, once. `mime` and `size` are what the sender says of them.

    Refuses with `unauthorized`, `upload_expired`, `upload_already_written`, `checksum_mismatch`,
    and what does not fit what was announced. Nothing is stored then. The body is closed.
    """

    streaming = True
    token: str
    body: Body
    mime: str | None = None
    size: int | None = None


UploadsMessage: TypeAlias = CreateUpload | WriteUpload


class Uploads(Actor):
    """Takes files in. Those being sent have a lane of their own."""

    lanes = (Lane("transfers", 16, (WriteUpload,), limit=256), Lane("rest", 16))

    def __init__(
        self, records: UploadRecords, blobs: FileBlobs, tokens: FileTokens, limits: FileLimits
    ) -> None:
        super().__init__()
        self._records = records
        self._blobs = blobs
        self._tokens = tokens
        self._limits = limits

    async def receive(self, message: UploadsMessage) -> Any:
        match message:
            case CreateUpload():
                return await self._create(message)
            case WriteUpload():
                return await self._write(message)
            case _:
                assert_never(message)

    async def _create(self, message: CreateUpload) -> StagedUpload:
        org, application = message.caller.tenant
        mime, now = read_mime(message.mime), datetime.now(UTC)
        digest = None if message.sha256 is None else message.sha256.lower()
        if problems := _problems(message, mime, digest, self._limits.file_bytes):
            told = "; ".join(f"{each.field} {each.message}" for each in problems)
            code, param = "validation_failed", problems[0].field
            raise Rejected(told, code=code, param=param, problems=problems)
        upload = Upload(
            id=new_upload_id(),
            org_id=org,
            application_id=application,
            created_by=None if message.caller.end_user else message.caller.user,
            end_user_id=message.caller.end_user,
            name=safe_name(message.name),
            mime=mime or "",
            size=message.size,
            sha256=digest,
            expires_at=now + LIFE,
        )
        await self._records.add(upload, self._limits, now)
        token = self._tokens.new(DOOR, upload.id, upload.expires_at)
        return StagedUpload(upload=upload, token=token)

    async def _write(self, message: WriteUpload) -> None:
        try:
            upload = await self._announced(message)
            key = f"uploads/{upload.application_id}/{upload.id}-{uuid4().hex[:12]}"
            _, digest = await self._blobs.put(
                key, message.body, limit=upload.size, size=upload.size, sha256=upload.sha256
            )
        finally:
            await close_body(message.body)
        if not await self._records.written(upload.id, key, digest):
            self._blobs.drop(key)
            gone = await self._records.upload(upload.id) is None
            raise _expired() if gone else _written_already()

    async def _announced(self, message: WriteUpload) -> Upload:
        now = datetime.now(UTC)
        thing = self._tokens.open(DOOR, message.token, now, "upload_expired")
        upload = await self._records.upload(UploadId(thing))
        if upload is None:
            raise _expired()
        if upload.storage_key is not None:
            raise _written_already()
        if message.mime is not None and read_mime(message.mime) != upload.mime:
            told = f"Content-Type must be {upload.mime}, as it was announced"
            raise Rejected(told, param="Content-Type")
        if message.size is not None and message.size != upload.size:
            told = f"{message.size} bytes were sent, but {upload.size} were announced as the size"
            raise Rejected(told, param="Content-Length")
        return upload


def _problems(
    message: CreateUpload, mime: str | None, digest: str | None, most: int
) -> list[FieldProblem]:
    found: list[tuple[str, str, str]] = []
    if not message.name.strip() or len(message.name) > LONGEST_NAME:
        found.append(("name", "out_of_range", f"must have 1 to {LONGEST_NAME} characters"))
    if mime is None:
        found.append(("mime", "invalid_format", "must be a media type such as text/plain"))
    if not 1 <= message.size <= most:
        found.append(("size", "out_of_range", f"must be from 1 to {most} bytes"))
    if digest is not None and not SHA256.fullmatch(digest):
        found.append(("sha256", "invalid_format", "must be 64 hexadecimal digits"))
    return [FieldProblem(field=f, code=code, message=told) for f, code, told in found]


def _written_already() -> Conflict:
    return Conflict(
        "the bytes of this upload were sent before: create another upload to send others",
        code="upload_already_written",
    )


def _expired() -> Rejected:
    return Rejected("this upload is not there any more: announce it again", code="upload_expired")
