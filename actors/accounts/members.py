"""Members of organizations, and invitations to become one."""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias, assert_never

import msgspec

from actors.accounts.accounts import Accounts, ForgetCallers
from actors.accounts.membership import check_addressee, check_grants, check_manages, check_open
from actors.accounts.organization_records import (
    Invitation,
    InvitationInfo,
    InvitedRole,
    KeptInvitation,
    Member,
    MemberRecords,
    Organization,
)
from actors.accounts.permissions import OF_ROLE, Role
from actors.accounts.policy import AccessPolicy, check_domain
from actors.accounts.records import Caller
from actors.accounts.rules import check_email
from actors.ids import ApplicationId, EndUserId, OrgId, UserId, new_uuid
from actors.runtime import Actor, Address, Conflict, Lane, NotFound, Request

INVITATION_LIFE = timedelta(days=7)


class ChangeRole(Request["Members", Member], frozen=True, kw_only=True):
    """Give a member another role: never oneself, never the owner; admins below admins only."""

    caller: Caller
    user: UserId
    role: InvitedRole


class RemoveMember(Request["Members", None], frozen=True, kw_only=True):
    """Remove a member, as `ChangeRole` allows.

    Their keys are revoked and their schedules disabled, for good; runs stay.
    """

    caller: Caller
    user: UserId


class Invite(Request["Members", Invitation], frozen=True, kw_only=True):
    """Invite an address for seven days; an older invitation of it is cancelled.

    Refuses a member with `conflict`, and an address that could not sign up here.
    """

    caller: Caller
    email: str
    role: InvitedRole


class ChangeInvitation(Request["Members", Invitation], frozen=True, kw_only=True):
    """Offer another role with an open invitation."""

    caller: Caller
    invitation: str
    role: InvitedRole


class CancelInvitation(Request["Members", None], frozen=True, kw_only=True):
    """Take an open invitation back."""

    caller: Caller
    invitation: str


class ShowInvitation(Request["Members", InvitationInfo], frozen=True, kw_only=True):
    """What whoever holds a token may know of its open invitation."""

    token: str


class AcceptInvitation(Request["Members", Organization], frozen=True, kw_only=True):
    """Join. Only the address that was invited may (`email_mismatch`); members keep their role."""

    caller: Caller
    token: str


class ActAs(Request["Members", Caller], frozen=True, kw_only=True):
    """The caller a user is in an organization now, for what happens in their name by itself.

    With `end_user` it is that one, and no user. Refuses with `NotFound` when they are no member, or
    no end user of the application, or that is none of the organization.
    """

    user: UserId | None
    end_user: EndUserId | None = None
    org: OrgId
    application: ApplicationId


MembersMessage: TypeAlias = (
    ActAs
    | ChangeRole
    | RemoveMember
    | Invite
    | ChangeInvitation
    | CancelInvitation
    | ShowInvitation
    | AcceptInvitation
)


