"""Who may manage whom in an organization, and which invitations still count. Pure."""

from datetime import datetime

from actors.accounts.organization_records import KeptInvitation
from actors.accounts.permissions import Role
from actors.accounts.records import Caller
from actors.ids import UserId
from actors.runtime import NotFound, Rejected

MANAGED_BY_ADMINS: tuple[Role, ...] = ("viewer", "member")


def check_manages(caller: Caller, user: UserId, role: Role) -> None:
    """Refuse to manage oneself, the owner, or as an admin another admin."""
    if user == caller.user:
        raise Rejected("nobody changes their own membership: ask another admin", code="forbidden")
    if role == "owner":
        raise Rejected("the owner of an organization stays", code="forbidden")
    check_grants(caller, role)


def check_grants(caller: Caller, role: Role) -> None:
    """Refuse an admin who deals in anything above viewers and members."""
    if caller.role != "owner" and role not in MANAGED_BY_ADMINS:
        raise Rejected("only the owner of an organization manages admins", code="forbidden")


def check_owner(caller: Caller) -> None:
    """Refuse everybody but the owner of the organization."""
    if caller.role != "owner":
        raise Rejected("only the owner of an organization does this", code="forbidden")


def check_open(found: KeptInvitation | None, now: datetime) -> KeptInvitation:
    """The invitation, if it can still be accepted."""
    if found is None:
        raise NotFound("there is no such invitation", code="invitation_not_found")
    if found.status != "pending":
        raise Rejected(f"this invitation was {found.status}", code=f"invitation_{found.status}")
    if found.invitation.expires_at <= now:
        raise Rejected("this invitation has expired: ask for a new one", code="invitation_expired")
    return found


def check_addressee(found: KeptInvitation, email: str) -> None:
    """Refuse everybody but whom the invitation was meant for."""
    if found.invitation.email != email:
        raise Rejected(
            f"this invitation is for {found.invitation.email}: sign in with that address",
            code="email_mismatch",
        )
