"""Requests as bytes, for what no client would send."""

import asyncio
from urllib.parse import urlsplit

import msgspec


class RawAnswer(msgspec.Struct, frozen=True):
    """What came back before the server closed the connection, or the first answer of it."""

    status: int
    head: str
    body: bytes


async def send(url: str, content: bytes) -> RawAnswer:
    """Send `content` and read until the server closes; the request must say so itself."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(content)
        async with asyncio.timeout(10):
            answer = await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    first = head.split(b"\r\n")[0].split()
    return RawAnswer(int(first[1]) if len(first) > 1 else 0, head.decode(), body)
