"""Webhooks: who is told over HTTP what happens to runs, and telling them."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias, assert_never

import msgspec
import structlog

from actors.accounts import Caller
from actors.contract import API_VERSION, Resource, spell
from actors.egress import Egress
from actors.events import DELIVERIES, jobs_topic
from actors.ids import ApplicationId, OrgId, PackageId, WebhookId, new_event_id, new_webhook_id
from actors.pubsub import PubSub, subscription
from actors.queue import Queue, WakeQueue
from actors.runtime import (
    Actor,
    Address,
    AskError,
    Conflict,
    Lane,
    LimitExceeded,
    NotFound,
    Rejected,
    Request,
    Unavailable,
)
from actors.vault import Vault
from actors.webhooks.courier import Courier
from actors.webhooks.envelope import envelope, sample_run
from actors.webhooks.records import (
    Delivery,
    NewWebhook,
    Rotation,
    Webhook,
    WebhookChanges,
    WebhookEvent,
    WebhookRecords,
    WebhookSpec,
)
from actors.webhooks.rules import (
    MOST_OF_SCOPE,
    RETRIES,
    application_of,
    check_url,
    sees,
    window,
)
from actors.webhooks.sender import Sender
from actors.webhooks.signing import new_secret
from actors.worker import work

log = structlog.get_logger("webhooks")

# Waiting for a receiver costs little. Of one organization few, for all of its may hang.
AT_ONCE = 128
AT_ONCE_OF_ORGANIZATION = 4
AT_ONCE_BY_HAND = 8
PAUSE_SECONDS = 1.0


class CreateWebhook(Request["Webhooks", NewWebhook], frozen=True, kw_only=True):
    """Keep a webhook. Refuses with `webhook_limit_reached` the 21st of a scope."""

    caller: Caller
    spec: WebhookSpec


class ListWebhooks(Request["Webhooks", list[Webhook]], frozen=True, kw_only=True):
    """The organization's own webhooks, or those of an application, or `everything`.

    API keys see those of their application, whatever is asked.
    """

    caller: Caller
    application: ApplicationId | None = None
    everything: bool = False


class ReadWebhook(Request["Webhooks", Webhook], frozen=True, kw_only=True):
    """One webhook."""

    caller: Caller
    webhook: WebhookId


class ChangeWebhook(Request["Webhooks", Webhook], frozen=True, kw_only=True):
    """Change what is set; its scope and its secret stay as they are."""

    caller: Caller
    webhook: WebhookId
    changes: WebhookChanges


class DeleteWebhook(Request["Webhooks", None], frozen=True, kw_only=True):
    """Forget a webhook and its deliveries; what is still to be delivered is not."""

    caller: Caller
    webhook: WebhookId


class RotateSecret(Request["Webhooks", Rotation], frozen=True, kw_only=True):
    """Give a webhook a new secret at once; the previous one signs along for a window.

    So does the one before, until its own window ends, and no other.
    """

    caller: Caller
    webhook: WebhookId
    window_seconds: int | None = None


class WebhookTest(Resource, frozen=True, kw_only=True, rename=spell):
    """The event that was sent, and how its delivery went."""

    id: str
    object: str
    type: str
    api_version: str = msgspec.field(name="apiVersion")
    created: int
    data: dict[str, Any]
    delivery: Delivery


class TestWebhook(Request["Webhooks", WebhookTest], frozen=True, kw_only=True):
    """Deliver a sample event, once, and wait for the answer; also when it is not enabled.

    Refuses when eight deliveries by hand of the organization are under way.
    """

    caller: Caller
    webhook: WebhookId


class ListDeliveries(Request["Webhooks", list[Delivery]], frozen=True, kw_only=True):
    """The latest attempts to deliver, the last first."""

    caller: Caller
    webhook: WebhookId
    limit: int


class Redeliver(Request["Webhooks", Delivery], frozen=True, kw_only=True):
    """Deliver the event of a delivery once more, at once, whether that one succeeded or not.

    Refuses with `conflict` what is not kept any more, and when eight deliveries by hand of the
    organization are under way.
    """

    caller: Caller
    webhook: WebhookId
    delivery: str


WebhooksMessage: TypeAlias = (
    CreateWebhook
    | ListWebhooks
    | ReadWebhook
    | ChangeWebhook
    | DeleteWebhook
    | RotateSecret
    | TestWebhook
    | ListDeliveries
    | Redeliver
)


class Webhooks(Actor):
    """Keeps webhooks, and carries out the jobs that deliver their events."""

    lanes = (
        Lane("attempts", AT_ONCE, (TestWebhook, Redeliver), limit=100),
        Lane("rest", 16),
    )

    def __init__(
        self,
        records: WebhookRecords,
        sender: Sender,
        vault: Vault,
        egress: Egress,
        *,
        queue: Address[Queue],
        pubsub: Address[PubSub],
    ) -> None:
        super().__init__()
        self._records = records
        self._courier = Courier(records, sender, vault)
        self._vault = vault
        self._egress = egress
        self._queue = queue
        self._pubsub = pubsub
        self._by_hand = Counter[OrgId]()

    async def started(self) -> None:
        delivering = work(
            self._queue,
            DELIVERIES,
            self._courier.carry_out,
            retries=RETRIES,
            concurrency=AT_ONCE,
            most_of_group=AT_ONCE_OF_ORGANIZATION,
        )
        self.own(delivering, "deliveries")
        self.own(self._listen(), "wakes")

    async def receive(self, message: WebhooksMessage) -> Any:
        match message:
            case CreateWebhook():
                return await self._create(message.caller, message.spec)
            case ListWebhooks():
                return await self._list(message)
            case ReadWebhook():
                return await self._find(message.caller, message.webhook)
            case ChangeWebhook():
                return await self._change(message)
            case DeleteWebhook():
                found = await self._find(message.caller, message.webhook)
                await self._records.delete(found.org_id, found.id)
                return None
            case RotateSecret():
                return await self._rotate(message)
            case TestWebhook():
                return await self._test(message)
            case ListDeliveries():
                found = await self._find(message.caller, message.webhook)
                return await self._records.deliveries(found.org_id, found.id, message.limit)
            case Redeliver():
                return await self._redeliver(message)
            case _:
                assert_never(message)

    async def _create(self, caller: Caller, spec: WebhookSpec) -> NewWebhook:
        application = application_of(caller, spec)
        package = PackageId(spec.package_id) if spec.package_id else None
        check_url(spec.url, self._egress)
        await self._check_there(caller, application, package)
        now, secret = datetime.now(UTC), new_secret()
        webhook = NewWebhook(
            id=new_webhook_id(),
            level=spec.level,
            org_id=caller.organization,
            application_id=application,
            url=spec.url,
            events=list(dict.fromkeys(spec.events)),
            package_id=package,
            payload_mode=spec.payload_mode,
            enabled=spec.enabled,
            created_at=now,
            updated_at=now,
            secret=secret,
        )
        if not await self._records.add(webhook, self._vault.seal(secret), MOST_OF_SCOPE):
            scope = "the application" if application else "the organization"
            raise Rejected(
                f"{scope} has {MOST_OF_SCOPE} webhooks already: delete one first",
                code="webhook_limit_reached",
            )
        return webhook

    async def _list(self, message: ListWebhooks) -> list[Webhook]:
        caller, application = message.caller, message.application
        everything = message.everything
        if caller.api_key is not None:
            if application not in (None, caller.application):
                raise _no_application()
            application, everything = caller.application, False
        await self._check_there(caller, application, None)
        return await self._records.webhooks(caller.organization, application, everything=everything)

    async def _change(self, message: ChangeWebhook) -> Webhook:
        found, changes = await self._find(message.caller, message.webhook), message.changes
        if changes.url is not msgspec.UNSET:
            check_url(changes.url, self._egress)
        if isinstance(changes.package_id, str):
            await self._check_there(message.caller, None, PackageId(changes.package_id))
        if changes.events is not msgspec.UNSET:
            changes = msgspec.structs.replace(changes, events=list(dict.fromkeys(changes.events)))
        changed = await self._records.change(found.org_id, found.id, changes, datetime.now(UTC))
        if changed is None:
            raise _no_webhook()
        return changed

    async def _rotate(self, message: RotateSecret) -> Rotation:
        now = datetime.now(UTC)
        ends = now + timedelta(seconds=window(message.window_seconds))
        found = await self._find(message.caller, message.webhook)
        secret = new_secret()
        previous = await self._records.rotate(
            found.org_id, found.id, self._vault.seal(secret), ends, now
        )
        if previous is None:
            raise _no_webhook()
        return Rotation(
            secret=secret,
            secret_previous=self._vault.open(previous),
            rotation_window_ends_at=ends,
        )

    async def _test(self, message: TestWebhook) -> WebhookTest:
        found = await self._find(message.caller, message.webhook)
        now, event = datetime.now(UTC), new_event_id()
        about = sample_run(found.application_id, found.package_id, now)
        body = envelope(event, "run.success", about, now, message.caller.api_version or API_VERSION)
        await self._records.add_event(
            WebhookEvent(
                id=event,
                webhook=found.id,
                run=None,
                type="run.success",
                body=body.decode(),
                created_at=now,
            )
        )
        delivery = await self._deliver(found.org_id, event)
        return msgspec.convert(
            msgspec.json.decode(body) | {"delivery": msgspec.to_builtins(delivery)}, WebhookTest
        )

    async def _redeliver(self, message: Redeliver) -> Delivery:
        found = await self._find(message.caller, message.webhook)
        event = await self._records.event_of(found.org_id, found.id, message.delivery)
        if event is None:
            raise NotFound("there is no such delivery of this webhook")
        return await self._deliver(found.org_id, event)

    async def _deliver(self, org: OrgId, event: str) -> Delivery:
        if self._by_hand[org] >= AT_ONCE_BY_HAND:
            what = f"{AT_ONCE_BY_HAND} deliveries by hand are under way: wait until one has ended"
            raise LimitExceeded(what, retry_after=1)
        self._by_hand[org] += 1
        try:
            return await self._attempt(event)
        finally:
            self._by_hand -= Counter({org: 1})

    async def _attempt(self, event: str) -> Delivery:
        errand = await self._records.errand(event, datetime.now(UTC))
        if errand is None:
            raise Conflict("what was delivered is gone with its run: it cannot be sent again")
        delivery, _ = await self._courier.attempt(errand)
        return delivery

    async def _find(self, caller: Caller, webhook: WebhookId) -> Webhook:
        found = await self._records.webhook(caller.organization, webhook)
        if found is None or not sees(caller, found):
            raise _no_webhook()
        return found

    async def _check_there(
        self, caller: Caller, application: ApplicationId | None, package: PackageId | None
    ) -> None:
        if caller.api_key is not None and application not in (None, caller.application):
            raise _no_application()
        has = await self._records.has(caller.organization, application, package)
        if application is not None and not has[0]:
            raise _no_application()
        if package is not None and not has[1]:
            what = f"there is no agent {package} in this organization"
            raise NotFound(what, param="packageId")

    async def _listen(self) -> None:
        """Have jobs looked for as soon as they are added; without this it takes seconds."""
        while True:
            try:
                async with subscription(self._pubsub, jobs_topic(DELIVERIES)) as added:
                    async for _ in added:
                        self._queue.tell(WakeQueue(topic=DELIVERIES))
            except (Unavailable, AskError) as problem:
                log.warning("new deliveries are not heard of", why=str(problem))
            await asyncio.sleep(PAUSE_SECONDS)


def _no_webhook() -> NotFound:
    return NotFound("there is no such webhook")


def _no_application() -> NotFound:
    what = "there is no such application in this organization"
    return NotFound(what, param="applicationId")
