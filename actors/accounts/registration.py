"""New users: those who sign up, and the one who claims the platform."""

import hmac

from actors.accounts.authentication import digest
from actors.accounts.organization_records import NewOrganization, Organization
from actors.accounts.passwords import hash_password
from actors.accounts.policy import AccessPolicy, check_may_sign_up
from actors.accounts.records import AccountRecords, Founded, Founding, FoundingProblem, User
from actors.accounts.rules import check_sign_up, slugs_for
from actors.ids import OrgId, new_application_id, new_user_id, new_uuid
from actors.runtime import Conflict, Rejected


class Registration:
    """Lets users in as the policy says."""

    def __init__(self, records: AccountRecords, policy: AccessPolicy) -> None:
        self._records = records
        self._policy = policy

    async def sign_up(
        self, email: str, password: str, name: str
    ) -> tuple[User, NewOrganization | None]:
        """Make a user; the one whom the operator named owner gets an organization with it."""
        email = email.strip().lower()
        check_sign_up(email, password, name)
        invited = self._policy.sign_up_closed and await self._records.is_invited(email)
        check_may_sign_up(self._policy, email, invited=invited)
        if email == self._policy.owner:
            return await self._found(email, password, name, claims=False)
        password_hash = await hash_password(password)
        user = await self._records.add_user(new_user_id(), email, name.strip(), password_hash)
        if user is None:
            raise _taken()
        return user, None

    async def claim(
        self, token: str, email: str, password: str, name: str
    ) -> tuple[User, NewOrganization]:
        """Make the platform's owner and their organization."""
        if not await self.is_claim_open():
            raise _claimed()
        if not hmac.compare_digest(digest(token), self._policy.claim_digest or ""):
            raise Rejected("this claim token is not valid", code="token_invalid", param="token")
        email = email.strip().lower()
        check_sign_up(email, password, name)
        return await self._found(email, password, name, claims=True)

    async def is_claim_open(self) -> bool:
        """Whether there is something to claim, and nobody has."""
        return self._policy.claim_digest is not None and not await self._records.is_claimed()

    async def _found(
        self, email: str, password: str, name: str, *, claims: bool
    ) -> tuple[User, NewOrganization]:
        founding = Founding(
            user=new_user_id(),
            email=email,
            name=name.strip(),
            password_hash=await hash_password(password),
            org=OrgId(new_uuid()),
            org_name=self._policy.first_organization,
            slugs=slugs_for(self._policy.first_organization),
            application=new_application_id(),
            claims=claims,
        )
        founded = await self._records.found(founding)
        if not isinstance(founded, Founded):
            raise _refusal(founded, claims=claims)
        organization = Organization(
            id=founding.org,
            name=founding.org_name,
            slug=founded.slug,
            role="owner",
            created_at=founded.user.created_at,
        )
        made = NewOrganization(organization=organization, application=founding.application)
        return founded.user, made


def _refusal(problem: FoundingProblem, *, claims: bool) -> Conflict | Rejected:
    match problem:
        case "user_exists" if claims:
            return Conflict(
                "there is an account with this e-mail address: claim with another one, or name "
                "this one in AUTH_PLATFORM_ADMIN_EMAILS",
                code="user_exists",
                param="email",
            )
        case "user_exists":
            return _taken()
        case "claimed":
            return _claimed()
        case "in_progress":
            return Conflict("somebody is claiming right now", code="redeem_in_progress")


def _claimed() -> Rejected:
    return Rejected(
        "there is nothing to claim here: this platform has an owner, or its operator named one",
        code="token_unavailable",
    )


def _taken() -> Rejected:
    return Rejected(
        "there is an account with this e-mail address: sign in instead",
        code="user_already_exists",
        param="email",
    )
