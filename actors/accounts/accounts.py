"""Users, their sessions, and who makes a request."""

import asyncio
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeAlias, assert_never

import msgspec
import structlog

from actors.accounts.authentication import (
    SESSION_LIFE,
    Authentication,
    Authenticator,
    Credentials,
    digest,
)
from actors.accounts.organization_records import NewOrganization
from actors.accounts.passwords import hash_password, verify_password
from actors.accounts.policy import AccessPolicy
from actors.accounts.records import (
    AccountRecords,
    Caller,
    Language,
    Profile,
    PublicProfile,
    Session,
    User,
)
from actors.accounts.registration import Registration
from actors.accounts.rules import check_name, check_password
from actors.ids import UserId, new_uuid
from actors.runtime import Actor, Conflict, Lane, Rejected, Request

log = structlog.get_logger("accounts")

TOUCH_SECONDS = 10.0


class SignedIn(msgspec.Struct, frozen=True, kw_only=True):
    """A new session and the token that is its only proof."""

    user: User
    session: Session
    token: str


class SignedUp(msgspec.Struct, frozen=True, kw_only=True):
    """A new user's session, and the organization that was made for them, if one was."""

    signed_in: SignedIn
    organization: NewOrganization | None


class SignUp(Request["Accounts", SignedUp], frozen=True, kw_only=True):
    """Make a user and sign them in. Refuses an address that is taken (`user_already_exists`).

    Whom the operator lets in is the policy's to say (`signup_disabled`,
    `signup_domain_not_allowed`).
    """

    email: str
    password: str
    name: str
    ip_address: str | None = None
    user_agent: str | None = None


class ClaimPlatform(Request["Accounts", SignedUp], frozen=True, kw_only=True):
    """Make the platform's owner and their organization, by the claim token.

    Refuses a wrong token (`token_invalid`), a token after the claim (`token_unavailable`), an
    address that has an account (`user_exists`), and a second claim during the first
    (`redeem_in_progress`).
    """

    token: str
    email: str
    password: str
    name: str
    ip_address: str | None = None
    user_agent: str | None = None


class IsClaimOpen(Request["Accounts", bool], frozen=True, kw_only=True):
    """Whether the platform waits for whoever brings the claim token."""


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


class ReadProfile(Request["Accounts", Profile], frozen=True, kw_only=True):
    """The caller's profile."""

    caller: Caller


class ChangeProfile(Request["Accounts", Profile], frozen=True, kw_only=True):
    """Change what is not None in the caller's profile."""

    caller: Caller
    display_name: str | None = None
    language: Language | None = None


class ReadProfiles(Request["Accounts", list[PublicProfile]], frozen=True, kw_only=True):
    """The profiles of users who share an organization with the caller; others are left out."""

    caller: Caller
    users: list[UserId]


class SetPassword(Request["Accounts", None], frozen=True, kw_only=True):
    """Give a caller who signs in by other means a password. Refuses a second one."""

    caller: Caller
    password: str


AccountsMessage: TypeAlias = (
    SignUp
    | ClaimPlatform
    | IsClaimOpen
    | SignIn
    | SignOut
    | Authenticate
    | ForgetCallers
    | ReadProfile
    | ChangeProfile
    | ReadProfiles
    | SetPassword
)

SLOW = (SignUp, ClaimPlatform, SignIn, SetPassword)


class Accounts(Actor):
    """Knows who somebody is, and what they may do.

    Hashing passwords has a narrow lane, as it costs memory and processor time.
    """

    lanes = (Lane("passwords", 2, SLOW, limit=100), Lane("rest", 32))

    def __init__(
        self,
        records: AccountRecords,
        policy: AccessPolicy,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__()
        self._records = records
        self._now = now
        self._registration = Registration(records, policy)
        self._authenticator = Authenticator(records, policy.admins, now)

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
            case ClaimPlatform():
                return await self._claim(message)
            case IsClaimOpen():
                return await self._registration.is_claim_open()
            case SignIn():
                return await self._sign_in(message)
            case SignOut():
                return await self._sign_out(message)
            case ForgetCallers():
                self._authenticator.forget()
                return None
            case ReadProfile():
                return await self._records.profile(message.caller.user)
            case ChangeProfile():
                return await self._change_profile(message)
            case ReadProfiles():
                return await self._records.profiles(message.caller.user, message.users)
            case SetPassword():
                return await self._set_password(message)
            case _:
                assert_never(message)

    async def _sign_up(self, message: SignUp) -> SignedUp:
        user, organization = await self._registration.sign_up(
            message.email, message.password, message.name
        )
        signed_in = await self._open_session(user, message.ip_address, message.user_agent)
        return SignedUp(signed_in=signed_in, organization=organization)

    async def _claim(self, message: ClaimPlatform) -> SignedUp:
        user, organization = await self._registration.claim(
            message.token, message.email, message.password, message.name
        )
        signed_in = await self._open_session(user, message.ip_address, message.user_agent)
        return SignedUp(signed_in=signed_in, organization=organization)

    async def _sign_in(self, message: SignIn) -> SignedIn:
        user, password_hash = await self._records.password_of(message.email.strip().lower())
        fits = await verify_password(message.password, password_hash)
        if user is None or not fits:
            known = None if user is None else user.id
            log.warning("sign-in refused", user=known, ip=message.ip_address)
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
        log.info("signed in", user=user.id, session=session.id, ip=ip)
        return SignedIn(user=user, session=session, token=token)

    async def _sign_out(self, message: SignOut) -> None:
        try:
            await self._records.end_session(digest(message.token))
        finally:
            self._authenticator.forget()

    async def _change_profile(self, message: ChangeProfile) -> Profile:
        shown = message.display_name.strip() if message.display_name is not None else None
        if shown is not None:
            check_name(shown, "displayName")
        return await self._records.change_profile(message.caller.user, shown, message.language)

    async def _set_password(self, message: SetPassword) -> None:
        check_password(message.password)
        password_hash = await hash_password(message.password)
        if not await self._records.add_password(message.caller.user, password_hash):
            raise Conflict("this account has a password already", code="password_already_set")

    async def _write_uses(self) -> None:
        while True:
            await asyncio.sleep(TOUCH_SECONDS)
            await self._authenticator.write_uses()
