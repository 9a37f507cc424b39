"""Users, their sessions, and who makes a request."""

import asyncio
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeAlias, assert_never

import msgspec

from actors.accounts.authentication import (
    SESSION_LIFE,
    Authentication,
    Authenticator,
    Credentials,
    digest,
)
from actors.accounts.passwords import hash_password, verify_password
from actors.accounts.records import AccountRecords, Session, User
from actors.accounts.rules import check_sign_up
from actors.ids import new_user_id, new_uuid
from actors.runtime import Actor, Lane, Rejected, Request

TOUCH_SECONDS = 10.0


class SignedIn(msgspec.Struct, frozen=True, kw_only=True):
    """A new session and the token that is its only proof."""

    user: User
    session: Session
    token: str


class SignUp(Request["Accounts", SignedIn], frozen=True, kw_only=True):
    """Make a user and sign them in. Refuses an address that is taken (`user_already_exists`)."""

    email: str
    password: str
    name: str
    ip_address: str | None = None
    user_agent: str | None = None


class SignIn(Request["Accounts", SignedIn], frozen=True, kw_only=True):
    """Sign in with a password. The refusal, and its duration, do not tell which part is wrong."""

    email: str
    password: str
    ip_address: str | None = None
    user_agent: str | None = None


class SignOut(Request["Accounts", None], frozen=True, kw_only=True):
    """End the session of this token at once; one that has ended is no mistake."""

    token: str


class Authenticate(Request["Accounts", Authentication], frozen=True, kw_only=True):
    """Turn a session token or an API key into a Caller.

    A session that names an organization its user is no member of is refused with `forbidden`,
    an application that is not in it with `NotFound`. A key brings its own; different ones are
    refused with `forbidden`. Invalid credentials are refused with `unauthorized`. A session in use
    is renewed daily, but not by those who cannot give its cookie back: they say `renew=False`.
    """

    credentials: Credentials
    renew: bool = True


class ForgetCallers(Request["Accounts", None], frozen=True, kw_only=True):
    """Authenticate everybody anew from now on; for whoever has just taken something away.

    It takes effect before it answers, on this instance; others follow within seconds.
    """


AccountsMessage: TypeAlias = SignUp | SignIn | SignOut | Authenticate | ForgetCallers


class Accounts(Actor):
    """Knows who somebody is, and what they may do.

    Hashing passwords has a narrow lane, as it costs memory and processor time.
    """

    lanes = (Lane("passwords", 2, (SignUp, SignIn), limit=100), Lane("rest", 32))

    def __init__(
        self, records: AccountRecords, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        super().__init__()
        self._records = records
        self._now = now
        self._authenticator = Authenticator(records, now)

    async def started(self) -> None:
        self.own(self._write_uses(), "key uses")

    async def stopped(self) -> None:
        await self._authenticator.write_uses()

    async def receive(self, message: AccountsMessage) -> Any:
        match message:
            case Authenticate():
                return await self._authenticator.authenticate(
                    message.credentials, renew=message.renew
                )
            case SignUp():
                return await self._sign_up(message)
            case SignIn():
                return await self._sign_in(message)
            case SignOut():
                return await self._sign_out(message)
            case ForgetCallers():
                self._authenticator.forget()
                return None
            case _:
                assert_never(message)

    async def _sign_up(self, message: SignUp) -> SignedIn:
        email = message.email.strip().lower()
        check_sign_up(email, message.password, message.name)
        password_hash = await hash_password(message.password)
        name = message.name.strip()
        user = await self._records.add_user(new_user_id(), email, name, password_hash)
        if user is None:
            raise Rejected(
                "there is an account with this e-mail address: sign in instead",
                code="user_already_exists",
                param="email",
            )
        return await self._open_session(user, message.ip_address, message.user_agent)

    async def _sign_in(self, message: SignIn) -> SignedIn:
        user, password_hash = await self._records.password_of(message.email.strip().lower())
        fits = await verify_password(message.password, password_hash)
        if user is None or not fits:
            raise Rejected("wrong e-mail address or password", code="unauthorized")
        return await self._open_session(user, message.ip_address, message.user_agent)

    async def _open_session(self, user: User, ip: str | None, agent: str | None) -> SignedIn:
        now = self._now()
        session = Session(
            id=new_uuid(),
            user_id=user.id,
            expires_at=now + SESSION_LIFE,
            created_at=now,
            updated_at=now,
            ip_address=ip,
            user_agent=agent[:500] if agent else None,
        )
        token = secrets.token_urlsafe(32)
        await self._records.add_session(session, digest(token))
        return SignedIn(user=user, session=session, token=token)

    async def _sign_out(self, message: SignOut) -> None:
        try:
            await self._records.end_session(digest(message.token))
        finally:
            self._authenticator.forget()

    async def _write_uses(self) -> None:
        while True:
            await asyncio.sleep(TOUCH_SECONDS)
            await self._authenticator.write_uses()
