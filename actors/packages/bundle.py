"""Writing the bundle a run downloads: the agent and its skills, in one archive.

The format is `.afps-bundle`: `bundle.json`, and under `packages/@scope/name/version/` the files
of each package with a RECORD of their digests.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from actors.packages.archive import write_archive
from actors.packages.content import integrity_of


def write_bundle(root: str, packages: Mapping[str, Mapping[str, bytes]]) -> bytes:
    """A bundle of `packages` (identity `@scope/name@version` → path → content)."""
    files: dict[str, bytes] = {}
    index: dict[str, dict[str, str]] = {}
    for identity, content in packages.items():
        name, _, version = identity.rpartition("@")
        folder = f"packages/{name}/{version}/"
        record = write_record(content)
        index[identity] = {"path": folder, "integrity": integrity_of(record)}
        files[f"{folder}RECORD"] = record
        files |= {f"{folder}{path}": body for path, body in content.items()}
    bundle = {
        "bundleFormatVersion": "1.0",
        "root": root,
        "packages": index,
        "integrity": integrity_of(canonical_json(index)),
    }
    files["bundle.json"] = canonical_json(bundle)
    return write_archive(files, store=True)


def write_record(files: Mapping[str, bytes]) -> bytes:
    """One `path,sha256=<unpadded base64>,<size>` line per file, sorted as JavaScript sorts."""
    lines: list[str] = []
    for path in sorted(files, key=_utf16):
        digest = base64.b64encode(hashlib.sha256(files[path]).digest()).decode().rstrip("=")
        lines.append(f"{path},sha256={digest},{len(files[path])}\n")
    return "".join(lines).encode()


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys and no spaces."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def _utf16(text: str) -> bytes:
    return text.encode("utf-16-be", "surrogatepass")
