"""Webhooks in PostgreSQL."""

from datetime import datetime

import asyncpg
import msgspec

from actors.contract import API_VERSION
from actors.events import DELIVERIES
from actors.ids import ApplicationId, OrgId, PackageId, WebhookId, new_event_id
from actors.queue import NewJob
from actors.runs import Run
from actors.webhooks import (
    OF_STATUS,
    Delivery,
    Errand,
    Webhook,
    WebhookChanges,
    WebhookEvent,
    run_event,
)
from adapters.postgres.jobs import enqueue
from adapters.postgres.pool import Pool, refusing_deleted

WEBHOOK = """
    id, CASE WHEN application_id IS NULL THEN 'org' ELSE 'application' END AS level, org_id,
    application_id, url, events, package_id, payload_mode, enabled, created_at, updated_at
"""

ADD_EVENT = """
    INSERT INTO webhook_events (id, webhook_id, run_id, type, body, created_at)
    VALUES ($1, $2, $3, $4, $5, $6)
"""


class PostgresWebhookRecords:
    """`WebhookRecords` over the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def has(
        self, org: OrgId, application: ApplicationId | None, package: PackageId | None
    ) -> tuple[bool, bool]:
        row = await self._pool.fetchrow(
            """
            SELECT EXISTS (SELECT FROM applications WHERE org_id = $1 AND id = $2) AS application,
                   EXISTS (SELECT FROM packages WHERE id = $3 AND type = 'agent'
                           AND (org_id = $1 OR org_id IS NULL)) AS package
            """,
            *(org, application, package),
        )
        assert row is not None
        return row["application"], row["package"]

    @refusing_deleted
    async def add(self, webhook: Webhook, sealed_secret: str, most: int) -> bool:
        async with self._pool.transaction() as connection:
            # One at a time: a second one must see the first when it counts.
            await connection.execute(
                "SELECT FROM organizations WHERE id = $1 FOR NO KEY UPDATE", webhook.org_id
            )
            added = await connection.fetchval(
                """
                INSERT INTO webhooks (id, org_id, application_id, url, events, package_id,
                    payload_mode, enabled, created_at, updated_at, secret_encrypted)
                SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10 WHERE $11 > (
                    SELECT count(*) FROM webhooks
                    WHERE org_id = $2 AND application_id IS NOT DISTINCT FROM $3
                )
                RETURNING 1
                """,
                *(webhook.id, webhook.org_id, webhook.application_id, webhook.url),
                *(webhook.events, webhook.package_id, webhook.payload_mode, webhook.enabled),
                *(webhook.created_at, sealed_secret, most),
            )
        return added is not None

    async def webhooks(
        self, org: OrgId, application: ApplicationId | None, *, everything: bool
    ) -> list[Webhook]:
        rows = await self._pool.fetch(
            f"""
            SELECT {WEBHOOK} FROM webhooks
            WHERE org_id = $1 AND ($3 OR application_id IS NOT DISTINCT FROM $2)
            ORDER BY created_at, id
            """,
            *(org, application, everything),
        )
        return [Webhook(**dict(row)) for row in rows]

    async def webhook(self, org: OrgId, webhook: WebhookId) -> Webhook | None:
        row = await self._pool.fetchrow(
            f"SELECT {WEBHOOK} FROM webhooks WHERE org_id = $1 AND id = $2", org, webhook
        )
        return None if row is None else Webhook(**dict(row))

    async def change(
        self, org: OrgId, webhook: WebhookId, changes: WebhookChanges, now: datetime
    ) -> Webhook | None:
        given = {
            name: value
            for name in changes.__struct_fields__
            if (value := getattr(changes, name)) is not msgspec.UNSET
        }
        row = await self._pool.fetchrow(
            f"""
            UPDATE webhooks SET url = coalesce($3, url), events = coalesce($4, events),
                package_id = CASE WHEN $5 THEN $6 ELSE package_id END,
                payload_mode = coalesce($7, payload_mode), enabled = coalesce($8, enabled),
                updated_at = $9
            WHERE org_id = $1 AND id = $2 RETURNING {WEBHOOK}
            """,
            *(org, webhook, given.get("url"), given.get("events")),
            *("package_id" in given, given.get("package_id")),
            *(given.get("payload_mode"), given.get("enabled"), now),
        )
        return None if row is None else Webhook(**dict(row))

    async def delete(self, org: OrgId, webhook: WebhookId) -> None:
        await self._pool.execute("DELETE FROM webhooks WHERE org_id = $1 AND id = $2", org, webhook)

    async def rotate(
        self, org: OrgId, webhook: WebhookId, sealed_secret: str, until: datetime, now: datetime
    ) -> str | None:
        previous: str | None = await self._pool.fetchval(
            """
            UPDATE webhooks SET secret_encrypted = $3,
                previous_encrypted = secret_encrypted, previous_until = $4,
                older_encrypted =
                    CASE WHEN previous_until > $5 THEN previous_encrypted ELSE older_encrypted END,
                older_until = CASE WHEN previous_until > $5 THEN previous_until ELSE older_until END
            WHERE org_id = $1 AND id = $2 RETURNING previous_encrypted
            """,
            *(org, webhook, sealed_secret, until, now),
        )
        return previous

    @refusing_deleted
    async def add_event(self, event: WebhookEvent) -> None:
        await self._pool.execute(ADD_EVENT, *msgspec.structs.astuple(event))

    async def errand(self, event: str, now: datetime) -> Errand | None:
        row = await self._pool.fetchrow(
            """
            SELECT e.id, e.webhook_id AS webhook, e.run_id AS run, e.type, e.body, e.created_at,
                   e.delivered_at IS NOT NULL AS delivered, w.url, w.enabled, w.secret_encrypted,
                   CASE WHEN w.previous_until > $2 THEN w.previous_encrypted END AS previous,
                   CASE WHEN w.older_until > $2 THEN w.older_encrypted END AS older,
                   (SELECT coalesce(max(d.attempt), 0) FROM webhook_deliveries d
                    WHERE d.webhook_id = w.id AND d.event_id = e.id) AS attempts
            FROM webhook_events e JOIN webhooks w ON w.id = e.webhook_id WHERE e.id = $1
            """,
            *(event, now),
        )
        if row is None:
            return None
        return Errand(
            event=WebhookEvent(**{name: row[name] for name in WebhookEvent.__struct_fields__}),
            url=row["url"],
            enabled=row["enabled"],
            secrets=[row[each] for each in ("secret_encrypted", "previous", "older") if row[each]],
            attempts=row["attempts"],
            delivered=row["delivered"],
        )

    async def event_of(self, org: OrgId, webhook: WebhookId, delivery: str) -> str | None:
        event: str | None = await self._pool.fetchval(
            """
            SELECT d.event_id FROM webhook_deliveries d JOIN webhooks w ON w.id = d.webhook_id
            WHERE w.org_id = $1 AND w.id = $2 AND d.id = $3
            """,
            *(org, webhook, delivery),
        )
        return event

    async def keep(self, webhook: WebhookId, delivery: Delivery) -> None:
        await self._pool.execute(
            """
            WITH there AS (SELECT id FROM webhooks WHERE id = $1 FOR KEY SHARE), delivered AS (
                UPDATE webhook_events SET delivered_at = $10
                WHERE id = $3 AND $5 = 'success' AND delivered_at IS NULL
            )
            INSERT INTO webhook_deliveries (webhook_id, id, event_id, event_type, status,
                status_code, latency, attempt, error, created_at)
            SELECT id, $2, $3, $4, $5, $6, $7, $8, $9, $10 FROM there
            """,
            *(webhook, *msgspec.structs.astuple(delivery)),
        )

    async def deliveries(self, org: OrgId, webhook: WebhookId, limit: int) -> list[Delivery]:
        rows = await self._pool.fetch(
            """
            SELECT d.id, d.event_id, d.event_type, d.status, d.status_code, d.latency, d.attempt,
                   d.error, d.created_at
            FROM webhook_deliveries d JOIN webhooks w ON w.id = d.webhook_id
            WHERE w.org_id = $1 AND w.id = $2 ORDER BY d.created_at DESC, d.id DESC LIMIT $3
            """,
            *(org, webhook, limit),
        )
        return [Delivery(**dict(row)) for row in rows]


async def tell_webhooks(connection: asyncpg.Connection, run: Run, now: datetime) -> bool:
    """Have the state of a run told to whoever wants to know, in the transaction that made it so.

    True when there are jobs to be taken once that has committed.
    """
    # Held, so that no event of a webhook that is being deleted makes the run's transaction fail.
    rows = await connection.fetch(
        """
        SELECT w.id, w.payload_mode, o.settings ->> 'api_version' AS api_version
        FROM webhooks w JOIN organizations o ON o.id = w.org_id
        WHERE w.org_id = $1 AND (w.application_id IS NULL OR w.application_id = $2)
              AND w.enabled AND $3 = ANY (w.events)
              AND (w.package_id IS NULL OR w.package_id = $4)
        FOR KEY SHARE OF w
        """,
        *(run.org_id, run.application_id, OF_STATUS[run.status], run.package_id),
    )
    for row in rows:
        event, version = new_event_id(), row["api_version"] or API_VERSION
        body = run_event(event, run, row["payload_mode"], now, version).decode()
        kind = OF_STATUS[run.status]
        await connection.execute(ADD_EVENT, *(event, row["id"], run.id, kind, body, now))
        job = NewJob(topic=DELIVERIES, payload={"event": event}, group=run.org_id)
        await enqueue(connection, job, now)
    return bool(rows)
