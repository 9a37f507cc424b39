"""Organizations: the tenants of a platform."""

from typing import Any, TypeAlias, TypeVar, assert_never

import msgspec

from actors.accounts.accounts import Accounts, ForgetCallers
from actors.accounts.membership import check_owner
from actors.accounts.organization_records import (
    NewOrganization,
    Organization,
    OrganizationDetail,
    OrganizationRecords,
    OrganizationSettings,
)
from actors.accounts.policy import AccessPolicy, check_may_create_organizations
from actors.accounts.records import Caller
from actors.accounts.rules import check_name, check_slug, slugs_for
from actors.ids import OrgId, new_application_id, new_uuid
from actors.runtime import Actor, Address, Lane, NotFound, Rejected, Request

T = TypeVar("T")


class CreateOrganization(Request["Organizations", NewOrganization], frozen=True, kw_only=True):
    """Make an organization owned by the caller, with its default application."""

    caller: Caller
    name: str
    slug: str | None = None


class ListOrganizations(Request["Organizations", list[Organization]], frozen=True, kw_only=True):
    """The caller's organizations, oldest first."""

    caller: Caller


class ShowOrganization(Request["Organizations", OrganizationDetail], frozen=True, kw_only=True):
    """The caller's organization with its members, and its invitations for who may invite."""

    caller: Caller


class RenameOrganization(Request["Organizations", Organization], frozen=True, kw_only=True):
    """Give the caller's organization another name; its slug stays. For its owner."""

    caller: Caller
    name: str


class DeleteOrganization(Request["Organizations", None], frozen=True, kw_only=True):
    """Delete the caller's organization with everything in it. For its owner.

    Refused while runs are active (`delete_failed`).
    """

    caller: Caller


class ReadOrganizationSettings(
    Request["Organizations", OrganizationSettings], frozen=True, kw_only=True
):
    """The settings of the caller's organization."""

    caller: Caller


class ChangeOrganizationSettings(
    Request["Organizations", OrganizationSettings], frozen=True, kw_only=True
):
    """Change what is set in `changes`, with null back to the default; answers with all of them."""

    caller: Caller
    changes: OrganizationSettings


OrganizationsMessage: TypeAlias = (
    CreateOrganization
    | ListOrganizations
    | ShowOrganization
    | RenameOrganization
    | DeleteOrganization
    | ReadOrganizationSettings
    | ChangeOrganizationSettings
)


class Organizations(Actor):
    """Keeps organizations. What was changed holds for the next request on this instance."""

    lanes = (Lane("organizations", 16),)

    def __init__(
        self, records: OrganizationRecords, accounts: Address[Accounts], policy: AccessPolicy
    ) -> None:
        super().__init__()
        self._records = records
        self._accounts = accounts
        self._policy = policy

    async def receive(self, message: OrganizationsMessage) -> Any:
        match message:
            case CreateOrganization():
                return await self._create(message)
            case ListOrganizations():
                return await self._records.organizations(message.caller.user)
            case ShowOrganization():
                return await self._show(message.caller)
            case RenameOrganization():
                return await self._rename(message)
            case DeleteOrganization():
                return await self._delete(message)
            case ReadOrganizationSettings():
                return _found(await self._records.settings(message.caller.organization))
            case ChangeOrganizationSettings():
                return await self._change_settings(message)
            case _:
                assert_never(message)

    async def _create(self, message: CreateOrganization) -> NewOrganization:
        check_may_create_organizations(self._policy, message.caller)
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

    async def _show(self, caller: Caller) -> OrganizationDetail:
        shown = _found(await self._records.show(caller.organization))
        if "members:invite" in caller.permissions:
            return shown
        return msgspec.structs.replace(shown, invitations=[])

    async def _rename(self, message: RenameOrganization) -> Organization:
        check_owner(message.caller)
        name = message.name.strip()
        check_name(name)
        return _found(await self._records.rename(message.caller.organization, name))

    async def _delete(self, message: DeleteOrganization) -> None:
        check_owner(message.caller)
        try:
            active = await self._records.delete(message.caller.organization)
        finally:
            await self._accounts.ask(ForgetCallers())
        if active:
            raise Rejected(
                f"{active} runs are active: cancel them, or wait for their end",
                code="delete_failed",
            )

    async def _change_settings(self, message: ChangeOrganizationSettings) -> OrganizationSettings:
        try:
            return _found(
                await self._records.change_settings(message.caller.organization, message.changes)
            )
        finally:
            await self._accounts.ask(ForgetCallers())


def _found(found: T | None) -> T:
    if found is None:
        raise NotFound("there is no such organization", code="org_not_found")
    return found
