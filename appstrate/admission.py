"""Who may come in, read from the environment."""

import base64
import hmac
import re

import msgspec

from actors.accounts import AccessPolicy, digest
from appstrate.environment import Reader
from appstrate.keys import Keys

ADDRESS = re.compile(r"[^@\s,]+@[^@\s,]+")
DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+|localhost")
TOKEN = re.compile(r"[A-Za-z0-9_-]{22,128}")


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """The token that makes the platform's owner. One the operator `chose` is never printed."""

    token: str
    chosen: bool

    def link(self, url: str) -> str:
        """Where to use it in a browser."""
        return f"{url}/claim" if self.chosen else f"{url}/claim?token={self.token}"


def read_access(read: Reader, keys: Keys) -> tuple[AccessPolicy, Claim | None]:
    """The policy of accounts, and how to claim the platform. Whoever names an owner or
    administrators leaves nothing to claim, unless they chose a claim token too.
    """
    owner = _addresses(read, "AUTH_BOOTSTRAP_OWNER_EMAIL")
    admins = _addresses(read, "AUTH_PLATFORM_ADMIN_EMAILS")
    if len(owner) > 1:
        read.problem("AUTH_BOOTSTRAP_OWNER_EMAIL", "must be one address")
    name = read.text("AUTH_BOOTSTRAP_ORG_NAME", "Default")
    if len(name) > 100:
        read.problem("AUTH_BOOTSTRAP_ORG_NAME", "must have at most 100 characters")
    token, claim = read.matching("AUTH_BOOTSTRAP_TOKEN", TOKEN), None
    if token is not None:
        claim = Claim(token=token, chosen=True)
    elif not owner and not admins:
        claim = Claim(token=derived_token(keys), chosen=False)
    policy = AccessPolicy(
        sign_up_closed=_flag(read, "AUTH_DISABLE_SIGNUP"),
        sign_up_domains=_domains(read, "AUTH_ALLOWED_SIGNUP_DOMAINS"),
        organizations_closed=_flag(read, "AUTH_DISABLE_ORG_CREATION"),
        admins=admins,
        owner=min(owner, default=None),
        first_organization=name,
        claim_digest=digest(claim.token) if claim else None,
    )
    return policy, claim


def derived_token(keys: Keys) -> str:
    """The claim token of a server that was given none: the same at every start and on every
    instance, and known to whoever knows the server's secrets.
    """
    made = hmac.digest(keys.auth[0].encode(), b"the claim of the platform", "sha256")
    return base64.urlsafe_b64encode(made).decode().rstrip("=")


def _flag(read: Reader, name: str) -> bool:
    return read.choice(name, ("false", "true")) == "true"


def _addresses(read: Reader, name: str) -> frozenset[str]:
    found = [each.lower() for each in read.names(name)]
    for each in found:
        if not ADDRESS.fullmatch(each):
            read.problem(name, f"{each!r} is not an e-mail address")
    return frozenset(found)


def _domains(read: Reader, name: str) -> frozenset[str]:
    found = [each.lower() for each in read.names(name)]
    for each in found:
        if not DOMAIN.fullmatch(each):
            read.problem(name, f"{each!r} is not a domain such as example.com")
    return frozenset(found)
