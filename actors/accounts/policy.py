"""Who may come in, as the operator said. Pure.

By default everybody may sign up. The first owner of the platform is whoever brings the claim token;
the claim stays open until somebody has, whatever users and organizations there are: what the demo
makes for itself does not use it up. Addresses are not verified, so the ones named here should sign
up before others can reach the server.
"""

import msgspec

from actors.accounts.records import Caller
from actors.runtime import Rejected


class AccessPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator decided. Addresses and domains are in lower case.

    `admins` may sign up and make organizations in any case; `owner` too, and owns the platform
    and the organization `first_organization` from their sign-up on. `claim_digest` is the digest
    of the claim token; None when there is nothing to claim.
    """

    sign_up_closed: bool = False
    sign_up_domains: frozenset[str] = frozenset()
    organizations_closed: bool = False
    admins: frozenset[str] = frozenset()
    owner: str | None = None
    first_organization: str = "Default"
    claim_digest: str | None = None

    def names(self, email: str) -> bool:
        """Whether the operator named this address."""
        return email in self.admins or email == self.owner

    def allows_domain(self, email: str) -> bool:
        """Whether addresses of this domain may sign up."""
        allowed = self.sign_up_domains
        return not allowed or email.rpartition("@")[2] in allowed or self.names(email)


def check_may_sign_up(policy: AccessPolicy, email: str, *, invited: bool) -> None:
    """Refuse an address that may not have an account here. An invitation opens a closed door, but
    not to another domain.
    """
    if policy.sign_up_closed and not (invited or policy.names(email)):
        raise Rejected("sign-up is closed here: ask for an invitation", code="signup_disabled")
    check_domain(policy, email)


def check_domain(policy: AccessPolicy, email: str) -> None:
    """Refuse an address of a domain that may not sign up."""
    if not policy.allows_domain(email):
        allowed = ", ".join(sorted(policy.sign_up_domains))
        raise Rejected(
            f"only addresses of {allowed} may sign up here",
            code="signup_domain_not_allowed",
            param="email",
        )


def check_may_create_organizations(policy: AccessPolicy, caller: Caller) -> None:
    """Refuse new organizations where only the platform's administrators make them."""
    if policy.organizations_closed and not caller.platform_admin:
        raise Rejected(
            "only the administrators of this platform make organizations", code="forbidden"
        )
