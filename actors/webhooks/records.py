"""Webhooks, what they were told and how that went, and what is kept of them."""

from datetime import datetime
from typing import Annotated, Literal, Protocol, TypeAlias

import msgspec

from actors.contract import Resource, spell
from actors.ids import ApplicationId, OrgId, PackageId, RunId, WebhookId
from actors.webhooks.envelope import EventType, PayloadMode

Level: TypeAlias = Literal["org", "application"]
Events: TypeAlias = Annotated[list[EventType], msgspec.Meta(min_length=1)]


class WebhookSpec(msgspec.Struct, frozen=True, kw_only=True, rename=spell):
    """A new webhook: whose, where to, and what it is told of."""

    level: Level
    application_id: str | None = None
    url: str
    events: Events
    package_id: str | None = None
    payload_mode: PayloadMode = msgspec.field(default="full", name="payloadMode")
    enabled: bool = True


class WebhookChanges(msgspec.Struct, frozen=True, kw_only=True, rename=spell):
    """What is to change of a webhook; a package of null is every package."""

    url: str | msgspec.UnsetType = msgspec.UNSET
    events: Events | msgspec.UnsetType = msgspec.UNSET
    package_id: str | msgspec.UnsetType | None = msgspec.UNSET
    payload_mode: PayloadMode | msgspec.UnsetType = msgspec.field(
        default=msgspec.UNSET, name="payloadMode"
    )
    enabled: bool | msgspec.UnsetType = msgspec.UNSET


class Webhook(Resource, frozen=True, kw_only=True, rename=spell):
    """A webhook, without its secret."""

    id: WebhookId
    level: Level
    org_id: OrgId
    application_id: ApplicationId | None
    url: str
    events: list[EventType]
    package_id: PackageId | None
    payload_mode: PayloadMode = msgspec.field(name="payloadMode")
    enabled: bool
    created_at: datetime
    updated_at: datetime


class NewWebhook(Webhook, frozen=True, kw_only=True, rename=spell):
    """A new webhook, with the secret that signs what it is told: it is shown this once."""

    secret: str


class Rotation(Resource, frozen=True, kw_only=True, rename=spell):
    """The new secret of a webhook, and until when the previous one signs along."""

    secret: str
    secret_previous: str = msgspec.field(name="secretPrevious")
    rotation_window_ends_at: datetime = msgspec.field(name="rotationWindowEndsAt")


class Delivery(Resource, frozen=True, kw_only=True, rename=spell):
    """One attempt to tell a webhook something; `latency` is in milliseconds."""

    id: str
    event_id: str
    event_type: str = msgspec.field(name="eventType")
    status: Literal["success", "failed"]
    status_code: int | None = msgspec.field(name="statusCode")
    latency: int
    attempt: int
    error: str | None
    created_at: datetime


class WebhookEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What one webhook is told, word for word."""

    id: str
    webhook: WebhookId
    run: RunId | None
    type: EventType
    body: str
    created_at: datetime


class Errand(msgspec.Struct, frozen=True, kw_only=True):
    """An event and how to deliver it: the sealed secrets that sign it, the newest first.

    `attempts` is how many there were; `delivered` whether one has succeeded.
    """

    event: WebhookEvent
    url: str
    enabled: bool
    secrets: list[str]
    attempts: int
    delivered: bool


class WebhookRecords(Protocol):
    """Where webhooks are kept. Each method is one transaction.

    Their events are added by whoever ends or starts a run, in the transaction that does so.
    """

    async def has(
        self, org: OrgId, application: ApplicationId | None, package: PackageId | None
    ) -> tuple[bool, bool]:
        """Whether an organization has this application, and sees this agent."""
        ...

    async def add(self, webhook: Webhook, sealed_secret: str, most: int) -> bool:
        """Keep a webhook. False when there are `most` of its application, or of the organization
        as such.
        """
        ...

    async def webhooks(
        self, org: OrgId, application: ApplicationId | None, *, everything: bool
    ) -> list[Webhook]:
        """Those of an application, or of the organization as such, or all; oldest first."""
        ...

    async def webhook(self, org: OrgId, webhook: WebhookId) -> Webhook | None:
        """One webhook of an organization."""
        ...

    async def change(
        self, org: OrgId, webhook: WebhookId, changes: WebhookChanges, now: datetime
    ) -> Webhook | None:
        """Write what is set, and nothing else; how it is then. None when it is gone."""
        ...

    async def delete(self, org: OrgId, webhook: WebhookId) -> None:
        """Forget a webhook and its deliveries."""
        ...

    async def rotate(
        self, org: OrgId, webhook: WebhookId, sealed_secret: str, until: datetime, now: datetime
    ) -> str | None:
        """Put a secret in the place of another, which signs along until then; that one, sealed.

        The one before that keeps what is left of its window.
        """
        ...

    async def add_event(self, event: WebhookEvent) -> None:
        """Keep an event without a job that delivers it."""
        ...

    async def errand(self, event: str, now: datetime) -> Errand | None:
        """How to deliver an event. None when it is gone, or its webhook."""
        ...

    async def event_of(self, org: OrgId, webhook: WebhookId, delivery: str) -> str | None:
        """The event a delivery was about, if that is kept."""
        ...

    async def keep(self, webhook: WebhookId, delivery: Delivery) -> None:
        """Keep how an attempt went; nothing when the webhook is gone."""
        ...

    async def deliveries(self, org: OrgId, webhook: WebhookId, limit: int) -> list[Delivery]:
        """The latest deliveries of a webhook, the last first."""
        ...
