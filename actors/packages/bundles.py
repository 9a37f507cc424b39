"""Brings whole bundles in and gives them out: an agent together with the skills it needs."""

import asyncio
from typing import Any, Literal, TypeAlias, assert_never

import msgspec
import structlog
from msgspec.structs import replace

from actors.accounts import Caller
from actors.contract import Resource, spell
from actors.ids import PackageId
from actors.packages.archive import BUNDLE, Limits, write_archive
from actors.packages.bundle import Bundle, Files, package_integrity, write_bundle
from actors.packages.bundle_reader import (
    MAX_PACKAGES,
    BundleInvalid,
    read_bundle,
    split_identity,
)
from actors.packages.content import ReadPackage, blob_key, files_of, read_package
from actors.packages.packages import Packages, ResolveAgent
from actors.packages.publisher import collect, publication_of
from actors.packages.records import BundleRecords, Publication, StoredPackage
from actors.packages.signature import Trust, judge
from actors.packages.stored import keep_archive, read_files, read_part
from actors.runtime import Actor, Address, Conflict, FieldProblem, Lane, Refusal, Request
from actors.storage import Blob, Body, PutBlob, Storage, chunks, close_body

log = structlog.get_logger("packages")


class BundleLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How large bundles may be that are brought in."""

    archive: Limits = BUNDLE
    packages: int = MAX_PACKAGES


class ImportedPart(Resource, frozen=True, kw_only=True, rename=spell):
    """What became of one package of a bundle."""

    identity: str
    status: Literal["inserted", "reused"]
    version_id: int = msgspec.field(name="version_id")
    type: str


class ImportedBundle(Resource, frozen=True, kw_only=True, rename=spell):
    """What became of a bundle."""

    imported: list[ImportedPart]
    root_installed: bool
    root_package_id: PackageId = msgspec.field(name="root_package_id")
    root_version: str
    warnings: list[str]


class ImportBundle(Request["Bundles", ImportedBundle], frozen=True, kw_only=True):
    """Import a bundle: publish what is not there yet and install its root. All or nothing.

    What the platform ships is never overwritten, what is there already is reused, and drafts stay
    as they are. Refuses a name of another organization and a version with other content with
    `bundle_conflict`; every package is checked as if it were imported alone.
    """

    streaming = True
    caller: Caller
    body: Body


class ExportedBundle(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle to be downloaded."""

    blob: Blob
    integrity: str
    version: str


class ExportBundle(Request["Bundles", ExportedBundle], frozen=True, kw_only=True):
    """An agent and the skills it depends on, as one archive; `version` as in ResolveAgent."""

    caller: Caller
    package: PackageId
    version: str | None = None


BundlesMessage: TypeAlias = ImportBundle | ExportBundle


