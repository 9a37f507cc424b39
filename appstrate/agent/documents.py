"""Files of the run: those its input brings, and those it leaves."""

import asyncio
import contextlib
import hashlib
import json
import random
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

from appstrate.agent.http import Connection, ConnectionLost, Response
from appstrate.agent.models.turn import Json
from appstrate.agent.settings import Settings
from appstrate.agent.sink import Sink, SinkError, new_id

INPUTS, OUTPUTS = "documents", "outputs"
DOWNLOADS, UPLOADS = 9, 3
AT_ONCE = 3
LONGEST_NAME = 512
MOST_FAILURES = 1000
TOLD_FAILURES = 20
LONGEST_WAIT = 30.0
MOST_WAITS = 50
MIB = 2**20
FULL = "document_count_exceeded"
CODES = {403: "quota_exceeded", 409: "conflict", 413: "file_too_large"}
KINDS = {
    ".html": "text/html",
    ".htm": "text/html",
    ".txt": "text/plain",
    ".md": "text/markdown",
    ".csv": "text/csv",
    ".json": "application/json",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".xml": "application/xml",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".svg": "image/svg+xml",
    ".zip": "application/zip",
}


class PublishError(Exception):
    """A file could not be published; `code` is the run protocol's word for why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Documents:
    """Brings the input's files into the workspace, and publishes what the run has made."""

    def __init__(self, settings: Settings, sink: Sink, workspace: Path) -> None:
        self._url = settings.sink_url
        self._most = settings.document_bytes
        self._sink = sink
        self._workspace = workspace
        self._published: dict[tuple[str, str], Json] = {}
        self._places: set[tuple[str, str]] = set()
        self._full = False

    async def fetch(self) -> list[str]:
        """Put the input's files into `documents/`, and return their names. Raises `SinkError`."""
        response, body = await self._sink.get("/documents")
        if response.status == 404:
            return []
        if response.status != 200:
            raise SinkError(f"the run's documents were refused: {response.status} {body[:300]!r}")
        names = [str(each["workspace_name"]) for each in json.loads(body)["documents"]]
        for name in names:
            if name in ("", ".", "..") or "/" in name or "\\" in name or "\0" in name:
                raise SinkError(f"a document has an unsafe name: {name!r}")
        if names:
            folder = self._workspace / INPUTS
            folder.mkdir(exist_ok=True)
            connection = Connection(self._url)
            try:
                for name in names:
                    await self._download(connection, name, folder / name)
            finally:
                connection.close()
        return names

    async def publish(self, path: Path, name: str = "", *, primary: bool = False) -> Json:
        """Publish a file, unless the same was, and tell the platform. Raises `PublishError`."""
        name = _readable(name or path.name)
        size, digest = await asyncio.to_thread(_measure, path, self._most)
        known = self._published.get((name, digest))
        if known is not None and not primary:
            return known
        made: Json = await self._upload(path, name, size, primary=primary)
        self._published[name, digest] = made
        self._places.add(_place(path, digest))
        event = {key: value for key, value in made.items() if key != "id"}
        self._sink.emit("document.published", event | {"document_id": made["id"]})
        return made

    async def sweep(self) -> Json | None:
        """Publish what lies in `outputs/`; a summary, or None when there is nothing to tell."""
        waiting, failed = deque(_outputs(self._workspace / OUTPUTS)), list[Json]()

        async def publish_all() -> None:
            while waiting and not self._sink.closed.is_set():
                path = waiting.popleft()
                try:
                    await self._sweep_one(path)
                except (PublishError, OSError) as error:
                    failed.append(self._failure(path, error, len(failed)))

        await asyncio.gather(*(publish_all() for _ in range(AT_ONCE)))
        if not failed and not self._published:
            return None
        if len(failed) > TOLD_FAILURES:
            more = len(failed) - TOLD_FAILURES
            self._sink.progress(f"{more} more files were not published", level="warn")
        status = "partial" if failed else "complete"
        published = len({made["id"] for made in self._published.values()})
        return {"status": status, "published": published, "failed": failed[:MOST_FAILURES]}

    def _failure(self, path: Path, error: PublishError | OSError, before: int) -> Json:
        """What is reported of a file; the log has it too, unless there were many."""
        code, why = "upload_failed", str(error)
        if isinstance(error, PublishError):
            code = error.code
        elif error.strerror:
            why = error.strerror
        name = _readable(path.name)[:LONGEST_NAME]
        if before < TOLD_FAILURES:
            self._sink.progress(f"{name} was not published: {why}", level="warn")
        return {"name": name, "code": code}

    async def _sweep_one(self, path: Path) -> None:
        if self._full:
            raise PublishError(FULL, "the run has published its most")
        _, digest = await asyncio.to_thread(_measure, path, self._most)
        if _place(path, digest) not in self._places:
            await self.publish(path)

    async def _download(self, connection: Connection, name: str, place: Path) -> None:
        wait, problem = 0.12, ""
        for _ in range(DOWNLOADS):
            try:
                status = await self._stream_to(connection, name, place)
            except ConnectionLost as error:
                problem = str(error)
            else:
                if status == 200:
                    return
                problem = f"HTTP {status}"
                if status != 429 and status < 500:
                    break
            await asyncio.sleep(wait * random.uniform(1, 1.25))
            wait = min(2 * wait, 2.0)
        raise SinkError(f"the document {name} cannot be fetched: {problem}")

    async def _stream_to(self, connection: Connection, name: str, place: Path) -> int:
        path = f"{self._sink.base}/documents/{quote(name, safe='')}"
        headers = self._sink.headers(b"", new_id())
        status = 0
        with place.open("wb") as file:
            async with contextlib.aclosing(connection.stream("GET", path, headers)) as parts:
                async for part in parts:
                    if isinstance(part, Response):
                        status = part.status
                    elif status == 200:
                        await asyncio.to_thread(file.write, part)
        return status

    async def _upload(self, path: Path, name: str, size: int, *, primary: bool) -> Json:
        wait, problem, failures, waits = 0.25, "", 0, 0
        while failures < UPLOADS and waits < MOST_WAITS:
            again = wait * 2**failures
            try:
                response, answer = await self._send(path, name, size, primary=primary)
            except (ConnectionLost, TimeoutError) as error:
                problem = str(error) or "it took too long"
                failures += 1
            else:
                if response.status in (200, 201):
                    made: Json = json.loads(answer)
                    return made
                problem = _told(answer)
                if response.status != 429 and response.status < 500:
                    self._refuse(response.status, answer, problem)
                again = min(_seconds(response.headers.get("retry-after")) or again, LONGEST_WAIT)
                # Being told to wait is no failure: many files take their turns.
                waits, failures = waits + 1, failures + (response.status != 429)
            await asyncio.sleep(again + wait * random.random())
        raise PublishError("upload_failed", problem)

    def _refuse(self, status: int, answer: bytes, problem: str) -> NoReturn:
        full = FULL.encode() in answer
        self._full |= full
        raise PublishError(FULL if full else CODES.get(status, "upload_failed"), problem)

    async def _send(
        self, path: Path, name: str, size: int, *, primary: bool
    ) -> tuple[Response, bytes]:
        headers = self._sink.headers(b"", new_id()) | {
            "Content-Type": KINDS.get(path.suffix.lower(), "application/octet-stream"),
            "X-Document-Name": quote(name, safe=""),
        }
        if primary:
            headers["X-Document-Presentation"] = "primary"
        connection = Connection(self._url)
        sending = connection.request("POST", f"{self._sink.base}/documents", headers, path)
        try:
            return await asyncio.wait_for(sending, 30 + size / MIB)
        finally:
            connection.close()


