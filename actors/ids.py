"""Identifiers as the contract spells them, and how new ones are made."""

import secrets
import string
from typing import NewType
from uuid import uuid4

OrgId = NewType("OrgId", str)
ApplicationId = NewType("ApplicationId", str)
UserId = NewType("UserId", str)
EndUserId = NewType("EndUserId", str)
ApiKeyId = NewType("ApiKeyId", str)
CredentialId = NewType("CredentialId", str)
ModelId = NewType("ModelId", str)
PackageId = NewType("PackageId", str)
RunId = NewType("RunId", str)
ScheduleId = NewType("ScheduleId", str)
InstanceId = NewType("InstanceId", str)
WebhookId = NewType("WebhookId", str)
NotificationId = NewType("NotificationId", str)
UploadId = NewType("UploadId", str)
DocumentId = NewType("DocumentId", str)

_ALPHANUMERIC = string.ascii_letters + string.digits


def new_uuid() -> str:
    """A plain UUID, as organizations, models, credentials and API key rows have."""
    return str(uuid4())


def new_application_id() -> ApplicationId:
    """`app_` and a UUID."""
    return ApplicationId(f"app_{uuid4()}")


def new_run_id() -> RunId:
    """`run_` and a UUID."""
    return RunId(f"run_{uuid4()}")


def new_schedule_id() -> ScheduleId:
    """`sched_` and a UUID."""
    return ScheduleId(f"sched_{uuid4()}")


def new_end_user_id() -> EndUserId:
    """`eu_` and a UUID."""
    return EndUserId(f"eu_{uuid4()}")


def new_webhook_id() -> WebhookId:
    """`wh_` and a UUID."""
    return WebhookId(f"wh_{uuid4()}")


def new_event_id() -> str:
    """`evt_` and a UUID, as what webhooks are told has."""
    return f"evt_{uuid4()}"


def new_upload_id() -> UploadId:
    """`upl_` and a UUID."""
    return UploadId(f"upl_{uuid4()}")


def new_document_id() -> DocumentId:
    """`doc_` and a UUID."""
    return DocumentId(f"doc_{uuid4()}")


def new_user_id() -> UserId:
    """32 letters and digits, opaque."""
    return UserId("".join(secrets.choice(_ALPHANUMERIC) for _ in range(32)))
