"""Signatures of webhooks, as Standard Webhooks has them. Pure, but for new secrets."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime

PREFIX = "whsec_"
SECRET_BYTES = 33
"""A multiple of three, so that the encoding has no padding to lose."""


def new_secret() -> str:
    """`whsec_` and random bytes, spelled the same in base64 and in base64url.

    Receivers decode either; a secret without `-` and `_` is right for both.
    """
    while True:
        encoded = base64.urlsafe_b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
        if encoded.isalnum():
            return PREFIX + encoded


def key_of(secret: str) -> bytes:
    """The bytes a secret stands for."""
    encoded = secret.removeprefix(PREFIX)
    return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))


def sign(secret: str, event: str, timestamp: int, body: bytes) -> str:
    """`v1,` and the HMAC-SHA256 of `id.timestamp.body`, in base64."""
    signed = f"{event}.{timestamp}.".encode() + body
    digest = hmac.digest(key_of(secret), signed, hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"


def signed_headers(
    secrets_: Sequence[str], event: str, body: bytes, *, attempt: int, now: datetime
) -> dict[str, str]:
    """The headers of a delivery, signed with each of the secrets, the newest first."""
    timestamp = int(now.timestamp())
    return {
        "Content-Type": "application/json",
        "webhook-id": event,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(sign(each, event, timestamp, body) for each in secrets_),
        "webhook-attempt": str(attempt),
    }