class Members(Actor):
    """Keeps who is in which organization. A role that was taken is gone with the answer."""

    lanes = (Lane("members", 16),)

    def __init__(
        self,
        records: MemberRecords,
        accounts: Address[Accounts],
        policy: AccessPolicy,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__()
        self._records = records
        self._accounts = accounts
        self._policy = policy
        self._now = now

    async def receive(self, message: MembersMessage) -> Any:
        match message:
            case ActAs():
                return await self._act_as(message)
            case ChangeRole():
                return await self._change_role(message)
            case RemoveMember():
                return await self._remove(message)
            case Invite():
                return await self._invite(message)
            case ChangeInvitation():
                return await self._change_invitation(message)
            case CancelInvitation():
                return await self._cancel(message)
            case ShowInvitation():
                return await self._show(message)
            case AcceptInvitation():
                return await self._accept(message)
            case _:
                assert_never(message)

    async def _act_as(self, message: ActAs) -> Caller:
        if message.end_user is not None:
            return await self._act_as_end_user(message, message.end_user)
        user = message.user or UserId("")
        found = await self._records.standing(message.org, message.application, user)
        if found is None:
            raise NotFound("there is no such member of this organization")
        email, role = found
        return Caller(
            user=user,
            email=email,
            permissions=OF_ROLE[role],
            org=message.org,
            role=role,
            application=message.application,
        )

    async def _act_as_end_user(self, message: ActAs, end_user: EndUserId) -> Caller:
        if not await self._records.serves(message.org, message.application, end_user):
            raise NotFound("there is no such end user in this application")
        return Caller(
            user=UserId(""),
            email="",
            org=message.org,
            application=message.application,
            end_user=end_user,
        )

    async def _change_role(self, message: ChangeRole) -> Member:
        before = await self._managed(message.caller, message.user)
        check_grants(message.caller, message.role)
        org = message.caller.organization
        try:
            member = await self._records.change_role(org, message.user, before, message.role)
        finally:
            await self._accounts.ask(ForgetCallers())
        if member is None:
            raise _changed()
        return member

    async def _remove(self, message: RemoveMember) -> None:
        before = await self._managed(message.caller, message.user)
        try:
            gone = await self._records.remove(message.caller.organization, message.user, before)
        finally:
            await self._accounts.ask(ForgetCallers())
        if not gone:
            raise _changed()

    async def _managed(self, caller: Caller, user: UserId) -> Role:
        """The role of a member whom the caller may manage."""
        role = await self._records.role_of(caller.organization, user)
        if role is None:
            raise NotFound("there is no such member in this organization")
        check_manages(caller, user, role)
        return role

    async def _invite(self, message: Invite) -> Invitation:
        caller, email = message.caller, message.email.strip().lower()
        check_email(email)
        check_grants(caller, message.role)
        exists, is_member = await self._records.user_of(caller.organization, email)
        if is_member:
            raise Conflict(f"{email} is a member of this organization", param="email")
        if not exists:
            check_domain(self._policy, email)
        now = self._now()
        invitation = Invitation(
            id=new_uuid(),
            email=email,
            role=message.role,
            token=secrets.token_hex(32),
            expires_at=now + INVITATION_LIFE,
            created_at=now,
        )
        await self._records.invite(caller.organization, caller.user, invitation)
        return invitation

    async def _change_invitation(self, message: ChangeInvitation) -> Invitation:
        found = await self._open(message.caller, message.invitation)
        check_grants(message.caller, message.role)
        if not await self._records.change_invitation(message.invitation, message.role):
            raise _changed()
        return msgspec.structs.replace(found.invitation, role=message.role)

    async def _cancel(self, message: CancelInvitation) -> None:
        await self._open(message.caller, message.invitation)
        if not await self._records.cancel_invitation(message.invitation):
            raise _changed()

    async def _open(self, caller: Caller, invitation: str) -> KeptInvitation:
        """An open invitation that the caller may deal with."""
        found = await self._records.invitation(caller.organization, invitation)
        found = check_open(found, self._now())
        check_grants(caller, found.invitation.role)
        return found

    async def _show(self, message: ShowInvitation) -> InvitationInfo:
        found = check_open(await self._records.invitation_of(message.token), self._now())
        return InvitationInfo(
            email=found.invitation.email,
            org_name=found.org_name,
            role=found.invitation.role,
            inviter_name=found.inviter_name,
            expires_at=found.invitation.expires_at,
            is_new_user=found.is_new_user,
        )

    async def _accept(self, message: AcceptInvitation) -> Organization:
        found = check_open(await self._records.invitation_of(message.token), self._now())
        check_addressee(found, message.caller.email)
        joined = await self._records.accept(found.invitation.id, message.caller.user)
        if joined is None:
            raise _changed()
        return joined


def _changed() -> Conflict:
    return Conflict("somebody else changed this at the same moment: look again")
