"""Brings packages in: archives, manifests with their text, and what the platform ships."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, assert_never

import msgspec
import structlog
from msgspec.structs import replace

from actors.accounts import Caller
from actors.ids import PackageId
from actors.packages.access import find_own, find_version, find_visible
from actors.packages.archive import (
    MIB,
    SINGLE_PACKAGE,
    ArchiveInvalid,
    open_archive,
    write_archive,
)
from actors.packages.bare_skill import read_bare_skill, write_bare_skill
from actors.packages.bundle import Bundle
from actors.packages.content import ReadPackage, blob_key, make_package, read_package
from actors.packages.cycles import check_cycle
from actors.packages.drafts import draft_files
from actors.packages.manifest import Manifest, PackageType, publication_problems
from actors.packages.records import PackageRecords, Publication, PublicationRecords
from actors.packages.shipped import publish_shipped
from actors.packages.signature import Trust, judge
from actors.packages.stored import discard, keep_archive, read_files
from actors.packages.versions import is_version
from actors.runtime import Actor, Address, Conflict, Lane, Refusal, Rejected, Request, Unavailable
from actors.storage import Body, PutBlob, Storage, chunks, close_body, guarded

log = structlog.get_logger("packages")

UPLOAD_SECONDS = 300.0
STARTER = PackageId("@appstrate/hello-world")


class ImportedPackage(msgspec.Struct, frozen=True, kw_only=True):
    """What an import made."""

    package: PackageId
    type: PackageType
    version: str
    warnings: list[str]


class ImportPackage(Request["Publisher", ImportedPackage], frozen=True, kw_only=True):
    """Import an archive: write the draft, publish its version, install it. All or nothing.

    The body may be idle for 30 s and take 300 s in all. Refuses an unusable archive with the
    archive codes, one whose signature does not hold as the operator's policy says, and a name or
    version that is taken as `rules.admit` says; `force` overwrites an unpublished draft and
    replaces published bytes.
    """

    streaming = True
    caller: Caller
    body: Body
    force: bool = False


class CreatePackage(Request["Publisher", PackageId], frozen=True, kw_only=True):
    """Make a package of a manifest and a text, publish its first version and install it."""

    caller: Caller
    type: PackageType
    manifest: Manifest
    content: str | None


class PublishDraft(Request["Publisher", str], frozen=True, kw_only=True):
    """Publish the draft as `version`, by default that of its manifest; answers the version.

    Refuses with `no_changes` when the draft is what is published under it, with `version_exists`
    when something else is, and when the version is not higher than every one there is.
    """

    caller: Caller
    type: PackageType
    package: PackageId
    version: str | None = None


class ForkPackage(Request["Publisher", PackageId], frozen=True, kw_only=True):
    """Copy the latest published version into the organization's own scope, and install it.

    Refuses a package of one's own, one that was never published, and a name that is taken.
    """

    caller: Caller
    package: PackageId
    name: str | None = None


class InstallStarter(Request["Publisher", None], frozen=True, kw_only=True):
    """Give a new organization its own copy of the starter agent, named in `scope`.

    Does nothing when the platform ships none, or the name is taken.
    """

    caller: Caller
    scope: str


PublisherMessage: TypeAlias = (
    ImportPackage | CreatePackage | PublishDraft | ForkPackage | InstallStarter
)


class Publisher(Actor):
    """Publishes packages. Archives are blobs named by their digest; the rest are rows.

    At every start it publishes the archives in the system folders for all organizations. That is
    never fatal: an archive that cannot be used is one warning, and one that is published already
    with other bytes is refused, the stored bytes staying as they are.
    """

    lanes = (
        Lane("imports", 16, (ImportPackage,), limit=64),  # as slow as those who send
        Lane("rest", 8, limit=64),
    )

    def __init__(
        self,
        records: PublicationRecords,
        catalogue: PackageRecords,
        storage: Address[Storage],
        system_folders: Sequence[Path],
        trust: Trust,
    ) -> None:
        super().__init__()
        self._records = records
        self._catalogue = catalogue
        self._storage = storage
        self._system_folders = system_folders
        self._trust = trust

    async def started(self) -> None:
        known = await self._records.system_integrities()
        await publish_shipped(self._system_folders, known, self._publish_shipped)

    async def receive(self, message: PublisherMessage) -> Any:
        match message:
            case ImportPackage():
                return await self._import(message)
            case CreatePackage():
                return await self._create(message)
            case PublishDraft():
                return await self._publish_draft(message)
            case ForkPackage():
                return await self._fork(message)
            case InstallStarter():
                return await self._install_starter(message)
            case _:
                assert_never(message)

    async def _import(self, message: ImportPackage) -> ImportedPackage:
        try:
            archive = await collect(message.body, SINGLE_PACKAGE.compressed)
        finally:
            await close_body(message.body)
        package = await self._read(archive, message.caller)
        await check_cycle(package.manifest, partial(self._manifests, message.caller))
        warnings = package.warnings
        if self._trust.policy != "off":
            warnings = judge(await asyncio.to_thread(_alone, package), self._trust) + warnings
        await self._store(
            package, replace(publication_of(package, message.caller), force=message.force)
        )
        return ImportedPackage(
            package=PackageId(package.id),
            type=package.type,
            version=package.manifest["version"],
            warnings=warnings,
        )

    async def _create(self, message: CreatePackage) -> PackageId:
        package = await asyncio.to_thread(
            make_package, message.manifest, message.content, message.type
        )
        publication = replace(
            publication_of(package, message.caller),
            only_new=True,
            publish=await self._is_publishable(package, message.caller),
        )
        await self._store(package, publication)
        return PackageId(package.id)

    async def _is_publishable(self, package: ReadPackage, caller: Caller) -> bool:
        try:
            await check_cycle(package.manifest, partial(self._manifests, caller))
        except Rejected:
            return False
        return not publication_problems(package.manifest)

    async def _publish_draft(self, message: PublishDraft) -> str:
        draft = await find_own(self._catalogue, message.caller, message.package, message.type)
        manifest = draft.draft_manifest
        if message.version is not None:
            if not is_version(message.version):
                raise Rejected(f"{message.version!r} is no semantic version", param="version")
            manifest = manifest | {"version": message.version}
        base: dict[str, bytes] = {}
        if draft.draft_archive is not None:
            base = await read_files(self._storage, draft.draft_archive)
        package = await asyncio.to_thread(_pack, manifest, draft.draft_content, base)
        await check_cycle(package.manifest, partial(self._manifests, message.caller))
        publication = publication_of(package, message.caller)
        await self._store(package, replace(publication, of_draft=draft.lock_version))
        return publication.version

    async def _fork(self, message: ForkPackage) -> PackageId:
        org, _ = message.caller.tenant
        source = await find_visible(self._catalogue, message.caller, message.package)
        if source.org_id == org:
            raise Rejected(f"{source.id} is your own already: change its draft")
        if source.latest is None:
            raise Rejected(f"{source.id} was never published: there is nothing to copy")
        version = await find_version(self._catalogue, source, "latest")
        slug = await self._records.slug(org)
        target = f"@{slug}/{message.name or source.id.partition('/')[2]}"
        if await self._catalogue.find(PackageId(target)) is not None:
            told = f"the name {target} is taken: send another as `name`"
            raise Rejected(told, code="name_collision", param="name")
        files = await read_files(self._storage, version.integrity)
        manifest = version.manifest | {"name": target}
        package = await asyncio.to_thread(_pack, manifest, None, files)
        publication = publication_of(package, message.caller)
        await self._store(package, replace(publication, only_new=True, forked_from=source.id))
        return PackageId(target)

    async def _read(self, archive: bytes, caller: Caller) -> ReadPackage:
        try:
            return await asyncio.to_thread(read_package, archive)
        except ArchiveInvalid as refusal:
            skill = None
            if refusal.code == "missing_manifest":
                skill = await asyncio.to_thread(read_bare_skill, archive)
            if skill is None:
                raise
        org, _ = caller.tenant
        name = PackageId(f"@{await self._records.slug(org)}/{skill.slug}")
        known = await self._catalogue.find(name)
        if known is not None and known.org_id == org and known.draft_archive is not None:
            there = draft_files(
                known.draft_manifest,
                known.draft_content,
                await read_files(self._storage, known.draft_archive),
            )
            if skill.files == {p: c for p, c in there.items() if p != "manifest.json"}:
                raise Conflict(
                    f"the skill {name} is there with these files", code="skill_unchanged"
                )
        published = [v.version for v in known.versions] if known is not None else []
        made = await asyncio.to_thread(write_bare_skill, skill, name, published)
        return await asyncio.to_thread(read_package, made)

    async def _manifests(self, caller: Caller, names: list[PackageId]) -> dict[PackageId, Manifest]:
        """What is latest of some packages; the draft of one that was never published."""
        org, _ = caller.tenant
        found: dict[PackageId, Manifest] = {}
        for package in await self._catalogue.owned(org, names):
            version = None
            if package.latest is not None:
                version = await self._catalogue.version(package.id, package.latest)
            found[package.id] = version.manifest if version else package.draft_manifest
        return found

    async def _install_starter(self, message: InstallStarter) -> None:
        starter = await self._catalogue.find(STARTER)
        if starter is None:
            return
        manifest = starter.draft_manifest | {"name": f"@{message.scope}/hello-world"}
        package = make_package(manifest, starter.draft_content, "agent")
        publication = replace(
            publication_of(package, message.caller),
            only_new=True,
            forked_from=STARTER,
            auto_installed=True,
        )
        try:
            await self._store(package, publication)
        except Refusal as refusal:
            log.warning("starter agent not installed", package=package.id, why=refusal.detail)

    async def _store(self, package: ReadPackage, publication: Publication) -> None:
        # The blob first: a version whose archive is missing must never be seen.
        key = blob_key(publication.integrity)
        await self._storage.ask(PutBlob(key=key, body=chunks(package.archive)))
        try:
            unused = await self._records.store(publication)
        except (Conflict, Rejected):
            await discard(self._records, self._storage, [publication.integrity])
            raise
        await discard(self._records, self._storage, unused)
        # Whoever deleted the last other name of this archive meanwhile has deleted the blob.
        await keep_archive(self._storage, package.archive, publication.integrity)

    async def _publish_shipped(self, package: ReadPackage) -> None:
        await self._store(package, publication_of(package, None))


def _pack(manifest: Manifest, content: str | None, base: Mapping[str, bytes]) -> ReadPackage:
    return read_package(write_archive(draft_files(manifest, content, base)))


def publication_of(package: ReadPackage, caller: Caller | None) -> Publication:
    """A package as its caller publishes and installs it; without one, as the platform does."""
    publication = Publication(
        package=PackageId(package.id),
        type=package.type,
        manifest=package.manifest,
        content=package.content,
        integrity=package.integrity,
        size=len(package.archive),
    )
    if caller is None:
        return publication
    org, application = caller.tenant
    return replace(publication, org=org, application=application, user=caller.user)


async def collect(body: Body, limit: int) -> bytes:
    """An upload, whole, in 300 s at most. Refuses one over `limit` bytes with `file_too_large`."""
    collected = bytearray()
    try:
        async with asyncio.timeout(UPLOAD_SECONDS):
            async for chunk in guarded(body):
                collected += chunk
                if len(collected) > limit:
                    raise ArchiveInvalid(
                        f"the archive is larger than {limit // MIB} MiB", code="file_too_large"
                    )
    except TimeoutError:
        raise Unavailable(f"the upload took longer than {UPLOAD_SECONDS:g} s") from None
    return bytes(collected)


def _alone(package: ReadPackage) -> Bundle:
    """A package as a bundle of its own, which is how its signature sees it."""
    opened = open_archive(package.archive, SINGLE_PACKAGE)
    identity = f"{package.id}@{package.manifest['version']}"
    files = {path: opened.read(path) for path in opened.paths}
    return Bundle(root=identity, packages={identity: files})
