"""The catalogue: agents, skills, integrations and MCP servers, drafts and versions."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias, assert_never

import msgspec
import structlog
from msgspec.structs import replace

from actors.accounts import Caller
from actors.ids import PackageId
from actors.packages.archive import MIB, SINGLE_PACKAGE, ArchiveInvalid, open_archive
from actors.packages.bundle import write_bundle
from actors.packages.content import ReadPackage, blob_key, files_of, make_package, read_package
from actors.packages.definition import AgentDefinition, BundlePart, facts, parts, resolve_skills
from actors.packages.manifest import Manifest, PackageType
from actors.packages.records import (
    AgentItem,
    PackageItem,
    PackageRecords,
    Publication,
    StoredPackage,
    StoredVersion,
)
from actors.packages.shipped import publish_shipped
from actors.packages.views import AgentDetail, PackageDetail, agent_detail, package_detail
from actors.runtime import Actor, Address, Lane, NotFound, Refusal, Request, Unavailable
from actors.storage import Blob, Body, OpenBlob, PutBlob, Storage, chunks, close_body, guarded

log = structlog.get_logger("packages")

UPLOAD_SECONDS = 300.0
STARTER = PackageId("@appstrate/hello-world")


class ImportedPackage(msgspec.Struct, frozen=True, kw_only=True):
    """What an import made."""

    package: PackageId
    type: PackageType
    version: str
    warnings: list[str]


class ImportPackage(Request["Packages", ImportedPackage], frozen=True, kw_only=True):
    """Import an archive: write the draft, publish its version, install it. All or nothing.

    The body may be idle for 30 s and take 300 s in all. Refuses an unusable archive with the
    archive codes, a name or version that is taken as `rules.admit` says; `force` overwrites an
    unpublished draft and replaces published bytes.
    """

    streaming = True
    caller: Caller
    body: Body
    force: bool = False


class CreatePackage(Request["Packages", PackageId], frozen=True, kw_only=True):
    """Make a package of a manifest and a text, publish its first version and install it."""

    caller: Caller
    type: PackageType
    manifest: Manifest
    content: str | None


class InstallStarter(Request["Packages", None], frozen=True, kw_only=True):
    """Give a new organization its own copy of the starter agent, named in `scope`.

    Does nothing when the platform ships none, or the name is taken.
    """

    caller: Caller
    scope: str


class ListPackages(Request["Packages", list[PackageItem]], frozen=True, kw_only=True):
    """The packages of one type the caller's application sees, by name."""

    caller: Caller
    type: PackageType


class ListAgents(Request["Packages", list[AgentItem]], frozen=True, kw_only=True):
    """The agents the caller's application sees, by name."""

    caller: Caller


class ShowPackage(Request["Packages", AgentDetail | PackageDetail], frozen=True, kw_only=True):
    """One package: its draft, or the `version` asked for (exact, tag or range)."""

    caller: Caller
    type: PackageType
    package: PackageId
    version: str | None = None


class ResolveAgent(Request["Packages", AgentDefinition], frozen=True, kw_only=True):
    """The agent as it would run now.

    `version` is None (the latest published), `draft`, `published`, a tag, a version or a range.
    Refuses with `no_published_version`, `missing_skill`, or `dependency_unresolved` when no
    published version of a skill fits.
    """

    caller: Caller
    package: PackageId
    version: str | None = None


class OpenRunBundle(Request["Packages", Blob], frozen=True, kw_only=True):
    """The bundle of an agent and its skills, as one archive."""

    manifest: Manifest
    prompt: str
    parts: Sequence[BundlePart]


PackagesMessage: TypeAlias = (
    ImportPackage
    | CreatePackage
    | InstallStarter
    | ListPackages
    | ListAgents
    | ShowPackage
    | ResolveAgent
    | OpenRunBundle
)


