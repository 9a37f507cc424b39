"""Who a request comes from: sessions and API keys, remembered for a few seconds."""

import hashlib
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeAlias

import msgspec

from actors.accounts.permissions import OF_ROLE, grantable
from actors.accounts.records import AccountRecords, Caller, Session, User
from actors.accounts.rules import check_end_user_id
from actors.ids import ApiKeyId, OrgId
from actors.runtime import NotFound, Rejected, Unavailable

SESSION_LIFE = timedelta(days=7)
RENEW_AFTER = timedelta(days=1)
CACHE_SECONDS = 5.0
CACHE_ENTRIES = 10_000


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """A session token or an API key, and the organization and application a request names.

    A session needs both names to act within them; a key brings its own. With `conceal` an
    organization its user is no member of is not there, instead of forbidden. A key may act for an
    end user of its application.
    """

    session: str | None = None
    api_key: str | None = None
    org: str | None = None
    application: str | None = None
    conceal: bool = False
    end_user: str | None = None


class Authentication(msgspec.Struct, frozen=True, kw_only=True):
    """Who calls. `session` and `user` are there for cookies; `renewed` asks for a new cookie."""

    caller: Caller
    user: User | None = None
    session: Session | None = None
    renewed: bool = False


Memory: TypeAlias = dict[Credentials, tuple[float, Authentication]]


class Authenticator:
    """Turns credentials into callers.

    What it found is remembered for a few seconds, because every request needs it; whoever ends a
    session or key on this instance makes it forget. Uses of keys are written in batches.
    """

    def __init__(
        self, records: AccountRecords, admins: frozenset[str], now: Callable[[], datetime]
    ) -> None:
        self._records = records
        self._admins = admins
        self._now = now
        self._known: Memory = {}
        self._used: dict[ApiKeyId, datetime] = {}

    async def authenticate(self, credentials: Credentials, *, renew: bool) -> Authentication:
        """Who these credentials stand for; refuses those that are not valid or do not fit."""
        memory = self._known  # what is read before it is replaced must not outlive that
        known = memory.get(credentials)
        if known is not None and known[0] > time.monotonic():
            found = known[1]
        else:
            if credentials.api_key is not None:
                found = await self._by_key(credentials, credentials.api_key)
            else:
                found = await self._by_session(credentials, credentials.session or "", renew=renew)
            self._remember(memory, credentials, found)
        if found.caller.api_key is not None:
            self._used[found.caller.api_key] = self._now()
        return found

    def forget(self) -> None:
        """Remember nothing of before; for whoever has just ended a session or key."""
        self._known = {}

    async def write_uses(self) -> None:
        """Write when keys were last used; kept for the next time when that is not possible."""
        used, self._used = self._used, {}
        if used:
            try:
                await self._records.touch_keys(used)
            except Unavailable:
                self._used = used | self._used

    def _remember(self, memory: Memory, credentials: Credentials, found: Authentication) -> None:
        if found.renewed:
            return
        if len(memory) >= CACHE_ENTRIES:
            memory.clear()
        memory[credentials] = (time.monotonic() + CACHE_SECONDS, found)

    async def _by_key(self, credentials: Credentials, secret: str) -> Authentication:
        if credentials.end_user is not None:
            check_end_user_id(credentials.end_user)
        key = await self._records.key(digest(secret), credentials.end_user)
        if key is None or key.role is None:
            raise Rejected("this API key is not valid", code="unauthorized")
        if key.revoked or key.expired:
            why = "revoked" if key.revoked else "expired"
            raise Rejected(f"this API key is {why}", code="unauthorized")
        if credentials.org not in (None, key.org_id):
            raise _elsewhere("organization", "X-Org-Id")
        if credentials.application not in (None, key.application_id):
            raise _elsewhere("application", "X-Application-Id")
        if credentials.end_user is not None and key.end_user_id is None:
            raise Rejected(
                "Appstrate-User is no end user of the key's application",
                code="invalid_end_user",
                param="Appstrate-User",
            )
        caller = Caller(
            user=key.user_id,
            email=key.email,
            permissions=grantable(key.role) & frozenset(key.scopes),
            org=key.org_id,
            role=key.role,
            application=key.application_id,
            api_key=key.id,
            api_version=key.api_version,
            end_user=key.end_user_id,
        )
        return Authentication(caller=caller)

    async def _by_session(
        self, credentials: Credentials, token: str, *, renew: bool
    ) -> Authentication:
        if credentials.end_user is not None:
            raise Rejected(
                "Appstrate-User goes with an API key only: leave it out",
                code="header_not_allowed",
                param="Appstrate-User",
            )
        facts = await self._records.session(digest(token), credentials.org, credentials.application)
        if facts is None:
            raise Rejected("this session has ended: sign in again", code="unauthorized")
        if credentials.org is not None and facts.role is None:
            if credentials.conceal:
                raise NotFound("there is no such organization", code="org_not_found")
            told = "you are not a member of this organization"
            raise Rejected(told, code="forbidden", param="X-Org-Id")
        if credentials.application is not None and facts.application_id is None:
            told = "there is no such application in this organization"
            raise NotFound(told, param="X-Application-Id")
        session, renewed = facts.session, False
        if renew and self._now() - session.updated_at > RENEW_AFTER:
            session = msgspec.structs.replace(session, expires_at=self._now() + SESSION_LIFE)
            await self._records.renew_session(session.id, session.expires_at)
            renewed = True
        caller = Caller(
            user=facts.user.id,
            email=facts.user.email,
            permissions=OF_ROLE[facts.role] if facts.role else frozenset(),
            org=OrgId(credentials.org) if credentials.org else None,
            role=facts.role,
            application=facts.application_id,
            platform_admin=facts.owns_platform or facts.user.email in self._admins,
            api_version=facts.api_version,
        )
        return Authentication(caller=caller, user=facts.user, session=session, renewed=renewed)


def _elsewhere(what: str, header: str) -> Rejected:
    told = f"this API key belongs to another {what}: leave {header} out, the key implies it"
    return Rejected(told, code="forbidden", param=header)


def digest(secret: str) -> str:
    """Tokens are 24 random bytes or more, so a plain digest protects them at rest."""
    return hashlib.sha256(secret.encode()).hexdigest()
