"""Organizations, applications and API keys."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec.structs import replace

from actors.accounts import (
    ApiKey,
    Application,
    CreateApiKey,
    CreateOrganization,
    IssuedKey,
    ListApiKeys,
    ListApplications,
    ListOrganizations,
    Organization,
    RevokeApiKey,
)
from actors.contract import spell
from actors.ids import ApiKeyId
from actors.packages import InstallStarter
from appstrate.http.call import Call, Page, Routes, Scope, page

routes = Routes()


class OrganizationBody(msgspec.Struct, kw_only=True):
    """A new organization."""

    name: str
    slug: str | None = None


class KeyBody(msgspec.Struct, kw_only=True, rename=spell):
    """A new API key."""

    name: str
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    scopes: list[str] | None = None


@routes.add("GET", "/api/orgs", Scope.SESSION)
async def list_organizations(call: Call) -> Page[Organization]:
    """The organizations one is a member of."""
    return page(await call.at.organizations.ask(ListOrganizations(caller=call.caller)))


@routes.add("POST", "/api/orgs", Scope.SESSION, body=OrganizationBody, status=201)
async def create_organization(call: Call, body: OrganizationBody) -> Organization:
    """Make an organization with a default application and a first agent."""
    message = CreateOrganization(caller=call.caller, name=body.name, slug=body.slug)
    made = await call.at.organizations.ask(message)
    org = made.organization
    owner = replace(call.caller, org=org.id, role=org.role, application=made.application)
    await call.at.publisher.ask(InstallStarter(caller=owner, scope=org.slug))
    return org


@routes.add("GET", "/api/applications", Scope.ORGANIZATION, "applications:read")
async def list_applications(call: Call) -> Page[Application]:
    """The applications of the organization."""
    return page(await call.at.applications.ask(ListApplications(caller=call.caller)))


@routes.add("POST", "/api/api-keys", Scope.APPLICATION, "api-keys:create", body=KeyBody, status=201)
async def create_key(call: Call, body: KeyBody) -> IssuedKey:
    """Issue an API key; its secret is in this answer and nowhere else."""
    message = CreateApiKey(
        caller=call.caller, name=body.name, scopes=body.scopes, expires_at=body.expires_at
    )
    return await call.at.applications.ask(message)


@routes.add("GET", "/api/api-keys", Scope.APPLICATION, "api-keys:read")
async def list_keys(call: Call) -> Page[ApiKey]:
    """The API keys of the application, without their secrets."""
    return page(await call.at.applications.ask(ListApiKeys(caller=call.caller)))


@routes.add("DELETE", "/api/api-keys/{key}", Scope.APPLICATION, "api-keys:revoke", status=204)
async def revoke_key(call: Call) -> None:
    """Make a key invalid."""
    key = ApiKeyId(call.request.match_info["key"])
    await call.at.applications.ask(RevokeApiKey(caller=call.caller, key=key))
