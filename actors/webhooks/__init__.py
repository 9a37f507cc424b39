"""Telling others over HTTP what happens to runs. Port Webhooks."""

from actors.webhooks.envelope import OF_STATUS as OF_STATUS
from actors.webhooks.envelope import EventType as EventType
from actors.webhooks.envelope import PayloadMode as PayloadMode
from actors.webhooks.envelope import run_event as run_event
from actors.webhooks.records import Delivery as Delivery
from actors.webhooks.records import Errand as Errand
from actors.webhooks.records import NewWebhook as NewWebhook
from actors.webhooks.records import Rotation as Rotation
from actors.webhooks.records import Webhook as Webhook
from actors.webhooks.records import WebhookChanges as WebhookChanges
from actors.webhooks.records import WebhookEvent as WebhookEvent
from actors.webhooks.records import WebhookRecords as WebhookRecords
from actors.webhooks.records import WebhookSpec as WebhookSpec
from actors.webhooks.sender import Sender as Sender
from actors.webhooks.sender import Sent as Sent
from actors.webhooks.webhooks import ChangeWebhook as ChangeWebhook
from actors.webhooks.webhooks import CreateWebhook as CreateWebhook
from actors.webhooks.webhooks import DeleteWebhook as DeleteWebhook
from actors.webhooks.webhooks import ListDeliveries as ListDeliveries
from actors.webhooks.webhooks import ListWebhooks as ListWebhooks
from actors.webhooks.webhooks import ReadWebhook as ReadWebhook
from actors.webhooks.webhooks import Redeliver as Redeliver
from actors.webhooks.webhooks import RotateSecret as RotateSecret
from actors.webhooks.webhooks import TestWebhook as TestWebhook
from actors.webhooks.webhooks import Webhooks as Webhooks
from actors.webhooks.webhooks import WebhookTest as WebhookTest
