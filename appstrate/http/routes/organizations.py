"""Organizations."""

import msgspec
from msgspec.structs import replace

from actors.accounts import (
    Caller,
    ChangeOrganizationSettings,
    CreateOrganization,
    DeleteOrganization,
    ListOrganizations,
    NewOrganization,
    Organization,
    OrganizationDetail,
    OrganizationSettings,
    ReadOrganizationSettings,
    RenameOrganization,
    ShowOrganization,
)
from actors.packages import InstallStarter
from appstrate.http.call import Call, Page, Routes, Scope, page
from appstrate.http.versions import check_version

routes = Routes()

ORGANIZATION = "/api/orgs/{org}"


class OrganizationBody(msgspec.Struct, kw_only=True):
    """A new organization."""

    name: str
    slug: str | None = None


class RenameBody(msgspec.Struct, kw_only=True):
    """Another name; slugs stay, because packages are called by them."""

    name: str


@routes.add("GET", "/api/orgs", Scope.SESSION)
async def list_organizations(call: Call) -> Page[Organization]:
    """The organizations one is a member of."""
    return page(await call.at.organizations.ask(ListOrganizations(caller=call.caller)))


@routes.add("GET", "/api/me/orgs", Scope.SESSION)
async def list_own_organizations(call: Call) -> Page[Organization]:
    """The organizations one is a member of."""
    return page(await call.at.organizations.ask(ListOrganizations(caller=call.caller)))


@routes.add(
    "POST",
    "/api/orgs",
    Scope.SESSION,
    body=OrganizationBody,
    status=201,
    audit=True,
    refuses={400: "slug_taken"},
)
async def create_organization(call: Call, body: OrganizationBody) -> Organization:
    """Make an organization with a default application and a first agent."""
    message = CreateOrganization(caller=call.caller, name=body.name, slug=body.slug)
    made = await call.at.organizations.ask(message)
    await install_starter(call, made, call.caller)
    return made.organization


@routes.add("GET", ORGANIZATION, Scope.MEMBER, "org:read")
async def show_organization(call: Call) -> OrganizationDetail:
    """One organization with its members; invitations are shown to those who may invite."""
    return await call.at.organizations.ask(ShowOrganization(caller=call.caller))


@routes.add("PUT", ORGANIZATION, Scope.MEMBER, "org:update", body=RenameBody)
async def rename_organization(call: Call, body: RenameBody) -> Organization:
    """Give an organization another name. For its owner."""
    message = RenameOrganization(caller=call.caller, name=body.name)
    return await call.at.organizations.ask(message)


@routes.add(
    "DELETE",
    ORGANIZATION,
    Scope.MEMBER,
    "org:delete",
    status=204,
    refuses={400: "delete_failed"},
)
async def delete_organization(call: Call) -> None:
    """Delete an organization with everything in it. For its owner, while nothing runs."""
    await call.at.organizations.ask(DeleteOrganization(caller=call.caller), within=60)


@routes.add("GET", f"{ORGANIZATION}/settings", Scope.MEMBER, "org:read")
async def read_settings(call: Call) -> OrganizationSettings:
    """What was decided for the whole organization."""
    return await call.at.organizations.ask(ReadOrganizationSettings(caller=call.caller))


@routes.add(
    "PUT", f"{ORGANIZATION}/settings", Scope.MEMBER, "org:update", body=OrganizationSettings
)
async def change_settings(call: Call, body: OrganizationSettings) -> OrganizationSettings:
    """Change the settings that are sent; null takes one back."""
    if isinstance(body.api_version, str):
        check_version(body.api_version, "api_version")
    message = ChangeOrganizationSettings(caller=call.caller, changes=body)
    return await call.at.organizations.ask(message)


async def install_starter(call: Call, made: NewOrganization, caller: Caller) -> None:
    """Put the first agent into a new organization."""
    org = made.organization
    owner = replace(caller, org=org.id, role=org.role, application=made.application)
    await call.at.publisher.ask(InstallStarter(caller=owner, scope=org.slug))
