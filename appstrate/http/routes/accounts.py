"""Signing up, in and out, and who is signed in."""

from typing import Literal

import msgspec
from aiohttp import web

from actors.accounts import (
    Authenticate,
    Caller,
    Credentials,
    Session,
    SignedIn,
    SignedUp,
    SignIn,
    SignOut,
    SignUp,
    User,
)
from actors.runtime import Rejected
from appstrate.http.call import Call, Routes, Scope
from appstrate.http.client import client_address, client_key
from appstrate.http.codec import json_response
from appstrate.http.endpoint import COOKIES
from appstrate.http.limits import Limit, take_turn_as
from appstrate.http.routes.organizations import install_starter

routes = Routes()

SIGN_UPS = 20
SIGN_INS = 20
OF_ONE_ACCOUNT = Limit(60)
FROM_ONE_NETWORK = Limit(10)


class SignUpBody(msgspec.Struct, kw_only=True):
    """A new user."""

    email: str
    password: str
    name: str


class SignInBody(msgspec.Struct, kw_only=True):
    """A user who comes back."""

    email: str
    password: str


class SignedInAnswer(msgspec.Struct, kw_only=True):
    """Who is signed in now. The token travels in the cookie alone, where no script can read it."""

    redirect: Literal[False] = False
    token: None = None
    user: User


class SignedOutAnswer(msgspec.Struct, kw_only=True):
    """Nobody is signed in any more."""

    success: Literal[True] = True


class SessionAnswer(msgspec.Struct, kw_only=True):
    """A session and its user."""

    session: Session
    user: User


@routes.add(
    "POST",
    "/api/auth/sign-up/email",
    Scope.PUBLIC,
    body=SignUpBody,
    answer=SignedInAnswer,
    limit=SIGN_UPS,
    audit=True,
    refuses={
        403: "forbidden signup_disabled signup_domain_not_allowed",
        422: "user_already_exists",
    },
)
async def sign_up(call: Call, body: SignUpBody) -> web.Response:
    """Make an account and sign it in."""
    call.request.app[COOKIES].check_origin(call.request)
    ip, agent = client_of(call)
    message = SignUp(
        email=body.email, password=body.password, name=body.name, ip_address=ip, user_agent=agent
    )
    made = await call.at.accounts.ask(message)
    await welcome(call, made)
    return _signed_in(call, made.signed_in)


@routes.add(
    "POST",
    "/api/auth/sign-in/email",
    Scope.PUBLIC,
    body=SignInBody,
    answer=SignedInAnswer,
    limit=SIGN_INS,
    refuses={401: "unauthorized", 403: "forbidden"},
)
async def sign_in(call: Call, body: SignInBody) -> web.Response:
    """Sign in with a password.

    One account is tried at most 10 times per minute by one client, and 60 times by all: whoever
    guesses at it does not keep its owner out.
    """
    call.request.app[COOKIES].check_origin(call.request)
    account = body.email.strip().lower()
    here = ("sign-ins of an account by a client", f"{client_key(call.request)} {account}")
    await take_turn_as(call.at, call.request, FROM_ONE_NETWORK, here)
    await take_turn_as(call.at, call.request, OF_ONE_ACCOUNT, ("sign-ins of an account", account))
    ip, agent = client_of(call)
    message = SignIn(email=body.email, password=body.password, ip_address=ip, user_agent=agent)
    return _signed_in(call, await call.at.accounts.ask(message))


@routes.add(
    "POST",
    "/api/auth/sign-out",
    Scope.PUBLIC,
    answer=SignedOutAnswer,
    refuses={403: "forbidden"},
)
async def sign_out(call: Call) -> web.Response:
    """End the session of this browser."""
    cookies = call.request.app[COOKIES]
    cookies.check_origin(call.request)
    token = cookies.read(call.request)
    if token is not None:
        await call.at.accounts.ask(SignOut(token=token))
    response = json_response(SignedOutAnswer())
    cookies.clear(response)
    return response


@routes.add("GET", "/api/auth/get-session", Scope.PUBLIC, answer=SessionAnswer | None)
async def get_session(call: Call) -> web.Response:
    """The signed-in user, or null."""
    token = call.request.app[COOKIES].read(call.request)
    if token is None:
        return json_response(None)
    try:
        found = await call.at.accounts.ask(
            Authenticate(credentials=Credentials(session=token), renew=False)
        )
    except Rejected:
        return json_response(None)
    assert found.session is not None
    assert found.user is not None
    return json_response(SessionAnswer(session=found.session, user=found.user))


async def welcome(call: Call, made: SignedUp) -> None:
    """Put the first agent into the organization that came with a new user, if one did.

    Then the platform has an owner from now on, and the audit is told so.
    """
    if made.organization is not None:
        user, org = made.signed_in.user, made.organization.organization
        await install_starter(call, made.organization, Caller(user=user.id, email=user.email))
        call.acting = Caller(user=user.id, email=user.email, org=org.id)


def give_session(call: Call, response: web.Response, signed_in: SignedIn) -> None:
    """Answer with the cookie of a new session."""
    call.request.app[COOKIES].set(response, signed_in.token, signed_in.session.expires_at)


def client_of(call: Call) -> tuple[str | None, str | None]:
    """The address and the program of whoever signs in."""
    return client_address(call.request), call.request.headers.get("User-Agent")


def _signed_in(call: Call, signed_in: SignedIn) -> web.Response:
    response = json_response(SignedInAnswer(user=signed_in.user), headers=call.headers)
    give_session(call, response, signed_in)
    return response
