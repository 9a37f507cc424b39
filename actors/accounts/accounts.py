"""Users, sessions, organizations, applications and API keys."""

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
from actors.accounts.permissions import grantable
from actors.accounts.records import (
    AccountRecords,
    ApiKey,
    Application,
    Caller,
    NewKey,
    Organization,
    Session,
    User,
)
from actors.accounts.rules import check_name, check_sign_up, check_slug, invalid, slugs_for
from actors.contract import Resource, spell
from actors.ids import ApiKeyId, ApplicationId, OrgId, new_application_id, new_user_id, new_uuid
from actors.runtime import (
    Actor,
    Lane,
    NotFound,
    Rejected,
    Request,
)

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


class NewOrganization(msgspec.Struct, frozen=True, kw_only=True):
    """An organization that was just made, and its default application."""

    organization: Organization
    application: ApplicationId


class CreateOrganization(Request["Accounts", NewOrganization], frozen=True, kw_only=True):
    """Make an organization owned by the caller, with its default application."""

    caller: Caller
    name: str
    slug: str | None = None


class ListOrganizations(Request["Accounts", list[Organization]], frozen=True, kw_only=True):
    """The caller's organizations, oldest first."""

    caller: Caller


class ListApplications(Request["Accounts", list[Application]], frozen=True, kw_only=True):
    """The applications of the caller's organization, the default one first."""

    caller: Caller


class IssuedKey(Resource, frozen=True, kw_only=True, rename=spell):
    """A new key; its secret is shown this once."""

    id: ApiKeyId
    key: str
    key_prefix: str
    scopes: list[str]


class CreateApiKey(Request["Accounts", IssuedKey], frozen=True, kw_only=True):
    """Issue a key for the caller's application.

    Scopes the caller may not grant are dropped; none given means all they may grant.
    """

    caller: Caller
    name: str
    scopes: list[str] | None = None
    expires_at: datetime | None = None


class ListApiKeys(Request["Accounts", list[ApiKey]], frozen=True, kw_only=True):
    """The keys of the caller's application, newest first."""

    caller: Caller


class RevokeApiKey(Request["Accounts", None], frozen=True, kw_only=True):
    """Make a key invalid, on this instance at once."""

    caller: Caller
    key: ApiKeyId


AccountsMessage: TypeAlias = (
    SignUp
    | SignIn
    | SignOut
    | Authenticate
    | CreateOrganization
    | ListOrganizations
    | ListApplications
    | CreateApiKey
    | ListApiKeys
    | RevokeApiKey
)


class Accounts(Actor):
    """Knows who may do what.

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
            case CreateOrganization():
                return await self._create_organization(message)
            case ListOrganizations():
                return await self._records.organizations(message.caller.user)
            case ListApplications():
                assert message.caller.org is not None
                return await self._records.applications(message.caller.org)
            case CreateApiKey():
                return await self._create_key(message)
            case ListApiKeys():
                return await self._records.keys(*message.caller.tenant)
            case RevokeApiKey():
                return await self._revoke_key(message)
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

    async def _create_organization(self, message: CreateOrganization) -> NewOrganization:
        name, wanted = message.name.strip(), message.slug
        check_name(name)
        if wanted is not None:
            check_slug(wanted)
        org, application = OrgId(new_uuid()), new_application_id()
        for slug in [wanted] if wanted else slugs_for(name):
            made = await self._records.add_organization(
                message.caller.user, org, name, slug, application
            )
            if made is not None:
                return NewOrganization(organization=made, application=application)
        raise Rejected(f"the slug {wanted} is taken", code="slug_taken", param="slug")

    async def _create_key(self, message: CreateApiKey) -> IssuedKey:
        caller = message.caller
        org, application = caller.tenant
        assert caller.role is not None
        check_name(message.name.strip())
        if message.expires_at is not None and message.expires_at <= self._now():
            raise invalid("expiresAt", "must be in the future")
        allowed = grantable(caller.role)
        scopes = sorted(allowed & frozenset(message.scopes) if message.scopes else allowed)
        secret = f"ask_{secrets.token_hex(24)}"
        issued = IssuedKey(
            id=ApiKeyId(new_uuid()), key=secret, key_prefix=secret[:8], scopes=scopes
        )
        await self._records.add_key(
            NewKey(
                id=issued.id,
                org_id=org,
                application_id=application,
                name=message.name.strip(),
                key_hash=digest(secret),
                key_prefix=issued.key_prefix,
                scopes=scopes,
                created_by=caller.user,
                expires_at=message.expires_at,
            )
        )
        return issued

    async def _revoke_key(self, message: RevokeApiKey) -> None:
        try:
            revoked = await self._records.revoke_key(*message.caller.tenant, message.key)
        finally:
            self._authenticator.forget()
        if not revoked:
            raise NotFound("there is no such API key")

    async def _write_uses(self) -> None:
        while True:
            await asyncio.sleep(TOUCH_SECONDS)
            await self._authenticator.write_uses()