class Bundles(Actor):
    """Reads and writes bundles. Few at a time, for they are large."""

    lanes = (Lane("bundles", 4, limit=64),)

    def __init__(
        self,
        records: BundleRecords,
        storage: Address[Storage],
        packages: Address[Packages],
        *,
        trust: Trust,
        limits: BundleLimits,
    ) -> None:
        super().__init__()
        self._records = records
        self._storage = storage
        self._packages = packages
        self._trust = trust
        self._limits = limits

    async def receive(self, message: BundlesMessage) -> Any:
        match message:
            case ImportBundle():
                return await self._import(message)
            case ExportBundle():
                return await self._export(message)
            case _:
                assert_never(message)

    async def _import(self, message: ImportBundle) -> ImportedBundle:
        try:
            content = await collect(message.body, self._limits.archive.compressed)
        finally:
            await close_body(message.body)
        limits = self._limits
        bundle = await asyncio.to_thread(read_bundle, content, limits.archive, limits.packages)
        warnings = judge(bundle, self._trust)
        packages = await asyncio.to_thread(_unpack, bundle)
        publications: list[Publication] = []
        for package in packages:
            stored = await self._published(message.caller, package, bundle)
            if stored is None:
                key = blob_key(package.integrity)
                await self._storage.ask(PutBlob(key=key, body=chunks(package.archive)))
            publication = _publication(package, message.caller, bundle.root)
            publications.append(replace(publication, integrity=stored or package.integrity))
        adopted = await self._records.adopt(publications)
        for package, publication in zip(packages, publications, strict=True):
            if publication.integrity == package.integrity:
                await keep_archive(self._storage, package.archive, package.integrity)
        imported = [
            ImportedPart(
                identity=_identity(p), status=a.status, version_id=a.version_id, type=p.type
            )
            for p, a in zip(packages, adopted, strict=True)
        ]
        name, version = split_identity(bundle.root)
        return ImportedBundle(
            imported=imported,
            root_installed=any(p.application is not None for p in publications),
            root_package_id=PackageId(name),
            root_version=version,
            warnings=warnings + [w for package in packages for w in package.warnings],
        )

    async def _published(self, caller: Caller, package: ReadPackage, bundle: Bundle) -> str | None:
        """The digest this very version is stored with, if it is; other content is refused."""
        org, _ = caller.tenant
        existing = await self._records.find(PackageId(package.id))
        if existing is None:
            return None
        identity = _identity(package)
        _check_owner(existing, org, package, identity)
        stored = _integrity_in(existing, str(package.manifest["version"]))
        if existing.org_id is None:
            return stored or existing.versions[-1].integrity
        if stored is None or stored == package.integrity:
            return stored
        # Other bytes, as another tool packs them: what counts is what is in them.
        if package_integrity(await read_files(self._storage, stored)) == package_integrity(
            bundle.packages[identity]
        ):
            return stored
        what = f"{identity} is published here with other content"
        raise _conflict(identity, "integrity_mismatch", what)

    async def _export(self, message: ExportBundle) -> ExportedBundle:
        agent = await self._packages.ask(
            ResolveAgent(caller=message.caller, package=message.package, version=message.version)
        )
        root = f"{agent.manifest['name']}@{agent.manifest['version']}"
        packages: dict[str, Files] = {root: files_of(agent.manifest, agent.prompt)}
        existing = await self._records.find(agent.package)
        stored = existing and _integrity_in(existing, agent.version_ref)
        if stored:
            packages[root] = await read_files(self._storage, stored)
        for part in agent.parts:
            packages[part.identity] = await read_part(self._storage, part)
        content = await asyncio.to_thread(write_bundle, root, packages)
        return ExportedBundle(
            blob=Blob(len(content), chunks(content)),
            integrity=Bundle(root=root, packages=packages).integrity,
            version=agent.version_ref,
        )


def _unpack(bundle: Bundle) -> list[ReadPackage]:
    """Every package of a bundle, checked as one that is imported alone."""
    packages: list[ReadPackage] = []
    problems: list[FieldProblem] = []
    for identity, files in bundle.packages.items():
        try:
            package = read_package(write_archive(files, store=True))
        except Refusal as refusal:
            found = refusal.problems or [
                FieldProblem(field="", code=refusal.code, message=refusal.detail)
            ]
            problems += [replace(p, field=f"{identity}: {p.field}".rstrip(": ")) for p in found]
            continue
        if _identity(package) != identity:
            what = f"its manifest says that it is {_identity(package)}"
            problems.append(FieldProblem(field=identity, code="MANIFEST_SCHEMA", message=what))
        packages.append(package)
    if problems:
        first = problems[0]
        raise BundleInvalid(f"{first.field}: {first.message}", problems=problems)
    return packages


def _publication(package: ReadPackage, caller: Caller, root: str) -> Publication:
    publication = publication_of(package, caller)
    installs = _identity(package) == root and package.type != "mcp-server"
    return publication if installs else replace(publication, application=None)


def _check_owner(existing: StoredPackage, org: str, package: ReadPackage, identity: str) -> None:
    if existing.org_id not in (None, org):
        what = f"the name {existing.id} belongs to another organization"
        raise _conflict(identity, "foreign_org_owner", what)
    if existing.type != package.type:
        what = f"{existing.id} is a package of type {existing.type} here"
        raise _conflict(identity, "type_mismatch", what)


def _conflict(identity: str, code: str, what: str) -> Conflict:
    problem = FieldProblem(field=identity, code=code, message=what)
    return Conflict(what, code="bundle_conflict", problems=[problem])


def _integrity_in(package: StoredPackage, version: str) -> str | None:
    return next((v.integrity for v in package.versions if v.version == version), None)


def _identity(package: ReadPackage) -> str:
    return f"{package.id}@{package.manifest['version']}"
