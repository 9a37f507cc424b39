"""Which refusals each route may answer with: those that follow from what it is, and its own."""

import re
from collections.abc import Iterator

from appstrate.http.call import Route, Scope
from appstrate.http.idempotency import refuses_keys, takes_keys

VARIABLE = re.compile(r"\{\w+")
# What the contract calls things that are not there, by the beginning of a path.
MISSING = {
    "/api/orgs/{org}": "org_not_found",
    "/api/agents/{scope}/{name}": "agent_not_found agent_not_installed_in_app",
    "/api/packages/agents/{scope}/{name}": "agent_not_found agent_not_installed_in_app",
    "/api/packages/skills/{scope}/{name}": "package_not_installed_in_app",
    "/api/packages/integrations/{scope}/{name}": "package_not_installed_in_app",
    "/api/packages/mcp-servers/{scope}/{name}": "package_not_installed_in_app",
    "/api/packages/{scope}/{name}": "agent_not_installed_in_app package_not_installed_in_app",
    "/api/applications/{application}/packages/{scope}/{name}": "package_not_installed",
}


# What routes of one kind share.
OF_INLINE_RUNS = {
    400: "empty_prompt invalid_inline_manifest locked_input_field missing_skill "
    "model_credential_missing model_not_configured",
    403: "storage_limit_exceeded",
    404: "not_found",
    412: "missing_integration_connection",
    413: "document_count_exceeded",
    422: "dependency_unresolved",
    429: "org_run_concurrency_exceeded org_run_rate_limited",
    503: "disk_full",
}
OF_LAUNCHES = {
    **OF_INLINE_RUNS,
    400: "empty_prompt locked_input_field missing_skill model_credential_missing "
    "model_not_configured",
    404: "agent_not_found no_published_version",
    409: "conflict integrity_mismatch rerun_agent_mismatch",
}
OF_STREAMS = {
    401: "authentication_required unauthorized",
    403: "forbidden",
    404: "agent_not_found not_found",
}
OF_TOKENS = {**OF_STREAMS, 429: "rate_limited"}
OF_RUNS = {
    400: "validation_failed",
    401: "missing_signature_headers invalid_timestamp timestamp_out_of_tolerance invalid_signature",
    410: "run_sink_closed run_sink_expired",
    429: "rate_limited",
}


def refusals(route: Route) -> dict[int, tuple[str, ...]]:
    """The codes a route may answer with, by status, the least status first."""
    found: dict[int, dict[str, None]] = {}
    told = [*_derived(route), *route.refuses.items()]
    for status, codes in sorted(told, key=lambda each: each[0]):
        found.setdefault(status, {}).update(dict.fromkeys(codes.split()))
    return {status: tuple(codes) for status, codes in found.items()}


def _derived(route: Route) -> Iterator[tuple[int, str]]:
    public = route.scope is Scope.PUBLIC
    has_body = route.body is not None or route.takes is not None
    yield 400, "invalid_request"
    if route.body is not None:
        yield 400, "validation_failed"
    if has_body:
        yield 408, "request_timeout"
        yield 413, "payload_too_large"
    if not public:
        yield 400, "invalid_api_version unsupported_api_version"
        yield 401, "authentication_required unauthorized"
        yield 403, "forbidden"
    if route.scope in (Scope.ORGANIZATION, Scope.APPLICATION):
        yield 400, "header_not_allowed invalid_end_user_id"
        yield 403, "invalid_end_user"
    if route.scope is Scope.APPLICATION or VARIABLE.search(route.path):
        yield 404, "not_found"
    yield from ((404, codes) for path, codes in MISSING.items() if route.path.startswith(path))
    if takes_keys(route):
        yield 400, "invalid_idempotency_key"
        yield 409, "idempotency_in_progress"
        yield 422, "idempotency_conflict"
    elif refuses_keys(route):
        yield 400, "idempotency_not_supported"
    if route.limit is not None:
        yield 429, "rate_limited"
    yield 500, "internal_error"
    yield 503, "unavailable" if route.of_runs or not route.is_work else "unavailable shutting_down"
    yield 503, "starting"
    if route.path.startswith("/api/packages/") and route.method in ("POST", "PUT"):
        yield 503, "disk_full"
