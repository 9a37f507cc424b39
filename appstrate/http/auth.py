"""From a request's cookie or bearer token to its Caller."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from actors.accounts import Authenticate, Authentication, Credentials
from actors.addresses import Addresses
from actors.egress import parse_address
from actors.runtime import NotFound, Refusal, Rejected
from appstrate.http.call import Scope

API_KEY = "ask_"
OF_SESSIONS = (Scope.SESSION, Scope.MEMBER, Scope.PLATFORM)
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
END_USER = "Appstrate-User"


class CookieSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How session cookies are signed and scoped. The first secret signs, every one verifies."""

    secrets: tuple[str, ...]
    secure: bool
    domain: str | None
    trusted_origins: frozenset[str]


class Cookies:
    """Session cookies: the token and a signature, so that made-up ones never reach the database."""

    def __init__(self, settings: CookieSettings) -> None:
        self._settings = settings
        self.name = "__Secure-appstrate.session" if settings.secure else "appstrate.session"

    def read(self, request: web.Request) -> str | None:
        """The session token of a request, if it has one that was signed here."""
        value = request.cookies.get(self.name)
        if not value:
            return None
        token, _, signature = value.rpartition(".")
        fits = [
            hmac.compare_digest(_signature(secret, token).encode(), signature.encode())
            for secret in self._settings.secrets
        ]
        return token if any(fits) else None

    def set(self, response: web.StreamResponse, token: str, expires_at: datetime) -> None:
        """Give a browser its session."""
        signature = _signature(self._settings.secrets[0], token)
        life = int((expires_at - datetime.now(UTC)).total_seconds())
        self._put(response, f"{token}.{signature}", life)

    def clear(self, response: web.StreamResponse) -> None:
        """Take a session cookie back."""
        self._put(response, "", 0)

    def check_origin(self, request: web.Request) -> None:
        """Refuse a request that another site's page made, in the browser of somebody here.

        A page served from here is trusted under names that are known, not under any: a foreign
        name may be made to resolve to this server after its page was loaded (DNS rebinding).
        """
        origin = request.headers.get("Origin")
        if request.method in SAFE_METHODS or origin is None:
            return
        trusted = origin in self._settings.trusted_origins
        if not trusted and not _is_ours(origin, request.host):
            raise Rejected(
                f"the origin {origin} is not trusted: add it to TRUSTED_ORIGINS", code="forbidden"
            )

    def _put(self, response: web.StreamResponse, value: str, life: int) -> None:
        # By hand: the standard library knows Partitioned from Python 3.14 on only.
        parts = [f"{self.name}={value}", f"Max-Age={life}", "Path=/", "HttpOnly", "SameSite=Lax"]
        if self._settings.domain:
            parts.append(f"Domain={self._settings.domain}")
        if self._settings.secure:
            parts += ["Secure", "Partitioned"]
        response.headers.add("Set-Cookie", "; ".join(parts))


def _is_ours(origin: str, host: str) -> bool:
    """Whether an origin is the host that was asked, under a name no name server can redefine."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    name = parts.hostname or ""
    certain = name == "localhost" or name.endswith(".localhost") or parse_address(name) is not None
    return parts.netloc == host and certain


async def authenticate(
    request: web.Request, at: Addresses, cookies: Cookies, scope: Scope
) -> Authentication | None:
    """Who makes a request, with everything its route's scope needs. None on public routes."""
    if scope is Scope.PUBLIC:
        return None
    # Headers a route has no use for are not looked at: clients send the ones they remember.
    headers, org, application = request.headers, None, None
    if scope in (Scope.ORGANIZATION, Scope.APPLICATION):
        org = headers.get("X-Org-Id") or None
    if scope is Scope.APPLICATION:
        application = headers.get("X-Application-Id") or headers.get("X-App-Id") or None
    end_user = headers.get(END_USER)
    key = bearer(request)
    if key is not None:
        given = Credentials(api_key=key, org=org, application=application, end_user=end_user)
        found = await at.accounts.ask(Authenticate(credentials=given))
    else:
        token = cookies.read(request)
        if token is None:
            presented = cookies.name in request.cookies
            raise Rejected(
                "sign in, or send an API key as `Authorization: Bearer ask_…`",
                code="unauthorized" if presented else "authentication_required",
            )
        cookies.check_origin(request)
        given = Credentials(session=token, org=org, application=application, end_user=end_user)
        if scope is Scope.MEMBER:
            given = Credentials(session=token, org=request.match_info["org"], conceal=True)
        found = await at.accounts.ask(Authenticate(credentials=given))
    _check_scope(found, scope, application)
    return found


def bearer(request: web.Request) -> str | None:
    """The API key of a request; a bearer token of another kind is refused."""
    authorization = request.headers.get("Authorization", "")
    kind, _, token = authorization.partition(" ")
    if kind.lower() != "bearer":
        return None
    if not token.startswith(API_KEY):
        raise Rejected("this bearer token is not an API key", code="unauthorized")
    return token.strip()


def _check_scope(found: Authentication, scope: Scope, application: str | None) -> None:
    caller = found.caller
    if scope in OF_SESSIONS and caller.api_key is not None:
        raise Rejected("API keys cannot do this: sign in", code="forbidden")
    if scope is Scope.PLATFORM and not caller.platform_admin:
        told = "this is for the platform's owner and administrators (AUTH_PLATFORM_ADMIN_EMAILS)"
        raise Rejected(told, code="forbidden")
    if scope in (Scope.ORGANIZATION, Scope.APPLICATION) and caller.org is None:
        raise Rejected("the header X-Org-Id is required", param="X-Org-Id")
    if scope is Scope.APPLICATION and caller.application is None:
        if application is None:
            raise Rejected("the header X-Application-Id is required", param="X-Application-Id")
        told = "there is no such application in this organization"
        raise NotFound(told, param="X-Application-Id")


def is_dead_session(refusal: Refusal, request: web.Request, cookies: Cookies) -> bool:
    """Whether a refusal means that the browser's cookie is of no use any more."""
    return refusal.code == "unauthorized" and cookies.name in request.cookies


def _signature(secret: str, token: str) -> str:
    digest = hmac.digest(secret.encode(), token.encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
