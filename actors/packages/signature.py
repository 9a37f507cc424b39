"""Signatures of packages and bundles: Ed25519 (RFC 8032), detached, in the root's `signature.sig`.

What is signed is the identity of the root and the integrity of the bundle as if `signature.sig`
were not there. A key is trusted because the operator lists it, or because a chain of signatures
leads from it to one that is listed.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from actors.documents import decode_json
from actors.packages.bundle import Bundle
from actors.runtime import FieldProblem, Rejected

SIGNATURE_FILE = "signature.sig"
KEY_BYTES = 32
SIGNATURE_BYTES = 64

Policy: TypeAlias = Literal["off", "warn", "required"]
Failure: TypeAlias = Literal[
    "malformed",
    "alg_unsupported",
    "chain_missing",
    "chain_untrusted",
    "chain_invalid",
    "signature_invalid",
    "unsigned_required",
]


class TrustedKey(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A public key the operator trusts: 32 raw bytes in base64."""

    key_id: str
    public_key: str
    comment: str | None = None


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """How signatures are judged, and by which keys."""

    policy: Policy = "off"
    keys: tuple[TrustedKey, ...] = ()


class Link(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A key of a chain, signed by its parent over its 32 raw bytes."""

    key_id: str
    public_key: str
    signature: str
    parent_key_id: str | None = None


class Signature(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The content of `signature.sig`."""

    alg: str
    key_id: str
    signature: str
    chain: list[Link] = msgspec.field(default_factory=list[Link])


def judge(bundle: Bundle, trust: Trust) -> list[str]:
    """The warnings of a bundle's signature under the operator's policy.

    Refuses with `bundle_signature_invalid` when the policy is `required` and the signature is
    missing or wrong; a signature that is there and wrong is a warning under `warn`.
    """
    if trust.policy == "off":
        return []
    failure = verify(bundle, trust.keys)
    if failure is None:
        return []
    told = _SENTENCES[failure].format(root=bundle.root)
    if trust.policy == "warn":
        return [f"{told} ({failure})"]
    problem = FieldProblem(field=SIGNATURE_FILE, code=failure, message=told)
    raise Rejected(told, code="bundle_signature_invalid", problems=[problem])


def verify(bundle: Bundle, trusted: Sequence[TrustedKey]) -> Failure | None:
    """Why the signature of a bundle does not hold; None when it does."""
    content = bundle.packages[bundle.root].get(SIGNATURE_FILE)
    if content is None:
        return "unsigned_required"
    signature = _read(content)
    if signature is None:
        return "malformed"
    if signature.alg != "ed25519":
        return "alg_unsupported"
    raw = _bytes(signature.signature, SIGNATURE_BYTES)
    if raw is None:
        return "malformed"
    key = _trusted_key(signature, {each.key_id: each.public_key for each in trusted})
    if not isinstance(key, bytes):
        return key
    return None if _fits(key, raw, signed_bytes(bundle)) else "signature_invalid"


def sign(bundle: Bundle, private_key: bytes) -> bytes:
    """A `signature.sig` for a bundle, by a private key of 32 raw bytes."""
    key = Ed25519PrivateKey.from_private_bytes(private_key)
    signature = key.sign(signed_bytes(bundle))
    document = {
        "alg": "ed25519",
        "keyId": key_id(key.public_key().public_bytes_raw()),
        "signature": base64.b64encode(signature).decode(),
    }
    return json.dumps(document, indent=2).encode()


def key_id(public_key: bytes) -> str:
    """The usual name of a key: the first 16 hex digits of its SHA-256."""
    return hashlib.sha256(public_key).hexdigest()[:16]


def signed_bytes(bundle: Bundle) -> bytes:
    """What a signature covers: compact JSON in just this order."""
    document = {
        "bundleFormatVersion": "1.0",
        "root": bundle.root,
        "integrity": bundle.without(SIGNATURE_FILE).integrity,
    }
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def public_key_problem(key: TrustedKey) -> str | None:
    """Why a trusted key cannot be used."""
    fits = _bytes(key.public_key, KEY_BYTES) is not None
    return None if fits else f"the key {key.key_id} is not {KEY_BYTES} bytes in base64"


def _trusted_key(signature: Signature, trusted: Mapping[str, str]) -> bytes | Failure:
    """The signing key, if it is trusted itself or its chain leads to one that is."""
    if signature.key_id in trusted:
        return _bytes(trusted[signature.key_id], KEY_BYTES) or "chain_invalid"
    if not signature.chain:
        return "chain_missing"
    links = {link.key_id: link for link in signature.chain}
    current, seen = signature.key_id, set[str]()
    while current not in trusted:
        link = links.get(current)
        if link is None:
            return "chain_untrusted"
        if current in seen:
            return "chain_invalid"
        seen.add(current)
        if link.parent_key_id is None:
            return "chain_untrusted"
        parent = trusted.get(link.parent_key_id)
        if parent is None and link.parent_key_id in links:
            parent = links[link.parent_key_id].public_key
        if parent is None:
            return "chain_untrusted"
        if not _signed_by(parent, link):
            return "chain_invalid"
        current = link.parent_key_id
    return _bytes(links[signature.key_id].public_key, KEY_BYTES) or "chain_invalid"


def _signed_by(parent: str, link: Link) -> bool:
    key, child = _bytes(parent, KEY_BYTES), _bytes(link.public_key, KEY_BYTES)
    signature = _bytes(link.signature, SIGNATURE_BYTES)
    return bool(key and child and signature) and _fits(key or b"", signature or b"", child or b"")


def _fits(key: bytes, signature: bytes, content: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, content)
    except (InvalidSignature, ValueError):
        return False
    return True


def _read(content: bytes) -> Signature | None:
    try:
        document: Any = decode_json(content)
        # What cannot be judged is not looked at: other algorithms have other members.
        if isinstance(document, dict) and document.get("alg") not in (None, "ed25519"):  # pyright: ignore[reportUnknownMemberType] - JSON
            return Signature(alg="other", key_id="", signature="")
        return msgspec.convert(document, Signature)
    except msgspec.DecodeError:
        return None


def _bytes(text: str, size: int) -> bytes | None:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if len(raw) == size else None


_SENTENCES: dict[Failure, str] = {
    "malformed": "the signature of {root} cannot be read",
    "alg_unsupported": "the signature of {root} uses another algorithm than ed25519",
    "chain_missing": "{root} is signed by a key that AFPS_TRUST_ROOT does not list",
    "chain_untrusted": "the keys that vouch for the signature of {root} lead to none that "
    "AFPS_TRUST_ROOT lists",
    "chain_invalid": "the keys that vouch for the signature of {root} do not vouch for each other",
    "signature_invalid": "the signature of {root} does not fit its content",
    "unsigned_required": "{root} is not signed",
}
