"""Members of organizations and invitations."""

import msgspec

from actors.accounts import (
    AcceptInvitation,
    CancelInvitation,
    ChangeInvitation,
    ChangeRole,
    Invitation,
    InvitationInfo,
    Invite,
    InvitedRole,
    Member,
    Organization,
    RemoveMember,
    ShowInvitation,
)
from actors.ids import UserId
from appstrate.http.call import Call, Routes, Scope

routes = Routes()

MEMBERS = "/api/orgs/{org}/members"
INVITATION = "/api/orgs/{org}/invitations/{invitation}"


class InviteBody(msgspec.Struct, kw_only=True):
    """Whom to invite, and as what."""

    email: str
    role: InvitedRole


class RoleBody(msgspec.Struct, kw_only=True):
    """Another role."""

    role: InvitedRole


@routes.add(
    "POST",
    MEMBERS,
    Scope.MEMBER,
    "members:invite",
    body=InviteBody,
    status=201,
    refuses={403: "signup_domain_not_allowed", 409: "conflict"},
)
async def invite(call: Call, body: InviteBody) -> Invitation:
    """Invite an address.

    The token in the answer is to be passed on. It counts for seven days and for this address only,
    at `/invite/{token}/accept`.
    """
    message = Invite(caller=call.caller, email=body.email, role=body.role)
    return await call.at.members.ask(message)


@routes.add(
    "PUT",
    f"{MEMBERS}/{{user}}",
    Scope.MEMBER,
    "members:change-role",
    body=RoleBody,
    refuses={409: "conflict"},
)
async def change_role(call: Call, body: RoleBody) -> Member:
    """Give a member another role: never oneself, never the owner."""
    message = ChangeRole(caller=call.caller, user=_user(call), role=body.role)
    return await call.at.members.ask(message)


@routes.add(
    "DELETE",
    f"{MEMBERS}/{{user}}",
    Scope.MEMBER,
    "members:remove",
    status=204,
    refuses={409: "conflict"},
)
async def remove_member(call: Call) -> None:
    """Remove a member: never oneself, never the owner.

    Their API keys are revoked and their schedules disabled, also for the case that they come back.
    """
    await call.at.members.ask(RemoveMember(caller=call.caller, user=_user(call)))


@routes.add(
    "PUT",
    INVITATION,
    Scope.MEMBER,
    "members:invite",
    body=RoleBody,
    refuses={
        404: "invitation_not_found",
        409: "conflict",
        410: "invitation_accepted invitation_cancelled invitation_expired",
    },
)
async def change_invitation(call: Call, body: RoleBody) -> Invitation:
    """Offer another role with an open invitation."""
    message = ChangeInvitation(caller=call.caller, invitation=_invitation(call), role=body.role)
    return await call.at.members.ask(message)


@routes.add(
    "DELETE",
    INVITATION,
    Scope.MEMBER,
    "members:invite",
    status=204,
    refuses={
        404: "invitation_not_found",
        409: "conflict",
        410: "invitation_accepted invitation_cancelled invitation_expired",
    },
)
async def cancel_invitation(call: Call) -> None:
    """Take an open invitation back."""
    await call.at.members.ask(CancelInvitation(caller=call.caller, invitation=_invitation(call)))


@routes.add(
    "GET",
    "/invite/{token}/info",
    Scope.PUBLIC,
    refuses={
        404: "invitation_not_found",
        410: "invitation_accepted invitation_cancelled invitation_expired",
    },
)
async def show_invitation(call: Call) -> InvitationInfo:
    """What an invitation offers, for whoever holds its token."""
    message = ShowInvitation(token=call.request.match_info["token"])
    return await call.at.members.ask(message)


@routes.add(
    "POST",
    "/invite/{token}/accept",
    Scope.SESSION,
    audit=True,
    refuses={
        403: "email_mismatch",
        404: "invitation_not_found",
        409: "conflict",
        410: "invitation_accepted invitation_cancelled invitation_expired",
    },
)
async def accept_invitation(call: Call) -> Organization:
    """Join the organization, signed in with the address that was invited."""
    message = AcceptInvitation(caller=call.caller, token=call.request.match_info["token"])
    return await call.at.members.ask(message)


def _user(call: Call) -> UserId:
    return UserId(call.request.match_info["user"])


def _invitation(call: Call) -> str:
    return call.request.match_info["invitation"]
