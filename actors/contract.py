"""How the contract spells the names of fields.

JSON is snake_case, but a fixed family of fields is camelCase everywhere: every `…_id`, a few
times, and what the model registry knows. The spelling is a property of the structs that travel to
clients, so it is stated once, here, and applied by msgspec while it encodes.
"""

from functools import cache
from typing import Any

import msgspec

API_VERSION = "2026-03-21"
"""The version of the API that is spoken, by requests and by webhooks."""

CAMEL_CASE = frozenset(
    {
        *("created_at", "updated_at", "expires_at", "last_used_at", "revoked_at", "joined_at"),
        *("run_number", "run_origin", "context_snapshot", "is_default", "display_name"),
        *("has_more", "key_prefix", "url_prefix", "email_verified", "ip_address", "user_agent"),
        *("context_window", "max_tokens", "api_shape", "base_url", "icon_url", "auth_mode"),
        *("provider_name", "default_base_url", "base_url_overridable", "docs_url"),
        *("base_url_override", "api_key"),
    }
)


def spell(name: str) -> str:
    """The contract's spelling of a field; a struct overrides it with `field(name=…)`."""
    if name in CAMEL_CASE or name.endswith("_id"):
        head, *tail = name.split("_")
        return head + "".join(part.capitalize() for part in tail)
    return name


class Resource(msgspec.Struct, frozen=True, kw_only=True, rename=spell):
    """Something a client reads. Subclasses repeat `frozen=True, kw_only=True, rename=spell`."""


def pick(struct: type[Any], row: Any) -> dict[str, Any]:
    """The fields of `struct` that a database row has, by their Python names."""
    kind: Any = struct
    wanted = _fields(kind)
    return {name: value for name, value in row.items() if name in wanted}


@cache
def _fields(struct: type[Any]) -> frozenset[str]:
    return frozenset(struct.__struct_fields__)