class Packages(Actor):
    """Keeps the catalogue. Archives are blobs named by their digest; the rest are rows.

    At every start it publishes the archives in the system folders for all organizations. That is
    never fatal: an archive that cannot be used is one warning, and one that is published already
    with other bytes is refused, the stored bytes staying as they are.
    """

    lanes = (
        Lane("imports", 16, (ImportPackage,), limit=64),  # as slow as those who send
        Lane("writes", 4, (CreatePackage,), limit=64),
        Lane("bundles", 4, (OpenRunBundle,)),
        Lane("rest", 32),
    )

    def __init__(
        self,
        records: PackageRecords,
        storage: Address[Storage],
        system_folders: Sequence[Path],
        timeout_ceiling: float,
    ) -> None:
        super().__init__()
        self._records = records
        self._storage = storage
        self._system_folders = system_folders
        self._timeout_ceiling = timeout_ceiling

    async def started(self) -> None:
        known = await self._records.system_integrities()
        await publish_shipped(self._system_folders, known, self._publish_shipped)

    async def receive(self, message: PackagesMessage) -> Any:
        match message:
            case ImportPackage():
                return await self._import(message)
            case CreatePackage():
                return await self._create(message)
            case InstallStarter():
                return await self._install_starter(message)
            case ListPackages():
                return await self._records.items(*message.caller.tenant, message.type)
            case ListAgents():
                return await self._records.agents(*message.caller.tenant)
            case ShowPackage():
                return await self._show(message)
            case ResolveAgent():
                return await self._resolve(message)
            case OpenRunBundle():
                return await self._open_bundle(message)
            case _:
                assert_never(message)

    async def _import(self, message: ImportPackage) -> ImportedPackage:
        try:
            archive = await _collect(message.body, SINGLE_PACKAGE.compressed)
        finally:
            await close_body(message.body)
        package = await asyncio.to_thread(read_package, archive)
        await self._store(
            package, replace(_publication(package, message.caller), force=message.force)
        )
        return ImportedPackage(
            package=PackageId(package.id),
            type=package.type,
            version=package.manifest["version"],
            warnings=package.warnings,
        )

    async def _create(self, message: CreatePackage) -> PackageId:
        package = await asyncio.to_thread(
            make_package, message.manifest, message.content, message.type
        )
        publication = replace(_publication(package, message.caller), only_new=True)
        await self._store(package, publication)
        return PackageId(package.id)

    async def _install_starter(self, message: InstallStarter) -> None:
        starter = await self._records.find(STARTER)
        if starter is None:
            return
        manifest = starter.draft_manifest | {"name": f"@{message.scope}/hello-world"}
        package = make_package(manifest, starter.draft_content, "agent")
        publication = replace(
            _publication(package, message.caller),
            only_new=True,
            forked_from=STARTER,
            auto_installed=True,
        )
        try:
            await self._store(package, publication)
        except Refusal as refusal:
            log.warning("starter agent not installed", package=package.id, why=refusal.detail)

    async def _store(self, package: ReadPackage, publication: Publication) -> None:
        # The blob first: a version whose archive is missing must never be seen. If the rows are
        # refused, what remains is a blob that nobody names, and that the next try reuses.
        key = blob_key(publication.integrity)
        await self._storage.ask(PutBlob(key=key, body=chunks(package.archive)))
        await self._records.store(publication)

    async def _show(self, message: ShowPackage) -> AgentDetail | PackageDetail:
        package = await self._visible(message.caller, message.package, message.type)
        shown = None
        if message.version and message.version != "draft":
            shown = await self._version(package, message.version)
        org, application = message.caller.tenant
        if package.type != "agent":
            return package_detail(package, shown, await self._records.users(org, package.id))
        activity = await self._records.activity(application, package.id)
        return agent_detail(package, shown, activity, self._timeout_ceiling)

    async def _visible(
        self, caller: Caller, package: PackageId, kind: PackageType
    ) -> StoredPackage:
        found = await self._records.visible(*caller.tenant, package)
        if found is None or found.type != kind:
            code = "agent_not_found" if kind == "agent" else "not_found"
            raise NotFound(f"there is no {kind} {package} in this application", code=code)
        return found

    async def _version(self, package: StoredPackage, query: str) -> StoredVersion:
        version = package.choose(query)
        found = await self._records.version(package.id, version) if version else None
        if found is not None:
            return found
        if package.versions:
            raise NotFound(f"no published version of {package.id} fits {query!r}")
        raise NotFound(
            f"{package.id} was never published: publish its draft, or ask for ?version=draft",
            code="no_published_version",
        )

    async def _resolve(self, message: ResolveAgent) -> AgentDefinition:
        org, _ = message.caller.tenant
        package = await self._visible(message.caller, message.package, "agent")
        query = message.version or "published"
        if package.source == "system" and query == "draft":
            query = "published"  # what the platform ships has no draft of its own
        if query == "draft":
            manifest, prompt = package.draft_manifest, package.draft_content
            label, ref = f"{manifest['version']} (draft)", "draft"
        else:
            version = await self._version(package, query)
            manifest, prompt = version.manifest, version.content
            label = ref = version.version
        skills = await resolve_skills(
            manifest, lambda names: self._records.owned(org, names), self._records.version
        )
        return AgentDefinition(
            package=package.id,
            version_label=label,
            version_ref=ref,
            manifest=manifest,
            prompt=prompt or "",
            skills=facts(skills),
            parts=parts(skills),
        )

    async def _open_bundle(self, message: OpenRunBundle) -> Blob:
        root = f"{message.manifest['name']}@{message.manifest['version']}"
        packages = {root: files_of(message.manifest, message.prompt)}
        for part in message.parts:
            blob = await self._storage.ask(OpenBlob(key=blob_key(part.integrity)))
            packages[part.identity] = await asyncio.to_thread(_skill_files, await blob.read())
        content = await asyncio.to_thread(write_bundle, root, packages)
        return Blob(len(content), chunks(content))

    async def _publish_shipped(self, package: ReadPackage) -> None:
        await self._store(package, _publication(package, None))


def _publication(package: ReadPackage, caller: Caller | None) -> Publication:
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


def _skill_files(archive: bytes) -> dict[str, bytes]:
    opened = open_archive(archive, SINGLE_PACKAGE)
    return {path: opened.read(path) for path in opened.paths}


async def _collect(body: Body, limit: int) -> bytes:
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
