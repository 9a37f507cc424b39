"""The tools of an integration, by name: its server's, and the ones that are made for its APIs."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

API_CALL = "api_call"
API_UPLOAD = "api_upload"
LONGEST_TOKEN = 17
FNV_OFFSET = 0xCBF29CE484222325
FNV_PRIME = 0x100000001B3


def tool_catalog(manifest: Mapping[str, Any], server: Sequence[str] | None = None) -> list[str]:
    """The tools that agents may select, in order.

    `server` has the tools of the integration's own server, where they are known; else those that
    `tools_policy` names count. A made tool takes the place of a server's tool of the same name;
    hidden tools and those that connecting uses are left out.
    """
    native = list(manifest.get("tools_policy", {})) if server is None else list(server)
    made = list(_api_tools(manifest))
    taken = {_normal(name) for name in made}
    names = [name for name in native if _normal(name) not in taken] + made
    hidden = set(manifest.get("hidden_tools", [])) | set(_connecting(manifest))
    hidden |= {name.replace(API_CALL, API_UPLOAD, 1) for name in hidden & set(made)}
    return [name for name in names if name not in hidden]


def _api_tools(manifest: Mapping[str, Any]) -> Iterator[str]:
    """`api_call` for the one auth that asks for it, one for each when there are several."""
    auths = manifest.get("_meta", {}).get("dev.appstrate/api", {}).get("auths", {})
    for key, wish in auths.items():
        suffix = "" if len(auths) == 1 else f"__{_token(key)}"
        yield API_CALL + suffix
        if wish.get("upload_protocols"):
            yield API_UPLOAD + suffix


def _connecting(manifest: Mapping[str, Any]) -> Iterator[str]:
    for auth in manifest.get("auths", {}).values():
        tool = auth.get("connect", {}).get("tool", {})
        if "name" in tool:
            yield str(tool["name"])


def _token(auth_key: str) -> str:
    if len(auth_key) <= LONGEST_TOKEN:
        return auth_key
    digest = FNV_OFFSET  # FNV-1a, 64 bits
    for byte in auth_key.encode():
        digest = (digest ^ byte) * FNV_PRIME % 2**64
    return f"h0{digest:016x}"


def _normal(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower())
