import base64
import secrets

import pytest

from actors.ids import RunId
from actors.runs.signing import RunSecrets, SignedRequest, sign, verify
from actors.runtime import Rejected
from actors.vault import Vault, VaultError

KEYS = {"k1": secrets.token_bytes(32), "k2": secrets.token_bytes(32)}


def test_a_secret_opens_with_the_key_that_sealed_it() -> None:
    vault = Vault(KEYS, "k2")
    envelope = vault.seal("sk-ünïque")

    assert envelope.startswith("v1:k2:")
    assert vault.open(envelope) == "sk-ünïque"
    assert vault.seal("sk-ünïque") != envelope


def test_a_retired_key_still_opens_and_a_forgotten_one_says_what_is_missing() -> None:
    envelope = Vault(KEYS, "k1").seal("old")

    assert Vault(KEYS, "k2").open(envelope) == "old"
    with pytest.raises(VaultError, match="CONNECTION_ENCRYPTION_KEYS"):
        Vault({"k2": KEYS["k2"]}, "k2").open(envelope)


@pytest.mark.parametrize("damage", ["flip", "cut", "junk", "other"])
def test_a_damaged_envelope_never_opens(damage: str) -> None:
    envelope = Vault(KEYS, "k1").seal("secret")
    head, encoded = envelope.rsplit(":", 1)
    raw = bytearray(base64.b64decode(encoded))
    raw[20] ^= 1
    damaged = {
        "flip": f"{head}:{base64.b64encode(raw).decode()}",
        "cut": envelope[:-12],
        "junk": f"{head}:not base64!",
        "other": f"v1:k2:{encoded}",
    }[damage]

    with pytest.raises(VaultError):
        Vault(KEYS, "k1").open(damaged)


def test_the_envelope_is_nonce_tag_and_ciphertext() -> None:
    """The layout other implementations of the contract read and write."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    raw = base64.b64decode(Vault(KEYS, "k1").seal("text").rsplit(":", 1)[1])
    opened = AESGCM(KEYS["k1"]).decrypt(raw[:12], raw[28:] + raw[12:28], None)

    assert opened == b"text"


def test_run_tokens_are_derived_and_rotate() -> None:
    vault = Vault(KEYS, "k1")
    old = RunSecrets(vault, ("a" * 16,))
    new = RunSecrets(vault, ("b" * 16, "a" * 16))
    run = RunId("run_1")

    assert new.run_of(old.token(run)) == run
    assert new.run_of(new.token(run)) == run
    for forged in (old.token(run)[:-1] + "x", "run_2." + old.token(run).split(".")[1], "", "."):
        with pytest.raises(Rejected):
            new.run_of(forged)
    secret, sealed = new.new()
    assert len(secret) == 43
    assert new.open(sealed) == secret


def test_a_signature_is_what_standard_webhooks_says() -> None:
    """HMAC-SHA256 over id.timestamp.body in base64, computed once with another program."""
    signature = sign("secret", "msg_1", "1700000000", b'{"a":1}')
    request = SignedRequest(
        run=RunId("r"),
        message_id="msg_1",
        timestamp="1700000000",
        signature=signature,
        body=b'{"a":1}',
    )

    assert signature == "v1,Q5nZ7DiOGwijBBqvBVAK6c0zDr2JLkXI7TaV4f+Q2vY="
    verify(request, "secret", now=1_700_000_300, tolerance=300)
    with pytest.raises(Rejected):
        verify(request, "secret", now=1_700_000_301, tolerance=300)
