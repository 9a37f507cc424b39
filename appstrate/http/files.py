"""Bodies that are files: uploads as they arrive, downloads as they are read."""

import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from aiohttp import BodyPartReader, web
from aiohttp.multipart import MultipartReader

from actors.runtime import Rejected
from actors.storage import Blob
from appstrate.http.call import Call, Fingerprint
from appstrate.http.codec import DAMAGED
from appstrate.http.problems import BehindEnd

CHUNK = 64 * 1024
RANGE = re.compile(r"bytes=([0-9]{0,99})-([0-9]{0,99})", re.IGNORECASE)
BROKEN = (ValueError, AssertionError, *DAMAGED)


@dataclass(frozen=True, slots=True)
class Part:
    """A range of bytes that was asked for, within what there is."""

    start: int
    length: int

    @property
    def last(self) -> int:
        """Its last byte, as headers count."""
        return self.start + self.length - 1


def asked_part(request: web.Request, size: int, tag: str) -> Part | None:
    """The one range a request asks for of `size` bytes; None for all of them.

    Several ranges, and those of another version than the ETag `tag`, are answered by everything.
    Refuses a range behind the end with `range_not_satisfiable`. Only GET has ranges.
    """
    if request.method != "GET":
        return None
    found = RANGE.fullmatch(request.headers.get("Range", "").strip())
    if found is None or request.headers.get("If-Range", tag) != tag:
        return None
    first, last = found[1], found[2]
    if not first and not last:
        return None
    start = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    if first and last and int(last) < start:
        return None
    if start >= end:
        raise BehindEnd(size)
    return Part(start, end - start)


async def uploaded_file(call: Call) -> AsyncGenerator[bytes, None]:
    """The part named `file` of a multipart body, in chunks."""
    return _read(call.fingerprint, await _part(call.request))


async def raw_body(call: Call) -> AsyncGenerator[bytes, None]:
    """The body of a request as it comes, never more of it in memory than is on its way."""
    try:
        async for chunk in call.request.content.iter_chunked(CHUNK):
            call.fingerprint.add(chunk)
            yield chunk
        call.fingerprint.end()
    except BROKEN as error:
        raise _damaged(error) from None


async def blob_response(
    request: web.Request, blob: Blob, headers: dict[str, str], *, part: Part | None = None
) -> web.StreamResponse:
    """A blob as a response, or the part of it that was opened, as fast as the client takes it."""
    response = web.StreamResponse(status=200 if part is None else 206, headers=headers)
    response.content_length = blob.size if part is None else part.length
    if part is not None:
        response.headers["Content-Range"] = f"bytes {part.start}-{part.last}/{blob.size}"
    try:
        await response.prepare(request)
        if request.method != "HEAD":
            async for chunk in blob:
                await response.write(chunk)
    finally:
        await blob.aclose()
    return response


async def _part(request: web.Request) -> BodyPartReader:
    wrong = Rejected(
        "send the archive as multipart/form-data with a part named `file`", param="file"
    )
    if not request.content_type.startswith("multipart/"):
        raise wrong
    try:
        reader = await request.multipart()
        while (part := await reader.next()) is not None:
            if isinstance(part, MultipartReader):
                continue
            if part.name == "file":
                return part
    except BROKEN as error:
        raise _damaged(error) from None
    raise wrong


async def _read(fingerprint: Fingerprint, part: BodyPartReader) -> AsyncGenerator[bytes, None]:
    # The boundaries are others each time a client sends the same: the file alone counts.
    try:
        while chunk := await part.read_chunk(CHUNK):
            fingerprint.add(chunk)
            yield chunk
        fingerprint.end()
    except BROKEN as error:
        raise _damaged(error) from None


def _damaged(error: Exception) -> Rejected:
    return Rejected(f"the upload is damaged or broke off: {error}", param="file")
