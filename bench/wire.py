"""A client fast enough not to be what is measured: one connection, next to no parsing."""

import asyncio
import time


class Connection:
    """HTTP/1.1 on one connection, one request at a time, bodies by Content-Length."""

    def __init__(self, url: str) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        self._host, self._port = host, int(port)

    async def open(self) -> "Connection":
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        return self

    def close(self) -> None:
        self._writer.close()

    async def send(self, request: bytes) -> tuple[int, bytes]:
        """Send a whole request; returns status and body."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        at = head.lower().find(b"content-length: ")
        length = int(head[at + 16 : head.index(b"\r\n", at)]) if at >= 0 else 0
        return status, await self._reader.readexactly(length)


def request(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """A whole request, ready to be sent any number of times."""
    head = headers | {"Host": "bench", "Content-Length": str(len(body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body


async def throughput(url: str, sent: bytes, connections: int, seconds: float) -> float:
    """Answers per second with a number of connections that are always busy."""
    done = 0
    deadline = time.perf_counter() + seconds

    async def keep_asking() -> None:
        nonlocal done
        connection = await Connection(url).open()
        while time.perf_counter() < deadline:
            status, _ = await connection.send(sent)
            assert status == 200, status
            done += 1
        connection.close()

    began = time.perf_counter()
    await asyncio.gather(*(keep_asking() for _ in range(connections)))
    return done / (time.perf_counter() - began)
