"""Organizations, their members and invitations, and what is kept of them."""

from datetime import datetime
from typing import Literal, Protocol, TypeAlias

import msgspec

from actors.accounts.permissions import Role
from actors.contract import Resource, spell
from actors.ids import ApplicationId, EndUserId, OrgId, UserId

InvitedRole: TypeAlias = Literal["viewer", "member", "admin"]


class Organization(Resource, frozen=True, kw_only=True, rename=spell):
    """A tenant, as one of its members sees it."""

    id: OrgId
    name: str
    slug: str
    role: Role
    created_at: datetime


class NewOrganization(msgspec.Struct, frozen=True, kw_only=True):
    """An organization that was just made, and its default application."""

    organization: Organization
    application: ApplicationId


class Member(Resource, frozen=True, kw_only=True, rename=spell):
    """Somebody in an organization."""

    user_id: UserId
    role: Role
    joined_at: datetime
    display_name: str
    email: str


class Invitation(Resource, frozen=True, kw_only=True, rename=spell):
    """An open invitation. Its token is of use to the owner of the address only."""

    id: str
    email: str
    role: InvitedRole
    token: str
    expires_at: datetime
    created_at: datetime


class KeptInvitation(msgspec.Struct, frozen=True, kw_only=True):
    """An invitation and its surroundings, whatever has become of it."""

    invitation: Invitation
    status: Literal["pending", "accepted", "cancelled"]
    org_name: str
    inviter_name: str | None
    is_new_user: bool


class InvitationInfo(Resource, frozen=True, kw_only=True, rename=spell):
    """What somebody with an invitation's link reads before they sign in."""

    email: str
    org_name: str
    role: InvitedRole
    inviter_name: str | None
    expires_at: datetime
    is_new_user: bool


class StorageUse(msgspec.Struct, frozen=True, kw_only=True):
    """How many bytes of documents are kept, and how many may be; null is no limit."""

    used_bytes: int
    limit_bytes: int | None
    effective_limit_bytes: int | None


class OrganizationDetail(Resource, frozen=True, kw_only=True, rename=spell):
    """An organization as its members see it. Invitations are for those who may invite."""

    id: OrgId
    name: str
    slug: str
    created_at: datetime
    storage: StorageUse
    members: list[Member]
    invitations: list[Invitation]


class OrganizationSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What an organization decided. `api_version` is for requests that name none."""

    api_version: str | msgspec.UnsetType | None = msgspec.UNSET
    dashboard_sso_enabled: bool | msgspec.UnsetType | None = msgspec.UNSET


class OrganizationRecords(Protocol):
    """Where organizations are kept. Each method is one transaction."""

    async def add_organization(
        self, owner: UserId, org: OrgId, name: str, slug: str, application: ApplicationId
    ) -> Organization | None:
        """Add an organization, its owner and its default application. None: the slug is taken."""
        ...

    async def organizations(self, user: UserId) -> list[Organization]:
        """The organizations of a user, oldest first."""
        ...

    # Each of the following answers None when the organization was deleted a moment ago.

    async def show(self, org: OrgId) -> OrganizationDetail | None:
        """An organization, its members by seniority and its open invitations."""
        ...

    async def rename(self, org: OrgId, name: str) -> Organization | None:
        """Give an organization another name; as its owner sees it."""
        ...

    async def settings(self, org: OrgId) -> OrganizationSettings | None:
        """The settings of an organization."""
        ...

    async def change_settings(
        self, org: OrgId, changes: OrganizationSettings
    ) -> OrganizationSettings | None:
        """Change what is set in `changes`; null takes a setting back. Answers with all of them."""
        ...

    async def delete(self, org: OrgId) -> int:
        """Delete an organization with everything in it, unless runs are active: their number."""
        ...


class MemberRecords(Protocol):
    """Where members and invitations are kept. Each method is one transaction."""

    async def role_of(self, org: OrgId, user: UserId) -> Role | None:
        """The role of a member; None for who is none."""
        ...

    async def standing(
        self, org: OrgId, application: ApplicationId, user: UserId
    ) -> tuple[str, Role] | None:
        """The address and role of a member, if the application is the organization's."""
        ...

    async def serves(self, org: OrgId, application: ApplicationId, end_user: EndUserId) -> bool:
        """Whether an application of the organization has this end user."""
        ...

    async def change_role(
        self, org: OrgId, user: UserId, before: Role, role: Role
    ) -> Member | None:
        """Give a member another role. None when theirs is not `before` any more."""
        ...

    async def remove(self, org: OrgId, user: UserId, before: Role) -> bool:
        """Remove a member, revoke their keys and disable their schedules.

        False when their role is not `before` any more.
        """
        ...

    async def user_of(self, org: OrgId, email: str) -> tuple[bool, bool]:
        """Whether there is a user with this address, and whether they are a member."""
        ...

    async def invite(self, org: OrgId, invited_by: UserId, invitation: Invitation) -> None:
        """Keep an invitation, and cancel an older one of the same address."""
        ...

    async def invitation(self, org: OrgId, invitation: str) -> KeptInvitation | None:
        """An invitation of an organization."""
        ...

    async def invitation_of(self, token: str) -> KeptInvitation | None:
        """The invitation with this token."""
        ...

    async def change_invitation(self, invitation: str, role: Role) -> bool:
        """Change what is offered. False when it is not open any more."""
        ...

    async def cancel_invitation(self, invitation: str) -> bool:
        """Take an invitation back. False when it is not open any more."""
        ...

    async def accept(self, invitation: str, user: UserId) -> Organization | None:
        """Make a user a member; who is one keeps their role. None when it is not open any more."""
        ...
