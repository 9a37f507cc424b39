"""Users, sessions, organizations, applications and API keys."""

import asyncio
import hashlib
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias, assert_never

import msgspec

from actors.accounts.passwords import hash_password, verify_password
from actors.accounts.permissions import OF_ROLE, grantable
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
from actors.ids import ApiKeyId, ApplicationId, OrgId, new_application_id, new_user_id, new_uuid
from actors.runtime import (
    Actor,
    Lane,
    NotFound,
    Rejected,
    Request,
    Unavailable,
)

SESSION_LIFE = timedelta(days=7)
RENEW_AFTER = timedelta(days=1)
CACHE_SECONDS = 5.0
CACHE_ENTRIES = 10_000
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


class Authentication(msgspec.Struct, frozen=True, kw_only=True):
    """Who calls. `session` and `user` are there for cookies; `renewed` asks for a new cookie."""

    caller: Caller
    user: User | None = None
    session: Session | None = None
    renewed: bool = False


class Authenticate(Request["Accounts", Authentication], frozen=True, kw_only=True):
    """Turn a session token or an API key into a Caller.

    `org` and `application` are what the request's headers name. A session needs them to act
    within an organization: one the user is no member of is refused with `forbidden`, an
    application that is not in it with `NotFound`. A key brings its own; different ones are
    refused with `forbidden`. Invalid credentials are refused with `unauthorized`.
    """

    session: str | None = None
    api_key: str | None = None
    org: str | None = None
    application: str | None = None


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


class IssuedKey(msgspec.Struct, frozen=True, kw_only=True):
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

    An authentication is remembered for a few seconds, because every request needs one; whatever
    ends one on this instance empties that memory. `last_used_at` of keys is written in batches.
    Hashing passwords has a narrow lane, as it costs memory and processor time.
    """

    lanes = (Lane("passwords", 2, (SignUp, SignIn), limit=100), Lane("rest", 32))

    def __init__(
        self, records: AccountRecords, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        super().__init__()
        self._records = records
        self._now = now
        self._known: dict[Authenticate, tuple[float, Authentication]] = {}
        self._used: dict[ApiKeyId, datetime] = {}

    async def started(self) -> None:
        self.own(self._write_uses(), "key uses")

    async def stopped(self) -> None:
        await self._flush_uses()

    async def receive(self, message: AccountsMessage) -> Any:
        match message:
            case Authenticate():
                return await self._authenticate(message)
            case SignUp():
                return await self._sign_up(message)
            case SignIn():
                return await self._sign_in(message)
            case SignOut():
                self._known.clear()
                return await self._records.end_session(_hash(message.token))
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
        await self._records.add_session(session, _hash(token))
        return SignedIn(user=user, session=session, token=token)

    async def _authenticate(self, message: Authenticate) -> Authentication:
        known = self._known.get(message)
        if known is not None and known[0] > time.monotonic():
            found = known[1]
        else:
            if message.api_key is not None:
                found = await self._by_key(message, message.api_key)
            else:
                found = await self._by_session(message, message.session or "")
            self._remember(message, found)
        if found.caller.api_key is not None:
            self._used[found.caller.api_key] = self._now()
        return found

    def _remember(self, message: Authenticate, found: Authentication) -> None:
        if found.renewed:
            return
        if len(self._known) >= CACHE_ENTRIES:
            self._known.clear()
        self._known[message] = (time.monotonic() + CACHE_SECONDS, found)

    async def _by_key(self, message: Authenticate, secret: str) -> Authentication:
        key = await self._records.key(_hash(secret))
        if key is None or key.role is None:
            raise Rejected("this API key is not valid", code="unauthorized")
        if key.revoked or key.expired:
            why = "revoked" if key.revoked else "expired"
            raise Rejected(f"this API key is {why}", code="unauthorized")
        if message.org not in (None, key.org_id):
            raise Rejected("this API key belongs to another organization", code="forbidden")
        if message.application not in (None, key.application_id):
            raise Rejected("this API key belongs to another application", code="forbidden")
        caller = Caller(
            user=key.user_id,
            email=key.email,
            permissions=grantable(key.role) & frozenset(key.scopes),
            org=key.org_id,
            role=key.role,
            application=key.application_id,
            api_key=key.id,
        )
        return Authentication(caller=caller)

    async def _by_session(self, message: Authenticate, token: str) -> Authentication:
        facts = await self._records.session(_hash(token), message.org, message.application)
        if facts is None:
            raise Rejected("this session has ended: sign in again", code="unauthorized")
        if message.org is not None and facts.role is None:
            raise Rejected("you are not a member of this organization", code="forbidden")
        if message.application is not None and facts.application_id is None:
            raise NotFound("there is no such application in this organization")
        session, renewed = facts.session, False
        if self._now() - session.updated_at > RENEW_AFTER:
            session = msgspec.structs.replace(session, expires_at=self._now() + SESSION_LIFE)
            await self._records.renew_session(session.id, session.expires_at)
            renewed = True
        caller = Caller(
            user=facts.user.id,
            email=facts.user.email,
            permissions=OF_ROLE[facts.role] if facts.role else frozenset(),
            org=OrgId(message.org) if message.org else None,
            role=facts.role,
            application=facts.application_id,
        )
        return Authentication(caller=caller, user=facts.user, session=session, renewed=renewed)

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
                key_hash=_hash(secret),
                key_prefix=issued.key_prefix,
                scopes=scopes,
                created_by=caller.user,
                expires_at=message.expires_at,
            )
        )
        return issued

    async def _revoke_key(self, message: RevokeApiKey) -> None:
        if not await self._records.revoke_key(*message.caller.tenant, message.key):
            raise NotFound("there is no such API key")
        self._known.clear()

    async def _write_uses(self) -> None:
        while True:
            await asyncio.sleep(TOUCH_SECONDS)
            await self._flush_uses()

    async def _flush_uses(self) -> None:
        used, self._used = self._used, {}
        if used:
            try:
                await self._records.touch_keys(used)
            except Unavailable:
                self._used = used | self._used


def _hash(secret: str) -> str:
    """Tokens are 24 random bytes or more, so a plain digest protects them at rest."""
    return hashlib.sha256(secret.encode()).hexdigest()
