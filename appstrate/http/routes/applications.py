"""Applications and API keys."""

from datetime import datetime
from typing import Annotated

import msgspec

from actors.accounts import (
    ApiKey,
    Application,
    ApplicationSettings,
    ChangeApplication,
    CreateApiKey,
    CreateApplication,
    DeleteApplication,
    IssuedKey,
    ListApiKeys,
    ListApplications,
    RevokeApiKey,
    ShowApplication,
    grantable,
)
from actors.contract import spell
from actors.ids import ApiKeyId, ApplicationId
from appstrate.http.call import Call, Page, Routes, Scope, page

routes = Routes()

APPLICATIONS = "/api/applications"
APPLICATION = "/api/applications/{application}"
KEYS = "/api/api-keys"


class ApplicationBody(msgspec.Struct, kw_only=True):
    """A new application."""

    name: str
    settings: ApplicationSettings = ApplicationSettings()


class ApplicationChanges(msgspec.Struct, kw_only=True):
    """What is to change of an application."""

    name: str | None = None
    settings: ApplicationSettings | None = None


class KeyBody(msgspec.Struct, kw_only=True, rename=spell):
    """A new API key."""

    name: str
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    scopes: list[str] | None = None


@routes.add("GET", APPLICATIONS, Scope.ORGANIZATION, "applications:read")
async def list_applications(call: Call) -> Page[Application]:
    """The applications of the organization."""
    return page(await call.at.applications.ask(ListApplications(caller=call.caller)))


@routes.add(
    "POST",
    APPLICATIONS,
    Scope.ORGANIZATION,
    "applications:write",
    body=ApplicationBody,
    status=201,
    refuses={409: "conflict"},
)
async def create_application(call: Call, body: ApplicationBody) -> Application:
    """Add an application."""
    message = CreateApplication(caller=call.caller, name=body.name, settings=body.settings)
    return await call.at.applications.ask(message)


@routes.add("GET", APPLICATION, Scope.ORGANIZATION, "applications:read")
async def show_application(call: Call) -> Application:
    """One application."""
    message = ShowApplication(caller=call.caller, application=_application(call))
    return await call.at.applications.ask(message)


@routes.add("PATCH", APPLICATION, Scope.ORGANIZATION, "applications:write", body=ApplicationChanges)
async def change_application(call: Call, body: ApplicationChanges) -> Application:
    """Change an application's name or settings."""
    message = ChangeApplication(
        caller=call.caller,
        application=_application(call),
        name=body.name,
        settings=body.settings,
    )
    return await call.at.applications.ask(message)


@routes.add(
    "DELETE",
    APPLICATION,
    Scope.ORGANIZATION,
    "applications:delete",
    status=204,
    refuses={400: "delete_failed"},
)
async def delete_application(call: Call) -> None:
    """Delete an application with everything in it; never the default one, nor while it runs."""
    message = DeleteApplication(caller=call.caller, application=_application(call))
    await call.at.applications.ask(message, within=60)


@routes.add(
    "POST",
    KEYS,
    Scope.APPLICATION,
    "api-keys:create",
    body=KeyBody,
    status=201,
    refuses={409: "conflict"},
)
async def create_key(call: Call, body: KeyBody) -> IssuedKey:
    """Issue an API key; its secret is in this answer and nowhere else."""
    message = CreateApiKey(
        caller=call.caller, name=body.name, scopes=body.scopes, expires_at=body.expires_at
    )
    return await call.at.applications.ask(message)


@routes.add("GET", KEYS, Scope.APPLICATION, "api-keys:read")
async def list_keys(call: Call) -> Page[ApiKey]:
    """The API keys of the application, without their secrets."""
    return page(await call.at.applications.ask(ListApiKeys(caller=call.caller)))


@routes.add("GET", f"{KEYS}/available-scopes", Scope.APPLICATION, "api-keys:read")
async def list_scopes(call: Call) -> Page[str]:
    """The scopes that the caller may give to a key."""
    assert call.caller.role is not None
    return page(sorted(grantable(call.caller.role)))


@routes.add("DELETE", f"{KEYS}/{{key}}", Scope.APPLICATION, "api-keys:revoke", status=204)
async def revoke_key(call: Call) -> None:
    """Make a key invalid."""
    key = ApiKeyId(call.request.match_info["key"])
    await call.at.applications.ask(RevokeApiKey(caller=call.caller, key=key))


def _application(call: Call) -> ApplicationId:
    return ApplicationId(call.request.match_info["application"])
