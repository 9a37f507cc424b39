"""Bodies that are files: uploads as they arrive, downloads as they are read."""

from collections.abc import AsyncGenerator

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.multipart import MultipartReader

from actors.runtime import Rejected
from actors.storage import Blob
from appstrate.http.call import Call, Fingerprint

CHUNK = 64 * 1024
DAMAGED = (ValueError, AssertionError, HttpProcessingError, ConnectionError)


async def uploaded_file(call: Call) -> AsyncGenerator[bytes, None]:
    """The part named `file` of a multipart body, in chunks."""
    return _read(call.fingerprint, await _part(call.request))


async def blob_response(
    request: web.Request, blob: Blob, headers: dict[str, str]
) -> web.StreamResponse:
    """A blob as a response, read as fast as the client takes it."""
    response = web.StreamResponse(headers=headers)
    response.content_length = blob.size
    try:
        await response.prepare(request)
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
    except DAMAGED as error:
        raise _damaged(error) from None
    raise wrong


async def _read(fingerprint: Fingerprint, part: BodyPartReader) -> AsyncGenerator[bytes, None]:
    # The boundaries are others each time a client sends the same: the file alone counts.
    try:
        while chunk := await part.read_chunk(CHUNK):
            fingerprint.add(chunk)
            yield chunk
        fingerprint.end()
    except DAMAGED as error:
        raise _damaged(error) from None


def _damaged(error: Exception) -> Rejected:
    return Rejected(f"the upload is damaged or broke off: {error}", param="file")
