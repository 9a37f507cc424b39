"""Delivers events: signs them, posts them, keeps how it went."""

from collections.abc import Callable
from datetime import UTC, datetime

from actors.documents import as_object
from actors.ids import new_uuid
from actors.queue import Job
from actors.runtime import Unavailable
from actors.vault import Vault, VaultError
from actors.webhooks.records import Delivery, Errand, WebhookRecords
from actors.webhooks.rules import Outcome, judge, why
from actors.webhooks.sender import Sender, Sent
from actors.webhooks.signing import signed_headers
from actors.worker import GiveUp

LONGEST_ERROR = 1000


class Courier:
    """Makes single attempts; the queue decides when."""

    def __init__(
        self,
        records: WebhookRecords,
        sender: Sender,
        vault: Vault,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._records = records
        self._sender = sender
        self._vault = vault
        self._now = now

    async def carry_out(self, job: Job) -> None:
        """Deliver the event of a job, unless it was, or nobody wants it any more.

        Raises `Unavailable` when it is to be tried again and `GiveUp` when that is of no use.
        """
        errand = await self._records.errand(as_object(job.payload).get("event", ""), self._now())
        if errand is None or errand.delivered or not errand.enabled:
            return
        delivery, outcome = await self.attempt(errand)
        told = delivery.error or ""
        if outcome == "hopeless":
            raise GiveUp(told)
        if outcome == "failed":
            raise Unavailable(told)

    async def attempt(self, errand: Errand) -> tuple[Delivery, Outcome]:
        """Make one attempt, and keep how it went. They are numbered from 1, whoever makes them."""
        attempt = errand.attempts + 1
        sent = await self._send(errand, attempt)
        outcome, problem = judge(sent), why(sent)
        delivery = Delivery(
            id=new_uuid(),
            event_id=errand.event.id,
            event_type=errand.event.type,
            status="success" if outcome == "delivered" else "failed",
            status_code=sent.status,
            latency=sent.latency,
            attempt=attempt,
            error=problem[:LONGEST_ERROR] if problem else None,
            created_at=self._now(),
        )
        await self._records.keep(errand.event.webhook, delivery)
        return delivery, outcome

    async def _send(self, errand: Errand, attempt: int) -> Sent:
        event, body = errand.event, errand.event.body.encode()
        try:
            secrets = [self._vault.open(each) for each in errand.secrets]
        except VaultError as error:
            return Sent(status=None, latency=0, error=f"the delivery cannot be signed: {error}")
        headers = signed_headers(secrets, event.id, body, attempt=attempt, now=self._now())
        return await self._sender.post(errand.url, body, headers)
