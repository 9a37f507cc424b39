"""Where webhooks may lead, who may have them, and what the answer to a delivery means. Pure."""

from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from actors.accounts import Caller
from actors.egress import Egress, parse_address
from actors.ids import ApplicationId
from actors.runtime import FieldProblem, Rejected
from actors.webhooks.records import Webhook, WebhookSpec
from actors.webhooks.sender import Sent
from actors.worker import Retries

MINUTE, HOUR, DAY = 60, 3600, 86_400
RETRIES = Retries(
    attempts=8,
    delays=(30, 5 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 3 * HOUR, 4 * HOUR),
)
MOST_OF_SCOPE = 20
DEFAULT_WINDOW, LONGEST_WINDOW = 7 * DAY, 30 * DAY
LONGEST_URL = 2000

Outcome: TypeAlias = Literal["delivered", "failed", "hopeless"]


def check_url(url: str, egress: Egress) -> None:
    """Refuse an address that is not https, or that leads into a private network.

    Hosts that the operator has opened, this machine during development included, may be http.
    """
    if len(url) > LONGEST_URL:
        raise invalid("url", f"must not be longer than {LONGEST_URL} characters")
    egress.check_url(url, "url")
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".").lower()
    if parts.scheme != "https" and not (host in egress.allowed_hosts or _is_here(host)):
        raise invalid("url", "must be https", "invalid_format")


def _is_here(host: str) -> bool:
    """Whether a host that egress has let pass is this machine."""
    address = parse_address(host)
    if address is not None:
        return address.is_loopback
    return host == "localhost" or host.endswith(".localhost")


def application_of(caller: Caller, spec: WebhookSpec) -> ApplicationId | None:
    """The application a new webhook belongs to; None for the organization.

    API keys make webhooks of their own application and no others.
    """
    named = ApplicationId(spec.application_id) if spec.application_id else None
    if caller.api_key is not None:
        if spec.level == "org":
            what = "API keys have webhooks of their application only: use level application"
            raise Rejected(what, code="forbidden", param="level")
        named = named or caller.application
    if spec.level == "org" and named is not None:
        raise invalid("applicationId", "must not be given at the level org")
    if spec.level == "application" and named is None:
        raise invalid("applicationId", "must be given at the level application", "required")
    return named


def sees(caller: Caller, webhook: Webhook) -> bool:
    """Whether a webhook of the caller's organization is there for the caller."""
    return caller.api_key is None or webhook.application_id == caller.application


def window(seconds: int | None) -> int:
    """For how many seconds a previous secret signs along: a week, and a month at most."""
    if seconds is None:
        return DEFAULT_WINDOW
    if seconds <= 0:
        raise invalid("windowSeconds", "must be more than 0", "out_of_range")
    return min(seconds, LONGEST_WINDOW)


def judge(sent: Sent) -> Outcome:
    """What a receiver's answer means: done, to be tried again, or not worth it."""
    if sent.blocked:
        return "hopeless"
    if sent.status is None:
        return "failed"
    if 200 <= sent.status < 300:
        return "delivered"
    return "hopeless" if 400 <= sent.status < 500 and sent.status not in (408, 429) else "failed"


def why(sent: Sent) -> str | None:
    """What went wrong, for people; None when nothing did."""
    if sent.error is not None or judge(sent) == "delivered":
        return sent.error
    if sent.status is not None and 300 <= sent.status < 400:
        return f"the receiver answered {sent.status}: redirects are not followed"
    return f"the receiver answered {sent.status}"


def invalid(field: str, problem: str, code: str = "invalid_value") -> Rejected:
    """The refusal of one field."""
    return Rejected(
        f"{field} {problem}",
        code="validation_failed",
        param=field,
        problems=[FieldProblem(field=field, code=code, message=problem)],
    )
