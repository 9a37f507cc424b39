"""Who one is to others."""

from typing import Annotated

import msgspec

from actors.accounts import (
    ChangeProfile,
    Language,
    Profile,
    PublicProfile,
    ReadProfile,
    ReadProfiles,
    SetPassword,
)
from actors.contract import spell
from actors.ids import UserId
from appstrate.http.call import Call, Page, Routes, Scope, page

routes = Routes()


class ProfileChanges(msgspec.Struct, kw_only=True, rename=spell):
    """What is to change of a profile."""

    display_name: str | None = None
    language: Language | None = None


class WelcomeBody(msgspec.Struct, kw_only=True, rename=spell):
    """What a new user is asked first."""

    display_name: str


class PasswordBody(msgspec.Struct, kw_only=True):
    """A first password."""

    password: str


class ProfilesBody(msgspec.Struct, kw_only=True):
    """Whose profiles."""

    ids: Annotated[list[str], msgspec.Meta(max_length=100)]


@routes.add("GET", "/api/profile", Scope.SESSION)
async def read_profile(call: Call) -> Profile:
    """One's own profile."""
    return await call.at.accounts.ask(ReadProfile(caller=call.caller))


@routes.add("PATCH", "/api/profile", Scope.SESSION, body=ProfileChanges)
async def change_profile(call: Call, body: ProfileChanges) -> Profile:
    """Change one's name for others, or one's language."""
    message = ChangeProfile(
        caller=call.caller, display_name=body.display_name, language=body.language
    )
    return await call.at.accounts.ask(message)


@routes.add("POST", "/api/welcome/setup", Scope.SESSION, body=WelcomeBody, status=204)
async def set_up(call: Call, body: WelcomeBody) -> None:
    """Choose one's name for others."""
    await call.at.accounts.ask(ChangeProfile(caller=call.caller, display_name=body.display_name))


@routes.add(
    "POST",
    "/api/profile/password",
    Scope.SESSION,
    body=PasswordBody,
    status=204,
    limit=5,
    refuses={409: "password_already_set"},
    audit=True,
)
async def set_password(call: Call, body: PasswordBody) -> None:
    """Choose a first password, where one signs in by other means."""
    await call.at.accounts.ask(SetPassword(caller=call.caller, password=body.password))


@routes.add("POST", "/api/profiles/batch", Scope.SESSION, body=ProfilesBody)
async def read_profiles(call: Call, body: ProfilesBody) -> Page[PublicProfile]:
    """The names of users who share an organization with the caller; others are left out."""
    message = ReadProfiles(caller=call.caller, users=[UserId(each) for each in body.ids])
    return page(await call.at.accounts.ask(message))
