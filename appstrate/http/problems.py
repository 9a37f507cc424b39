"""Refusals as problem documents (RFC 9457), in one table."""

import msgspec
import structlog
from aiohttp import web

from actors.contract import Resource, spell
from actors.runtime import (
    Conflict,
    FieldProblem,
    LimitExceeded,
    NotFound,
    Refusal,
    Rejected,
    Unavailable,
)

log = structlog.get_logger("http")

TYPE_BASE = "https://docs.appstrate.dev/errors/"

# The status of a kind of refusal, and of the codes that have another one.
STATUS_OF_KIND: dict[type[Refusal], int] = {
    NotFound: 404,
    Conflict: 409,
    LimitExceeded: 429,
    Unavailable: 503,
    Rejected: 400,
}
STATUS_OF_CODE = {
    code: status
    for status, codes in {
        401: "unauthorized authentication_required missing_signature_headers invalid_timestamp "
        "timestamp_out_of_tolerance invalid_signature token_invalid",
        403: "forbidden operation_not_allowed invalid_end_user email_mismatch signup_disabled "
        "signup_domain_not_allowed storage_limit_exceeded connection_blocked_by_admin",
        405: "method_not_allowed",
        408: "request_timeout",
        410: "run_sink_closed run_sink_expired invitation_accepted invitation_cancelled "
        "invitation_expired upload_expired token_unavailable",
        412: "missing_integration_connection",
        413: "payload_too_large document_count_exceeded",
        415: "archive_required",
        416: "range_not_satisfiable",
        422: "dependency_unresolved user_already_exists idempotency_conflict bundle_invalid "
        "not_installable bundle_signature_invalid package_archive_unreadable",
        431: "headers_too_large",
        500: "internal_error bundle_integrity_mismatch",
        502: "bad_gateway",
    }.items()
    for code in codes.split()
}


class BehindEnd(Rejected):
    """A range that lies behind the end of what there is, `size` bytes."""

    code = "range_not_satisfiable"

    def __init__(self, size: int) -> None:
        super().__init__(f"the range lies behind the end: there are {size} bytes", param="Range")
        self.size = size


class ProblemItem(msgspec.Struct, frozen=True, kw_only=True):
    """One problem of one field."""

    field: str
    code: str
    message: str
    title: str


class Problem(Resource, frozen=True, kw_only=True, rename=spell, omit_defaults=True):
    """What a client reads when something was refused."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    param: str | None = None
    retry_after: int | None = msgspec.field(default=None, name="retryAfter")
    errors: list[ProblemItem] | None = None


def status_of(refusal: Refusal) -> int:
    """The HTTP status of a refusal: by its code, else by its kind."""
    if refusal.code in STATUS_OF_CODE:
        return STATUS_OF_CODE[refusal.code]
    for kind, status in STATUS_OF_KIND.items():
        if isinstance(refusal, kind):
            return status
    return 400


def problem_response(refusal: Refusal, request_id: str, **headers: str) -> web.Response:
    """The answer to a refused request."""
    status = status_of(refusal)
    wait = None
    if refusal.retry_after is not None or status in (429, 503):
        wait = max(1, round(refusal.retry_after or 1))
        headers["Retry-After"] = str(wait)
    if status == 401:
        presented = refusal.code != "authentication_required"
        challenge = 'Bearer error="invalid_token"' if presented else "Bearer"
        headers["WWW-Authenticate"] = challenge
    if isinstance(refusal, BehindEnd):
        headers["Content-Range"] = f"bytes */{refusal.size}"
    problem = Problem(
        type=TYPE_BASE + refusal.code.replace("_", "-"),
        title=_title(refusal.code),
        status=status,
        detail=refusal.detail,
        instance=f"urn:appstrate:request:{request_id}",
        code=refusal.code,
        request_id=request_id,
        param=refusal.param or _only_field(refusal),
        retry_after=wait,
        errors=[_item(p) for p in refusal.problems] or None,
    )
    return web.Response(
        body=msgspec.json.encode(problem),
        status=status,
        content_type="application/problem+json",
        headers=headers,
    )


def internal_error() -> Refusal:
    """What a client is told when something broke; the log knows the rest."""
    return Rejected(
        "something broke on our side; the server's log has the details under this request id",
        code="internal_error",
    )


def http_error(error: web.HTTPException) -> Refusal:
    """The web framework's own errors, in our words."""
    match error.status:
        case 404:
            return NotFound("there is no such path")
        case 405:
            takes = ", ".join(error.headers.get("Allow", "").split(","))
            told = f"this path does not take this method, only {takes}"
            return Rejected(told, code="method_not_allowed")
        case 413:
            return Rejected("the body is too large", code="payload_too_large")
        case _:
            return Rejected(error.reason or "the request cannot be used")


def _only_field(refusal: Refusal) -> str | None:
    fields = {problem.field for problem in refusal.problems}
    return fields.pop() or None if len(fields) == 1 else None


def _title(code: str) -> str:
    return " ".join(word.capitalize() for word in code.split("_"))


def _item(problem: FieldProblem) -> ProblemItem:
    return ProblemItem(
        field=problem.field,
        code=problem.code,
        message=problem.message,
        title=_title(problem.code),
    )
