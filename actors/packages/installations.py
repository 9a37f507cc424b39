"""What is installed in the applications of an organization, and how it is set up there."""

from datetime import datetime
from typing import Any, Protocol, TypeAlias, assert_never

import msgspec

from actors.accounts import Caller
from actors.contract import Resource, spell
from actors.ids import ApplicationId, OrgId, PackageId
from actors.packages.manifest import Manifest, PackageType
from actors.runtime import Actor, Conflict, Lane, NotFound, Rejected, Request


class Installation(Resource, frozen=True, kw_only=True, rename=spell):
    """A package in an application; `version_id` is the version it is pinned to there."""

    object: str = "application_package"
    package_id: PackageId
    generation_config: dict[str, Any] | None = msgspec.field(name="generationConfig")
    model_id: str | None
    proxy_id: str | None
    version_id: int | None = msgspec.field(name="version_id")
    enabled: bool
    installed_at: datetime = msgspec.field(name="installed_at")
    updated_at: datetime
    package_type: PackageType
    package_source: str
    draft_manifest: Manifest


class InstallationSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is to change of an installation; what is unset stays, None clears."""

    generation_config: dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET
    model_id: str | msgspec.UnsetType | None = msgspec.UNSET
    proxy_id: str | msgspec.UnsetType | None = msgspec.UNSET
    version_id: int | msgspec.UnsetType | None = msgspec.UNSET
    enabled: bool | msgspec.UnsetType = msgspec.UNSET


class RunInput(Resource, frozen=True, kw_only=True, rename=spell):
    """The input an application gives an agent, and which fields callers may not."""

    values: dict[str, Any]
    locked_fields: list[str]


class RunConfig(Resource, frozen=True, kw_only=True, rename=spell):
    """How an agent runs in an application, before a caller says otherwise."""

    generation: dict[str, Any] | None
    model_id: str | None
    proxy_id: str | None
    version_pin: str | None
    input: RunInput


class LibraryItem(Resource, frozen=True, kw_only=True, rename=spell):
    """A package the organization may use, and where it is installed."""

    id: PackageId
    type: PackageType
    source: str
    name: str
    description: str | None
    installed_in: list[ApplicationId]


class ListInstalled(Request["Installations", list[Installation]], frozen=True, kw_only=True):
    """What is installed in an application, by name."""

    caller: Caller
    application: ApplicationId
    type: str | None = None


class InstallPackage(Request["Installations", Installation], frozen=True, kw_only=True):
    """Install a package of the organization, or one that is shipped; not an MCP server."""

    caller: Caller
    application: ApplicationId
    package: PackageId


class ShowInstalled(Request["Installations", Installation], frozen=True, kw_only=True):
    """One installed package."""

    caller: Caller
    application: ApplicationId
    package: PackageId


class ConfigureInstalled(Request["Installations", Installation], frozen=True, kw_only=True):
    """Set an installed package up."""

    caller: Caller
    application: ApplicationId
    package: PackageId
    settings: InstallationSettings


class UninstallPackage(Request["Installations", None], frozen=True, kw_only=True):
    """Take a package out of an application; its runs stay, and so does the package."""

    caller: Caller
    application: ApplicationId
    package: PackageId


class ShowRunConfig(Request["Installations", RunConfig], frozen=True, kw_only=True):
    """How an agent runs in an application."""

    caller: Caller
    application: ApplicationId
    package: PackageId


class ShowLibrary(Request["Installations", list[LibraryItem]], frozen=True, kw_only=True):
    """Every package the organization may use, by name."""

    caller: Caller


OfOne: TypeAlias = (
    InstallPackage | ShowInstalled | ConfigureInstalled | UninstallPackage | ShowRunConfig
)
InstallationsMessage: TypeAlias = ListInstalled | OfOne | ShowLibrary


class InstallationRecords(Protocol):
    """Where installations are kept. Each method is one transaction."""

    async def is_of(self, org: OrgId, application: ApplicationId) -> bool:
        """Whether an application belongs to an organization."""
        ...

    async def installed(
        self, application: ApplicationId, package: PackageId | None = None
    ) -> list[Installation]:
        """What is installed, by name; with `package` that one alone."""
        ...

    async def usable(self, org: OrgId, package: PackageId) -> PackageType | None:
        """The type of a package the organization may use; None when there is no such package."""
        ...

    async def install(self, application: ApplicationId, package: PackageId) -> bool:
        """Install a package; False when it was installed already."""
        ...

    async def configure(
        self, application: ApplicationId, package: PackageId, settings: InstallationSettings
    ) -> bool:
        """Write settings; False when the version to pin is none of this package."""
        ...

    async def uninstall(self, application: ApplicationId, package: PackageId) -> bool:
        """Take a package out; False when it was not installed."""
        ...

    async def run_config(self, application: ApplicationId, package: PackageId) -> RunConfig | None:
        """How an installed agent runs."""
        ...

    async def library(self, org: OrgId) -> list[LibraryItem]:
        """Every package the organization may use, by name."""
        ...


class Installations(Actor):
    """Keeps what is installed where."""

    lanes = (Lane("installations", 16),)

    def __init__(self, records: InstallationRecords) -> None:
        super().__init__()
        self._records = records

    async def receive(self, message: InstallationsMessage) -> Any:
        match message:
            case ShowLibrary():
                assert message.caller.org is not None
                return await self._records.library(message.caller.org)
            case ListInstalled():
                await self._check(message.caller, message.application)
                found = await self._records.installed(message.application)
                return [each for each in found if message.type in (None, each.package_type)]
            case _:
                await self._check(message.caller, message.application)
                return await self._answer(message)

    async def _answer(self, message: OfOne) -> Any:
        match message:
            case InstallPackage():
                return await self._install(message)
            case ShowInstalled():
                return await self._one(message.application, message.package)
            case ConfigureInstalled():
                return await self._configure(message)
            case UninstallPackage():
                if not await self._records.uninstall(message.application, message.package):
                    raise _not_installed(message.package)
                return None
            case ShowRunConfig():
                found = await self._records.run_config(message.application, message.package)
                if found is None:
                    raise _not_installed(message.package)
                return found
            case _:
                assert_never(message)

    async def _check(self, caller: Caller, application: ApplicationId) -> None:
        assert caller.org is not None
        # The world of a key is its application.
        foreign = caller.api_key is not None and caller.application != application
        if foreign or not await self._records.is_of(caller.org, application):
            raise NotFound("there is no such application in this organization")

    async def _one(self, application: ApplicationId, package: PackageId) -> Installation:
        found = await self._records.installed(application, package)
        if not found:
            raise _not_installed(package)
        return found[0]

    async def _install(self, message: InstallPackage) -> Installation:
        org, package = message.caller.org, message.package
        assert org is not None
        kind = await self._records.usable(org, package)
        if kind is None:
            raise NotFound(f"there is no package {package} in this organization")
        if kind == "mcp-server":
            raise Rejected(
                f"{package} is an MCP server: install the integration that uses it",
                code="not_installable",
                param="packageId",
            )
        if not await self._records.install(message.application, package):
            raise Conflict(f"{package} is installed already", code="already_installed")
        return await self._one(message.application, package)

    async def _configure(self, message: ConfigureInstalled) -> Installation:
        await self._one(message.application, message.package)
        if not await self._records.configure(
            message.application, message.package, message.settings
        ):
            raise Rejected(f"there is no such version of {message.package}", param="version_id")
        return await self._one(message.application, message.package)


def _not_installed(package: PackageId) -> NotFound:
    return NotFound(f"{package} is not installed in this application", code="package_not_installed")
