"""Organizations: the tenants of a platform."""

from typing import Any, TypeAlias, assert_never

import msgspec

from actors.accounts.records import Caller, Organization, OrganizationRecords
from actors.accounts.rules import check_name, check_slug, slugs_for
from actors.ids import ApplicationId, OrgId, new_application_id, new_uuid
from actors.runtime import Actor, Lane, Rejected, Request


class NewOrganization(msgspec.Struct, frozen=True, kw_only=True):
    """An organization that was just made, and its default application."""

    organization: Organization
    application: ApplicationId


class CreateOrganization(Request["Organizations", NewOrganization], frozen=True, kw_only=True):
    """Make an organization owned by the caller, with its default application."""

    caller: Caller
    name: str
    slug: str | None = None


class ListOrganizations(Request["Organizations", list[Organization]], frozen=True, kw_only=True):
    """The caller's organizations, oldest first."""

    caller: Caller


OrganizationsMessage: TypeAlias = CreateOrganization | ListOrganizations


class Organizations(Actor):
    """Keeps organizations."""

    lanes = (Lane("organizations", 16),)

    def __init__(self, records: OrganizationRecords) -> None:
        super().__init__()
        self._records = records

    async def receive(self, message: OrganizationsMessage) -> Any:
        match message:
            case CreateOrganization():
                return await self._create(message)
            case ListOrganizations():
                return await self._records.organizations(message.caller.user)
            case _:
                assert_never(message)

    async def _create(self, message: CreateOrganization) -> NewOrganization:
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
