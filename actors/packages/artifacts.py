"""Opens the bytes of packages: their files, their archives, and what a run downloads."""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, assert_never

import msgspec

from actors.accounts import Caller
from actors.ids import PackageId
from actors.packages.access import find_version, find_visible
from actors.packages.bundle import write_bundle
from actors.packages.content import files_of
from actors.packages.definition import BundlePart
from actors.packages.drafts import draft_files
from actors.packages.files import FileEntry, is_text, list_files, pick_file
from actors.packages.manifest import Manifest
from actors.packages.records import PackageRecords, StoredPackage
from actors.packages.stored import read_archive, read_files, read_part
from actors.runtime import Actor, Address, Lane, Request
from actors.storage import Blob, Storage, chunks


class FileList(msgspec.Struct, frozen=True, kw_only=True):
    """The files of a package; `tag` changes when one of them does."""

    entries: list[FileEntry]
    tag: str


class PackageFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a package."""

    blob: Blob
    text: bool


class PackageArchive(msgspec.Struct, frozen=True, kw_only=True):
    """A published version as an archive; `integrity` is the SRI digest of its bytes."""

    blob: Blob
    version: str
    integrity: str
    yanked: bool


class ListFiles(Request["Artifacts", FileList], frozen=True, kw_only=True):
    """The files of a package by their paths.

    `version` is None (the draft of one's own packages, else the latest), `draft`, or as in
    ShowPackage.
    """

    caller: Caller
    package: PackageId
    version: str | None = None


class OpenFile(Request["Artifacts", PackageFile], frozen=True, kw_only=True):
    """One file; `path` is spelled as in the list of files, and anything else is refused."""

    caller: Caller
    package: PackageId
    path: str
    version: str | None = None


class OpenArchive(Request["Artifacts", PackageArchive], frozen=True, kw_only=True):
    """The archive of a published version: exact, a tag or a range."""

    caller: Caller
    package: PackageId
    version: str


class OpenRunBundle(Request["Artifacts", Blob], frozen=True, kw_only=True):
    """The bundle of an agent and its skills, as one archive."""

    manifest: Manifest
    prompt: str
    parts: Sequence[BundlePart]


ArtifactsMessage: TypeAlias = ListFiles | OpenFile | OpenArchive | OpenRunBundle


class Artifacts(Actor):
    """Reads stored archives. Few at a time, for unpacking takes memory and a processor.

    Bytes whose digest is not the one they were published with are never given out: that is
    `bundle_integrity_mismatch`.
    """

    # What runs need does not wait for those who look around.
    lanes = (Lane("runs", 4, (OpenRunBundle,)), Lane("archives", 4, limit=64))

    def __init__(self, records: PackageRecords, storage: Address[Storage]) -> None:
        super().__init__()
        self._records = records
        self._storage = storage

    async def receive(self, message: ArtifactsMessage) -> Any:
        match message:
            case ListFiles():
                return await self._list(message)
            case OpenFile():
                return await self._open_file(message)
            case OpenArchive():
                return await self._open_archive(message)
            case OpenRunBundle():
                return await self._open_bundle(message)
            case _:
                assert_never(message)

    async def _list(self, message: ListFiles) -> FileList:
        package = await find_visible(self._records, message.caller, message.package)
        files = await self._files(package, message.version)
        entries = await asyncio.to_thread(list_files, files)
        return FileList(entries=entries, tag=await asyncio.to_thread(_tag, files))

    async def _open_file(self, message: OpenFile) -> PackageFile:
        package = await find_visible(self._records, message.caller, message.package)
        content = pick_file(await self._files(package, message.version), message.path)
        return PackageFile(blob=Blob(len(content), chunks(content)), text=is_text(content))

    async def _open_archive(self, message: OpenArchive) -> PackageArchive:
        package = await find_visible(self._records, message.caller, message.package)
        version = await find_version(self._records, package, message.version)
        content = await read_archive(self._storage, version.integrity)
        return PackageArchive(
            blob=Blob(len(content), chunks(content)),
            version=version.version,
            integrity=version.integrity,
            yanked=version.yanked,
        )

    async def _files(self, package: StoredPackage, query: str | None) -> dict[str, bytes]:
        if query in (None, "draft") and package.org_id is not None:
            base: dict[str, bytes] = {}
            if package.draft_archive is not None:
                base = await read_files(self._storage, package.draft_archive)
            return draft_files(package.draft_manifest, package.draft_content, base)
        version = await find_version(self._records, package, query or "published")
        return await read_files(self._storage, version.integrity)

    async def _open_bundle(self, message: OpenRunBundle) -> Blob:
        root = f"{message.manifest['name']}@{message.manifest['version']}"
        packages = {root: files_of(message.manifest, message.prompt)}
        for part in message.parts:
            packages[part.identity] = await read_part(self._storage, part)
        content = await asyncio.to_thread(write_bundle, root, packages)
        return Blob(len(content), chunks(content))


def _tag(files: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for path, content in sorted(files.items()):
        digest.update(f"{path}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:32]
