"""The secrets of the server: given, or made once in development and kept beside its data."""

import base64
import binascii
import json
import os
import re
import secrets
from pathlib import Path
from typing import Literal

import msgspec

from appstrate.environment import Reader

KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")

SHORTEST_SECRET = 16
SecretName = Literal[
    "AUTH_SECRET", "RUN_TOKEN_SECRET", "UPLOAD_SIGNING_SECRET", "CONNECTION_ENCRYPTION_KEY"
]
KEYRINGS: tuple[SecretName, ...] = ("RUN_TOKEN_SECRET", "UPLOAD_SIGNING_SECRET")
SECRETS: tuple[SecretName, ...] = ("AUTH_SECRET", *KEYRINGS, "CONNECTION_ENCRYPTION_KEY")


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """Every secret of the server. In each tuple the first signs and all verify."""

    auth: tuple[str, ...]
    run_tokens: tuple[str, ...]
    uploads: tuple[str, ...]
    encryption: dict[str, bytes]
    encryption_active: str


def read_keys(
    read: Reader, data_dir: Path, *, required: bool, make: bool = True
) -> tuple[Keys, tuple[str, ...]]:
    """The keys, and the names of those that were made just now.

    When they are `required`, missing ones are problems; else they are looked for beside the data,
    and made, unless the environment has problems anyway or they must not be.
    """
    given: dict[str, str] = {}
    for name in SECRETS:
        old = "BETTER_AUTH_SECRET" if name == "AUTH_SECRET" else name
        value = read.variables.get(name) or read.variables.get(old)
        if value is not None:
            given[name] = value
        elif required:
            read.problem(
                old, "is required in production (32 random bytes: openssl rand -base64 32)"
            )
    missing = [name for name in SECRETS if name not in given]
    generated: tuple[str, ...] = ()
    if missing and not required and not read.problems:
        try:
            kept, generated = _kept_secrets(data_dir, missing, make=make)
        except (OSError, ValueError) as error:
            read.problem("DATA_DIR", str(error))
        else:
            given |= kept
    active = read.matching("CONNECTION_ENCRYPTION_KEY_ID", KEY_ID) or "k1"
    encryption = _retired(read, "CONNECTION_ENCRYPTION_KEYS")
    if "CONNECTION_ENCRYPTION_KEY" in given:
        key = _key(read, "CONNECTION_ENCRYPTION_KEY", given["CONNECTION_ENCRYPTION_KEY"])
        if encryption.setdefault(active, key) != key:
            read.problem(
                "CONNECTION_ENCRYPTION_KEYS",
                f"has another key by the name of the new one, {active}: give that a name of its "
                "own, by CONNECTION_ENCRYPTION_KEY_ID",
            )
    retired_auth = read.strict("BETTER_AUTH_SECRETS", dict[str, str])
    keys = Keys(
        auth=(given.get("AUTH_SECRET", ""), *retired_auth.values()),
        run_tokens=_ring(given.get("RUN_TOKEN_SECRET", "")),
        uploads=_ring(given.get("UPLOAD_SIGNING_SECRET", "")),
        encryption=encryption,
        encryption_active=active,
    )
    if 0 < len(given.get("AUTH_SECRET", "")) < SHORTEST_SECRET:
        spelled = "AUTH_SECRET" if "AUTH_SECRET" in read.variables else "BETTER_AUTH_SECRET"
        read.problem(spelled, f"needs at least {SHORTEST_SECRET} characters")
    for name in KEYRINGS:
        ring = _ring(given[name]) if name in given else ()
        if any(len(key) < SHORTEST_SECRET for key in ring):
            read.problem(name, f"each key needs at least {SHORTEST_SECRET} characters")
    return keys, generated


def _ring(text: str) -> tuple[str, ...]:
    return tuple(key.strip() for key in text.split(","))


def _retired(read: Reader, name: str) -> dict[str, bytes]:
    given = read.strict(name, dict[str, str])
    return {key_id: _key(read, name, value) for key_id, value in given.items()}


def _key(read: Reader, name: str, text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 32:
        read.problem(name, "must be the base64 of exactly 32 bytes")
    return key


def _kept_secrets(
    data_dir: Path, names: list[SecretName], *, make: bool
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Secrets of a development server: made once, kept privately beside its data.

    Raises `OSError` or `ValueError` when they cannot be read or kept.
    """
    path = data_dir / "secrets.json"
    kept = _read_secrets(path) if path.exists() else {}
    fresh = tuple(name for name in names if name not in kept)
    if fresh and not make:
        raise ValueError(
            f"no server of yours has its data in {data_dir}: {path.name} there lacks "
            f"{', '.join(fresh)}; run this in the server's folder and environment"
        )
    if fresh:
        kept |= {name: base64.b64encode(secrets.token_bytes(32)).decode() for name in fresh}
        data_dir.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".unfinished")
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(kept, file, indent=2)
        unfinished.replace(path)
    return {name: kept[name] for name in names}, fresh


def _read_secrets(path: Path) -> dict[str, str]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ValueError(
            f"{path} is damaged: bring it back from a backup. Deleting it makes new secrets, and "
            "what was encrypted with the old ones is lost"
        ) from None
