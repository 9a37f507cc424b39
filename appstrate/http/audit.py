"""Writes administrative changes down, once they have succeeded."""

from typing import Any

import msgspec
import structlog

from actors.accounts import Caller, Organization
from actors.audit import AuditEntry, RecordChange
from actors.runtime import AskError, Refusal
from appstrate.http.call import Call
from appstrate.http.client import client_address

log = structlog.get_logger("audit")

# What of a body is told. Whatever is not named here may be a secret.
TOLD = frozenset(
    {
        *("name", "displayName", "label", "email", "role", "slug", "scopes", "expiresAt"),
        *("enabled", "version", "version_id", "reason", "packageId", "skillIds", "timezone"),
        *("cron_expression", "overlap_policy", "misfire_policy", "api_version", "locked_fields"),
        *("modelId", "modelIds", "credentialId", "providerId", "aliased", "proxyId"),
        *("settings", "lock_version"),
    }
)
LONGEST = 200
MOST = 50


async def note(call: Call, body: Any, answer: Any) -> None:
    """Write down what was changed. That this fails is logged, and changes nothing."""
    caller = call.acting or (call.authentication.caller if call.authentication else None)
    if caller is None:
        return
    org = caller.org
    if org is None and isinstance(answer, Organization):
        org = answer.id
    entry = AuditEntry(
        org_id=org,
        application_id=caller.application,
        actor_type="user" if caller.api_key is None else "api_key",
        actor_id=caller.api_key or caller.user,
        action=call.route.handler.__name__,
        resource_type=_resource(call),
        resource_id=_resource_id(call, caller, answer),
        after=_told(body),
        ip=client_address(call.request),
        user_agent=(call.request.headers.get("User-Agent") or "")[:LONGEST] or None,
        request_id=call.request_id,
    )
    try:
        await call.at.audit.ask(RecordChange(entry=entry))
    except (Refusal, AskError) as problem:
        log.warning("a change was not written down", action=entry.action, why=str(problem))


def _resource(call: Call) -> str:
    return (call.route.permission or "platform").partition(":")[0]


def _resource_id(call: Call, caller: Caller, answer: Any) -> str | None:
    """The package in the path with its version, else what the answer is, else the path's last."""
    named = call.request.match_info
    if "scope" in named and "name" in named:
        version = f"@{named['version']}" if "version" in named else ""
        return f"{call.package}{version}"
    for field in ("id", "package_id"):
        found = getattr(answer, field, None)
        if isinstance(found, str):
            return found
    others = [value for name, value in named.items() if name not in ("org", "token")]
    return others[-1] if others else caller.org


def _told(body: Any) -> dict[str, Any]:
    """The fields of a body that were sent and are no secrets."""
    if not isinstance(body, msgspec.Struct):
        return {}
    given: dict[str, Any] = msgspec.to_builtins(body)
    told = {name: _short(value) for name, value in given.items() if name in TOLD}
    return {name: value for name, value in told.items() if value is not None}


def _short(value: Any) -> Any:
    if isinstance(value, str):
        return value[:LONGEST]
    if isinstance(value, list):
        return [_short(each) for each in value[:MOST]]
    return value
