"""Archives as blobs: read with their digest checked, deleted once nothing names them."""

import asyncio
from collections.abc import Collection

from actors.packages.archive import SINGLE_PACKAGE, ArchiveInvalid, open_archive
from actors.packages.content import blob_key, integrity_of
from actors.packages.definition import BundlePart
from actors.packages.drafts import draft_files
from actors.packages.records import ArchiveRecords
from actors.runtime import Address, NotFound, Rejected
from actors.storage import DeleteBlob, OpenBlob, PutBlob, Storage, chunks


async def read_archive(storage: Address[Storage], integrity: str) -> bytes:
    """The stored archive with this integrity; bytes that are not what was published are refused."""
    try:
        blob = await storage.ask(OpenBlob(key=blob_key(integrity)))
        content = await blob.read()
    except NotFound:
        content = b""
    if await asyncio.to_thread(integrity_of, content) != integrity:
        what = "is damaged" if content else "is missing"
        raise Rejected(
            f"the stored archive {integrity} {what}: import the package again with force=true",
            code="bundle_integrity_mismatch",
        )
    return content


async def read_files(storage: Address[Storage], integrity: str) -> dict[str, bytes]:
    """The files of a stored archive by their paths."""
    return await asyncio.to_thread(_unpack, await read_archive(storage, integrity))


async def read_part(storage: Address[Storage], part: BundlePart) -> dict[str, bytes]:
    """The files of one package of a run's bundle."""
    base: dict[str, bytes] = {}
    if part.integrity is not None:
        base = await read_files(storage, part.integrity)
    if part.draft is None:
        return base
    return draft_files(part.draft.manifest, part.draft.content, base)


async def keep_archive(storage: Address[Storage], content: bytes, integrity: str) -> None:
    """Store an archive under its integrity, unless it is there."""
    key = blob_key(integrity)
    try:
        blob = await storage.ask(OpenBlob(key=key))
    except NotFound:
        await storage.ask(PutBlob(key=key, body=chunks(content)))
    else:
        await blob.aclose()


async def discard(
    records: ArchiveRecords, storage: Address[Storage], integrities: Collection[str]
) -> None:
    """Delete those of some archives that neither a draft nor a version names."""

    async def delete(integrity: str) -> None:
        await storage.ask(DeleteBlob(key=blob_key(integrity)))

    for integrity in integrities:
        await records.discard(integrity, delete)


def _unpack(content: bytes) -> dict[str, bytes]:
    try:
        archive = open_archive(content, SINGLE_PACKAGE)
        return {path: archive.read(path) for path in archive.paths}
    except ArchiveInvalid as refusal:
        raise Rejected(
            f"the stored archive cannot be unpacked: {refusal.detail}",
            code="package_archive_unreadable",
        ) from None
