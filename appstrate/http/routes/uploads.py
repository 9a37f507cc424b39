"""Uploads: announced by somebody, then sent with the token they were given."""

from datetime import datetime
from typing import Literal

import msgspec

from actors.contract import Resource, spell
from actors.files import CreateUpload, WriteUpload
from actors.ids import UploadId
from appstrate.http.call import Call, Media, Query, Routes, Scope
from appstrate.http.files import raw_body

routes = Routes()

CONTENT = "/api/uploads/_content"


class UploadBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A file to come: its size in bytes, and perhaps its SHA-256 in hexadecimal."""

    name: str
    size: int
    mime: str
    sha256: str | None = None


class UploadView(Resource, frozen=True, kw_only=True, rename=spell):
    """Where to send a file, and what a run's input calls it by."""

    object: Literal["upload"] = "upload"
    id: UploadId
    uri: str
    url: str
    method: Literal["PUT"] = "PUT"
    headers: dict[str, str]
    expires_at: datetime


@routes.add(
    "POST",
    "/api/uploads",
    Scope.APPLICATION,
    "agents:run",
    body=UploadBody,
    status=201,
    limit=20,
    refuses={403: "storage_limit_exceeded", 429: "upload_staging_limit_exceeded"},
)
async def create_upload(call: Call, body: UploadBody) -> UploadView:
    """Announce a file; send its bytes to `url` within 15 minutes, and give `uri` to a run."""
    staged = await call.at.uploads.ask(
        CreateUpload(
            caller=call.caller, name=body.name, mime=body.mime, size=body.size, sha256=body.sha256
        )
    )
    upload = staged.upload
    return UploadView(
        id=upload.id,
        uri=f"upload://{upload.id}",
        url=f"{call.url}{CONTENT}?token={staged.token}",
        headers={"Content-Type": upload.mime},
        expires_at=upload.expires_at,
    )


@routes.add(
    "PUT",
    CONTENT,
    Scope.PUBLIC,
    query=(Query("token", "The token of the upload, as in its `url`."),),
    takes=Media("application/octet-stream"),
    status=204,
    limit=60,
    refuses={
        400: "checksum_mismatch",
        401: "unauthorized",
        409: "upload_already_written",
        410: "upload_expired",
        503: "disk_full",
    },
)
async def write_upload(call: Call) -> None:
    """Send the bytes of an upload, exactly as many as were announced, once."""
    headers = call.request.headers
    await call.at.uploads.ask(
        WriteUpload(
            token=call.query("token") or "",
            body=raw_body(call),
            mime=headers.get("Content-Type"),
            size=call.request.content_length,
        )
    )
