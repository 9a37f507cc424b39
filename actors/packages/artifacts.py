"""Opens the bytes of packages: what a run downloads."""

import asyncio
from collections.abc import Sequence
from typing import assert_never

from actors.packages.archive import SINGLE_PACKAGE, open_archive
from actors.packages.bundle import write_bundle
from actors.packages.content import blob_key, files_of
from actors.packages.definition import BundlePart
from actors.packages.manifest import Manifest
from actors.runtime import Actor, Address, Lane, Request
from actors.storage import Blob, OpenBlob, Storage, chunks


class OpenRunBundle(Request["Artifacts", Blob], frozen=True, kw_only=True):
    """The bundle of an agent and its skills, as one archive."""

    manifest: Manifest
    prompt: str
    parts: Sequence[BundlePart]


class Artifacts(Actor):
    """Reads stored archives. Few at a time, for unpacking takes memory and a processor."""

    lanes = (Lane("archives", 4),)

    def __init__(self, storage: Address[Storage]) -> None:
        super().__init__()
        self._storage = storage

    async def receive(self, message: OpenRunBundle) -> Blob:
        match message:
            case OpenRunBundle():
                return await self._open_bundle(message)
            case _:
                assert_never(message)

    async def _open_bundle(self, message: OpenRunBundle) -> Blob:
        root = f"{message.manifest['name']}@{message.manifest['version']}"
        packages = {root: files_of(message.manifest, message.prompt)}
        for part in message.parts:
            blob = await self._storage.ask(OpenBlob(key=blob_key(part.integrity)))
            packages[part.identity] = await asyncio.to_thread(_skill_files, await blob.read())
        content = await asyncio.to_thread(write_bundle, root, packages)
        return Blob(len(content), chunks(content))


def _skill_files(archive: bytes) -> dict[str, bytes]:
    opened = open_archive(archive, SINGLE_PACKAGE)
    return {path: opened.read(path) for path in opened.paths}
