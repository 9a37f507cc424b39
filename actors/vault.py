"""Encryption at rest: AES-256-GCM in a text envelope that names its key.

`v1:<key id>:<base64 of nonce(12) + tag(16) + ciphertext>`. The active key seals; every known key
opens, so a key is rotated by making a new one active and keeping the old one for reading.
"""

import base64
import binascii
import secrets
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE, TAG = 12, 16


class VaultError(Exception):
    """A secret that cannot be opened with the keys at hand."""


class Vault:
    """Seals and opens secrets. `keys` maps ids to 32 bytes each; `active` is the id that seals."""

    def __init__(self, keys: Mapping[str, bytes], active: str) -> None:
        self._keys = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._active = active

    def seal(self, secret: str) -> str:
        """The envelope of a secret; never the same twice."""
        nonce = secrets.token_bytes(NONCE)
        sealed = self._keys[self._active].encrypt(nonce, secret.encode(), None)
        ciphertext, tag = sealed[:-TAG], sealed[-TAG:]
        return f"v1:{self._active}:{base64.b64encode(nonce + tag + ciphertext).decode()}"

    def open(self, envelope: str) -> str:
        """The secret in an envelope. Raises `VaultError` when no key fits or it was changed."""
        version, _, rest = envelope.partition(":")
        key_id, _, encoded = rest.partition(":")
        key = self._keys.get(key_id)
        if version != "v1" or key is None:
            raise VaultError(
                f"this secret was encrypted with the key {key_id!r}, which is neither "
                "CONNECTION_ENCRYPTION_KEY_ID nor in CONNECTION_ENCRYPTION_KEYS"
            )
        try:
            raw = base64.b64decode(encoded, validate=True)
            nonce, tag, ciphertext = raw[:NONCE], raw[NONCE : NONCE + TAG], raw[NONCE + TAG :]
            return key.decrypt(nonce, ciphertext + tag, None).decode()
        except (InvalidTag, binascii.Error, ValueError):
            raise VaultError(
                f"a secret does not open with the key {key_id!r}: CONNECTION_ENCRYPTION_KEY "
                "is not the one it was encrypted with"
            ) from None
