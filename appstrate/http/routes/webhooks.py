"""Webhooks: who is told over HTTP what happens to runs."""

import msgspec

from actors.ids import ApplicationId, WebhookId
from actors.webhooks import (
    ChangeWebhook,
    CreateWebhook,
    DeleteWebhook,
    Delivery,
    ListDeliveries,
    ListWebhooks,
    NewWebhook,
    ReadWebhook,
    Redeliver,
    RotateSecret,
    Rotation,
    TestWebhook,
    Webhook,
    WebhookChanges,
    WebhookSpec,
    WebhookTest,
)
from appstrate.http.call import Call, Page, Query, Routes, Scope, number, page

routes = Routes()

PATH, ONE = "/api/webhooks", "/api/webhooks/{webhook}"
READ, WRITE, DELETE = "webhooks:read", "webhooks:write", "webhooks:delete"
ATTEMPT_SECONDS = 40.0
MOST_DELIVERIES = 100


class RotationBody(msgspec.Struct, kw_only=True, rename="camel"):
    """For how long the previous secret signs along."""

    window_seconds: int | None = None


@routes.add(
    "POST",
    PATH,
    Scope.ORGANIZATION,
    WRITE,
    body=WebhookSpec,
    status=201,
    limit=10,
    refuses={400: "blocked_url webhook_limit_reached", 404: "not_found"},
)
async def create_webhook(call: Call, body: WebhookSpec) -> NewWebhook:
    """Add a webhook of an application or of the whole organization; at most 20 of each.

    The secret that signs what it is told is in this answer and nowhere else.
    """
    return await call.at.webhooks.ask(CreateWebhook(caller=call.caller, spec=body))


@routes.add(
    "GET",
    PATH,
    Scope.ORGANIZATION,
    READ,
    query=(
        Query("applicationId", "Those of an application."),
        Query("all", "With `true` those of every application, too.", {"enum": ["true", "false"]}),
    ),
    refuses={404: "not_found"},
)
async def list_webhooks(call: Call) -> Page[Webhook]:
    """The webhooks of the organization as such, unless asked for others.

    With an API key: those of its application.
    """
    application = call.query("applicationId")
    listing = ListWebhooks(
        caller=call.caller,
        application=ApplicationId(application) if application else None,
        everything=call.choice("all", ("true", "false")) == "true",
    )
    return page(await call.at.webhooks.ask(listing))


@routes.add("GET", ONE, Scope.ORGANIZATION, READ)
async def read_webhook(call: Call) -> Webhook:
    """One webhook, without its secret."""
    return await call.at.webhooks.ask(ReadWebhook(caller=call.caller, webhook=_webhook(call)))


@routes.add(
    "PUT",
    ONE,
    Scope.ORGANIZATION,
    WRITE,
    body=WebhookChanges,
    refuses={400: "blocked_url"},
)
async def change_webhook(call: Call, body: WebhookChanges) -> Webhook:
    """Change what the body names; the level and the application stay."""
    message = ChangeWebhook(caller=call.caller, webhook=_webhook(call), changes=body)
    return await call.at.webhooks.ask(message)


@routes.add("DELETE", ONE, Scope.ORGANIZATION, DELETE, status=204)
async def delete_webhook(call: Call) -> None:
    """Delete a webhook with its deliveries; what it has not been told it will not be."""
    await call.at.webhooks.ask(DeleteWebhook(caller=call.caller, webhook=_webhook(call)))


@routes.add("POST", f"{ONE}/test", Scope.ORGANIZATION, WRITE, limit=5, audit=False)
async def test_webhook(call: Call) -> WebhookTest:
    """Deliver a sample event, signed, once; the answer is that event, and how it went.

    200 also when the receiver did not take it: see `delivery`.
    """
    message = TestWebhook(caller=call.caller, webhook=_webhook(call))
    return await call.at.webhooks.ask(message, within=ATTEMPT_SECONDS)


@routes.add("POST", f"{ONE}/rotate", Scope.ORGANIZATION, WRITE, body=RotationBody, limit=5)
async def rotate_secret(call: Call, body: RotationBody) -> Rotation:
    """Make a new secret. For a week, or `windowSeconds` (30 days at most), the previous one signs
    along; the one before it does until its own time is over, and no other.
    """
    message = RotateSecret(
        caller=call.caller, webhook=_webhook(call), window_seconds=body.window_seconds
    )
    return await call.at.webhooks.ask(message)


@routes.add(
    "GET",
    f"{ONE}/deliveries",
    Scope.ORGANIZATION,
    READ,
    query=(Query("limit", "How many.", number(MOST_DELIVERIES, 20)),),
)
async def list_deliveries(call: Call) -> Page[Delivery]:
    """The latest attempts to tell a webhook something, the last first."""
    limit = call.number("limit", 20, most=MOST_DELIVERIES)
    message = ListDeliveries(caller=call.caller, webhook=_webhook(call), limit=limit)
    return page(await call.at.webhooks.ask(message))


@routes.add(
    "POST",
    f"{ONE}/deliveries/{{delivery}}/redeliver",
    Scope.ORGANIZATION,
    WRITE,
    limit=20,
    audit=False,
    refuses={409: "conflict"},
)
async def redeliver(call: Call) -> Delivery:
    """Deliver what a delivery was about once more, at once; the answer is how it went.

    The receiver sees the same event id and body.
    """
    message = Redeliver(
        caller=call.caller,
        webhook=_webhook(call),
        delivery=call.request.match_info["delivery"],
    )
    return await call.at.webhooks.ask(message, within=ATTEMPT_SECONDS)


def _webhook(call: Call) -> WebhookId:
    return WebhookId(call.request.match_info["webhook"])
