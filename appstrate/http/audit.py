"""Writes administrative changes down, once they have succeeded."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import msgspec
import structlog

from actors.accounts import Caller, Organization
from actors.audit import AuditEntry, RecordChange
from actors.runtime import AskError, Refusal
from appstrate.http.call import Call, Page, Route
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
IDS = ("id", "user_id", "package_id")


def route_that_shows(changing: Route, routes: Mapping[str, Route]) -> Route | None:
    """The route that reads what another one changes: of its path, or of what that lies in.

    `routes` are those that answer GET with a struct, by their path.
    """
    if not changing.is_audited or changing.method not in ("PUT", "PATCH", "DELETE"):
        return None
    paths, path = [changing.path], changing.path
    if path.endswith("}"):  # one of several: a list of them, or what has that list
        paths += [path.rsplit("/", 1)[0], path.rsplit("/", 2)[0]]
    found = next((routes[each] for each in paths if each in routes), None)
    return found if found is not None and found.scope is changing.scope else None


async def as_it_was(call: Call, shown_by: Route) -> Any:
    """What a call is about to change; None when it cannot be read."""
    try:
        answer = await shown_by.handler(replace(call, route=shown_by, headers={}))
    except (Refusal, AskError):  # the change itself says why, if it fails too
        return None
    if shown_by.path == call.route.path:
        return answer
    wanted = list(call.request.match_info.values())[-1:]
    return next((each for each in _parts(answer) if _ids(each) & set(wanted)), None)


async def note(call: Call, body: Any, answer: Any, was: Any = None) -> None:
    """Write down what was changed. That this fails is logged, and changes nothing."""
    caller = call.acting or (call.authentication.caller if call.authentication else None)
    if caller is None:
        return
    org = caller.org
    if org is None and isinstance(answer, Organization):
        org = answer.id
    before, after = _told(was), _told(body)
    if body is not None:
        before = {name: value for name, value in before.items() if name in after}
    resource = _resource_id(call, caller, answer)
    entry = AuditEntry(
        org_id=org,
        application_id=caller.application,
        actor_type="user" if caller.api_key is None else "api_key",
        actor_id=caller.api_key or caller.user,
        action=call.route.handler.__name__,
        resource_type=_resource(call),
        resource_id=resource,
        before=before or None,
        after=_place(call, resource or "") | after,
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
    """What was made, the package in the path with its version, what the answer is, else the path's
    last.
    """
    named, made = call.request.match_info, call.route.status == 201
    if made and isinstance(found := getattr(answer, "id", None), str):
        return found
    if "scope" in named and "name" in named:
        version = named.get("version") or (getattr(answer, "version", None) if made else None)
        return f"{call.package}@{version}" if version else call.package
    for field in ("id", "package_id"):
        found = getattr(answer, field, None)
        if isinstance(found, str):
            return found
    others = [value for name, value in named.items() if name not in ("org", "token")]
    return others[-1] if others else caller.org


def _place(call: Call, resource: str) -> dict[str, str]:
    """What the path names and `resource` does not tell: a tag, a note, the package of a fork."""
    named = {n: v for n, v in call.request.match_info.items() if n not in ("org", "token")}
    if named.pop("scope", None) and named.pop("name", None):
        named["package"] = call.package
    told = {resource, *resource.rpartition("@")[::2]}
    return {name: value for name, value in named.items() if value not in told}


def _parts(answer: Any) -> Iterable[Any]:
    """The structs in the lists of an answer."""
    if isinstance(answer, msgspec.Struct):
        for name in answer.__struct_fields__:
            if isinstance(value := getattr(answer, name), list):
                yield from value


def _ids(thing: Any) -> set[str]:
    return {value for name in IDS if isinstance(value := getattr(thing, name, None), str)}


def _told(thing: Any) -> dict[str, Any]:
    """The fields of a body, or of what it changes, that are set and are no secrets."""
    if not isinstance(thing, msgspec.Struct) or isinstance(thing, Page):
        return {}
    given: dict[str, Any] = msgspec.to_builtins(thing)
    told = {name: _short(value) for name, value in given.items() if name in TOLD}
    return {name: value for name, value in told.items() if value is not None}


def _short(value: Any) -> Any:
    if isinstance(value, str):
        return value[:LONGEST]
    if isinstance(value, list):
        return [_short(each) for each in value[:MOST]]
    return value
