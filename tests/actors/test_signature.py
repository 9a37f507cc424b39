import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from actors.packages.bundle import Bundle
from actors.packages.signature import (
    SIGNATURE_FILE,
    Policy,
    Trust,
    TrustedKey,
    judge,
    key_id,
    sign,
    verify,
)
from actors.runtime import Rejected

ROOT = "@acme/agent@1.0.0"
UNSIGNED = Bundle(root=ROOT, packages={ROOT: {"manifest.json": b"{}", "prompt.md": b"Do it."}})
KEYS = [Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in range(1, 4)]
SIGNER, PARENT, GRANDPARENT = KEYS


def name(key: Ed25519PrivateKey) -> str:
    return key_id(key.public_key().public_bytes_raw())


def public(key: Ed25519PrivateKey) -> str:
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def trusted(key: Ed25519PrivateKey) -> TrustedKey:
    return TrustedKey(key_id=name(key), public_key=public(key))


def link(key: Ed25519PrivateKey, parent: Ed25519PrivateKey) -> dict[str, Any]:
    signature = parent.sign(key.public_key().public_bytes_raw())
    return {
        "keyId": name(key),
        "publicKey": public(key),
        "signature": base64.b64encode(signature).decode(),
        "parentKeyId": name(parent),
    }


def with_signature(content: bytes) -> Bundle:
    files = {**UNSIGNED.packages[ROOT], SIGNATURE_FILE: content}
    return replace(UNSIGNED, packages={ROOT: files})


def signed(**changes: Any) -> Bundle:
    document = json.loads(sign(UNSIGNED, SIGNER.private_bytes_raw()))
    return with_signature(json.dumps(document | changes).encode())


def test_a_signature_by_a_trusted_key_holds() -> None:
    assert verify(signed(), [trusted(SIGNER)]) is None


def test_a_chain_leads_to_a_trusted_key() -> None:
    one = signed(chain=[link(SIGNER, PARENT)])
    two = signed(chain=[link(SIGNER, PARENT), link(PARENT, GRANDPARENT)])

    assert verify(one, [trusted(PARENT)]) is None
    assert verify(two, [trusted(GRANDPARENT)]) is None


def test_changed_content_is_noticed() -> None:
    bundle = signed()
    files = {**bundle.packages[ROOT], "prompt.md": b"Do something else."}

    failure = verify(replace(bundle, packages={ROOT: files}), [trusted(SIGNER)])

    assert failure == "signature_invalid"


@pytest.mark.parametrize(
    ("bundle", "failure"),
    [
        (signed(), "chain_missing"),
        (signed(chain=[link(SIGNER, GRANDPARENT)]), "chain_untrusted"),
        (signed(chain=[link(SIGNER, SIGNER)]), "chain_invalid"),
        (signed(chain=[link(SIGNER, GRANDPARENT), link(GRANDPARENT, SIGNER)]), "chain_invalid"),
        (
            signed(chain=[link(SIGNER, GRANDPARENT) | {"parentKeyId": name(PARENT)}]),
            "chain_invalid",
        ),
        (signed(alg="rsa", keyId=None), "alg_unsupported"),
        (signed(signature="AAAA"), "malformed"),
        (with_signature(b"no JSON"), "malformed"),
        (UNSIGNED, "unsigned_required"),
    ],
)
def test_why_a_signature_does_not_hold(bundle: Bundle, failure: str) -> None:
    assert verify(bundle, [trusted(PARENT)]) == failure


@pytest.mark.parametrize(("policy", "warnings"), [("off", 0), ("warn", 1)])
def test_unsigned_bundles_pass_without_or_with_a_warning(policy: Policy, warnings: int) -> None:
    assert len(judge(UNSIGNED, Trust(policy=policy))) == warnings


def test_unsigned_bundles_are_refused_where_signatures_are_required() -> None:
    with pytest.raises(Rejected) as caught:
        judge(UNSIGNED, Trust(policy="required"))

    assert caught.value.code == "bundle_signature_invalid"
    assert caught.value.problems[0].code == "unsigned_required"
