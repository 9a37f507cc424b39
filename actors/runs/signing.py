"""Signatures of a run's own requests, by the Standard Webhooks scheme.

`webhook-id`, `webhook-timestamp` (Unix seconds) and `webhook-signature: v1,<base64>`, an
HMAC-SHA256 over `id.timestamp.body`. The key is the secret's UTF-8 bytes as given.
"""

import base64
import hashlib
import hmac
import secrets

import msgspec

from actors.ids import RunId
from actors.runtime import Rejected
from actors.vault import Vault


class SignedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it came from a run: nothing in it is trusted before `verify`.

    `address` is the client's, for counting those that are signed by nobody.
    """

    run: RunId
    message_id: str
    timestamp: str
    signature: str
    body: bytes = b""
    address: str = ""


def sign(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    """The `webhook-signature` of a request."""
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    digest = hmac.digest(secret.encode(), signed, hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"


def verify(request: SignedRequest, secret: str, now: float, tolerance: float) -> None:
    """Refuse a request that this run did not sign, or more than `tolerance` seconds ago."""
    if not (request.message_id and request.timestamp and request.signature):
        raise Rejected(
            "webhook-id, webhook-timestamp and webhook-signature are required",
            code="missing_signature_headers",
        )
    try:
        at = int(request.timestamp[:20])
    except ValueError:
        raise Rejected("webhook-timestamp must be Unix seconds", code="invalid_timestamp") from None
    if abs(now - at) > tolerance:
        raise Rejected(
            f"webhook-timestamp is more than {tolerance:g} s from the server's clock",
            code="timestamp_out_of_tolerance",
        )
    expected = sign(secret, request.message_id, request.timestamp, request.body).encode()
    candidates = [s.encode() for s in request.signature.split(" ") if s.startswith("v1,")]
    matches = [hmac.compare_digest(expected, candidate) for candidate in candidates]
    if not any(matches):
        raise Rejected("the signature does not fit", code="invalid_signature")


class RunSecrets:
    """The two secrets of a run: the one it signs with, and the bearer token for its model calls.

    The first is random and kept sealed. The second, `<run id>.<hmac>`, is derived: the first of
    `token_keys` signs, every one verifies.
    """

    def __init__(self, vault: Vault, token_keys: tuple[str, ...]) -> None:
        self._vault = vault
        self._token_keys = token_keys

    def new(self) -> tuple[str, str]:
        """A new signing secret, as it is and sealed."""
        secret = secrets.token_urlsafe(32)
        return secret, self._vault.seal(secret)

    def open(self, sealed: str) -> str:
        """A signing secret from its seal."""
        return self._vault.open(sealed)

    def token(self, run: RunId) -> str:
        """The bearer token of a run."""
        return f"{run}.{_mac(self._token_keys[0], run)}"

    def egress_token(self, run: RunId) -> str:
        """The password of a run for the forward proxy; it opens nothing else."""
        return _mac(self._token_keys[0], f"egress {run}")

    def check_egress(self, run: RunId, token: str) -> None:
        """Refuse a password that is not this run's, with `unauthorized`."""
        expected = [_mac(key, f"egress {run}").encode() for key in self._token_keys]
        fits = [hmac.compare_digest(mac, token.encode()) for mac in expected]
        if not any(fits):
            raise Rejected("this is not the password of the run", code="unauthorized")

    def run_of(self, token: str) -> RunId:
        """The run a token belongs to; refuses with `unauthorized`."""
        run, _, mac = token.rpartition(".")
        keys = self._token_keys
        fits = [hmac.compare_digest(_mac(key, run).encode(), mac.encode()) for key in keys]
        if not any(fits):
            raise Rejected("this run token is not valid", code="unauthorized")
        return RunId(run)


def _mac(key: str, run: str) -> str:
    return hmac.new(key.encode(), run.encode(), hashlib.sha256).hexdigest()