def _measure(path: Path, most: int) -> tuple[int, str]:
    """A file's size and digest, read in pieces. Raises `PublishError` past `most` bytes."""
    digest, size = hashlib.sha256(), path.stat().st_size
    if size <= most:
        size = 0
        with path.open("rb") as file:
            while size <= most and (piece := file.read(MIB)):
                digest.update(piece)
                size += len(piece)
    if size > most:
        told = f"it has {size} bytes or more; at most {most} are kept"
        raise PublishError("file_too_large", told)
    return size, digest.hexdigest()


def _readable(name: str) -> str:
    """A name without what is no UTF-8 in it, and could not be sent."""
    return name.encode("utf-8", "replace").decode()


def _place(path: Path, digest: str) -> tuple[str, str]:
    """What a file was when it was published, links followed."""
    return str(path.resolve()), digest


def _outputs(folder: Path) -> Iterator[Path]:
    """Every file below a folder; no links, and nothing hidden."""
    waiting = [] if folder.is_symlink() else [folder]
    while waiting:  # not os.walk: it calls itself, and a folder may be deeper than calls may
        inner = list[Path]()
        with contextlib.suppress(OSError):
            for path in sorted(waiting.pop().iterdir()):
                if path.name.startswith(".") or path.is_symlink():
                    continue
                if path.is_dir():
                    inner.append(path)
                elif path.is_file():
                    yield path
        waiting += inner[::-1]


def _told(answer: bytes) -> str:
    with contextlib.suppress(ValueError, TypeError, KeyError):
        return str(json.loads(answer)["detail"])
    return answer[:300].decode(errors="replace")


def _seconds(text: str | None) -> float:
    try:
        return max(0.0, float(text or 0))
    except ValueError:
        return 0.0
