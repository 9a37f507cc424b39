"""What is installed in an application, and the library of an organization."""

from typing import Annotated, Literal

import msgspec

from actors.accounts import Application, ListApplications
from actors.contract import spell
from actors.ids import ApplicationId, ModelId, PackageId
from actors.models import ChooseModel, Generation
from actors.packages import (
    ConfigureInstalled,
    Installation,
    InstallationSettings,
    InstallPackage,
    LibraryItem,
    ListInstalled,
    RunConfig,
    ShowInstalled,
    ShowLibrary,
    ShowRunConfig,
    UninstallPackage,
)
from appstrate.http.call import Call, Page, Query, Routes, Scope, page

routes = Routes()

INSTALLED = "/api/applications/{application}/packages"
ONE = INSTALLED + "/{scope}/{name}"
TYPE = Query("type", "Packages of this type alone.")


class InstallBody(msgspec.Struct, kw_only=True, rename=spell):
    """The package to install."""

    package_id: str


class SettingsBody(msgspec.Struct, kw_only=True, rename=spell):
    """What is to change; null clears a choice."""

    generation_config: Generation | msgspec.UnsetType | None = msgspec.field(
        name="generationConfig", default=msgspec.UNSET
    )
    model_id: str | msgspec.UnsetType | None = msgspec.UNSET
    proxy_id: Annotated[str, msgspec.Meta(max_length=100)] | msgspec.UnsetType | None = (
        msgspec.UNSET
    )
    version_id: Annotated[int, msgspec.Meta(ge=1, le=2**62)] | msgspec.UnsetType | None = (
        msgspec.field(name="version_id", default=msgspec.UNSET)
    )
    enabled: bool | msgspec.UnsetType = msgspec.UNSET

    def settings(self) -> InstallationSettings:
        """The same, as it is stored."""
        given = msgspec.structs.asdict(self)
        if isinstance(self.generation_config, Generation):
            given["generation_config"] = msgspec.to_builtins(self.generation_config)
        return InstallationSettings(**given)


class Library(msgspec.Struct, kw_only=True, rename=spell):
    """The packages an organization may use, by type, and its applications."""

    object: Literal["library"] = "library"
    applications: list[Application]
    packages: dict[str, list[LibraryItem]]


@routes.add("GET", INSTALLED, Scope.ORGANIZATION, "applications:read", query=(TYPE,))
async def list_installed(call: Call) -> Page[Installation]:
    """What is installed in an application."""
    return page(
        await call.at.installations.ask(
            ListInstalled(
                caller=call.caller, application=_application(call), type=call.query("type")
            )
        )
    )


@routes.add(
    "POST",
    INSTALLED,
    Scope.ORGANIZATION,
    "applications:write",
    body=InstallBody,
    status=201,
    refuses={409: "already_installed conflict", 422: "not_installable"},
)
async def install_package(call: Call, body: InstallBody) -> Installation:
    """Install a package."""
    package = PackageId(body.package_id)
    return await call.at.installations.ask(
        InstallPackage(caller=call.caller, application=_application(call), package=package)
    )


@routes.add("GET", ONE, Scope.ORGANIZATION, "applications:read")
async def show_installed(call: Call) -> Installation:
    """One installed package."""
    return await call.at.installations.ask(
        ShowInstalled(caller=call.caller, application=_application(call), package=call.package)
    )


@routes.add("PUT", ONE, Scope.ORGANIZATION, "applications:write", body=SettingsBody)
async def configure_installed(call: Call, body: SettingsBody) -> Installation:
    """Set an installed package up: its model, its version, whether it is enabled."""
    shown = ShowInstalled(caller=call.caller, application=_application(call), package=call.package)
    await call.at.installations.ask(shown)
    if isinstance(body.model_id, str):
        await call.at.models.ask(ChooseModel(caller=call.caller, model=ModelId(body.model_id)))
    return await call.at.installations.ask(
        ConfigureInstalled(
            caller=call.caller,
            application=shown.application,
            package=shown.package,
            settings=body.settings(),
        )
    )


@routes.add("DELETE", ONE, Scope.ORGANIZATION, "applications:write", status=204)
async def uninstall_package(call: Call) -> None:
    """Take a package out of an application."""
    await call.at.installations.ask(
        UninstallPackage(caller=call.caller, application=_application(call), package=call.package)
    )


@routes.add("GET", f"{ONE}/run-config", Scope.ORGANIZATION, "applications:read")
async def show_run_config(call: Call) -> RunConfig:
    """How an agent runs in an application, before a caller says otherwise."""
    return await call.at.installations.ask(
        ShowRunConfig(caller=call.caller, application=_application(call), package=call.package)
    )


@routes.add("GET", "/api/library", Scope.ORGANIZATION, "agents:read")
async def show_library(call: Call) -> Library:
    """Every package the organization may use, and where each is installed."""
    applications = await call.at.applications.ask(ListApplications(caller=call.caller))
    packages: dict[str, list[LibraryItem]] = {
        kind: [] for kind in ("agent", "skill", "mcp-server", "integration")
    }
    for item in await call.at.installations.ask(ShowLibrary(caller=call.caller)):
        packages[item.type].append(item)
    return Library(applications=applications, packages=packages)


def _application(call: Call) -> ApplicationId:
    return ApplicationId(call.request.match_info["application"])
