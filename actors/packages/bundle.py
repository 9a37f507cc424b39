"""Writing the bundle a run downloads: the agent and its skills, in one archive.

The format is `.afps-bundle`: `bundle.json`, and under `packages/@scope/name/version/` the files
of each package with a RECORD of their digests.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import msgspec

from actors.packages.archive import write_archive
from actors.packages.content import integrity_of

Files = Mapping[str, bytes]


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """Packages that belong together: identity `@scope/name@version` → path → content.

    `folders` has the folder of each package in the archive they came in; the usual ones when it
    is empty. The integrity covers it.
    """

    root: str
    packages: Mapping[str, Files]
    folders: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])

    @property
    def integrity(self) -> str:
        """The digest of the bundle: of its index, which has the digest of each package."""
        return integrity_of(canonical_json(self.index()))

    def index(self) -> dict[str, dict[str, str]]:
        """Where each package lies, and its digest."""
        return {
            identity: {
                "path": self.folders.get(identity) or _folder(identity),
                "integrity": package_integrity(files),
            }
            for identity, files in self.packages.items()
        }

    def without(self, path: str) -> "Bundle":
        """This bundle as if a file of its root were not there."""
        files = {p: c for p, c in self.packages[self.root].items() if p != path}
        return msgspec.structs.replace(self, packages={**self.packages, self.root: files})


def package_integrity(files: Files) -> str:
    """The digest of a package by its files, whatever archive they came in."""
    return integrity_of(write_record(files))


def write_bundle(root: str, packages: Mapping[str, Files]) -> bytes:
    """The archive of a bundle; the same packages give the same bytes."""
    bundle = Bundle(root=root, packages=packages)
    files: dict[str, bytes] = {}
    index = bundle.index()
    for identity, content in packages.items():
        folder = index[identity]["path"]
        files[f"{folder}RECORD"] = write_record(content)
        files |= {f"{folder}{path}": body for path, body in content.items()}
    document = {
        "bundleFormatVersion": "1.0",
        "root": root,
        "packages": index,
        "integrity": integrity_of(canonical_json(index)),
    }
    files["bundle.json"] = canonical_json(document)
    return write_archive(files, store=True)


def write_record(files: Files) -> bytes:
    """One `path,sha256=<unpadded base64>,<size>` line per file, sorted as JavaScript sorts."""
    lines: list[str] = []
    for path in sorted(files, key=_utf16):
        digest = base64.b64encode(hashlib.sha256(files[path]).digest()).decode().rstrip("=")
        lines.append(f"{path},sha256={digest},{len(files[path])}\n")
    return "".join(lines).encode()


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys and no spaces. Keys here are ASCII, which every order sorts alike."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def _utf16(text: str) -> bytes:
    return text.encode("utf-16-be", "surrogatepass")


def _folder(identity: str) -> str:
    name, _, version = identity.rpartition("@")
    return f"packages/{name}/{version}/"
