"""What can go wrong with a message, by who has to know.

Refusal             an answer: the asker deals with it, the actor lives on
  NotFound          there is no such thing, or not for this caller
  Conflict          the thing is in another state than the request needs
  Rejected          the request itself is wrong
  LimitExceeded     allowed in principle, too much right now
  Unavailable       try again later: full, stopping, restarting, too slow, a service is down
    InboxFull       the mailbox is at its bound
AskError            no answer: something broke
  HandlerError      the handler failed, the actor lives on
  ActorCrashed      the actor died while it served this message
BootError           an actor that could not start at boot; it ends the process
"""

from collections.abc import Sequence

import msgspec


class FieldProblem(msgspec.Struct, frozen=True, kw_only=True):
    """One problem of one field: `field` is a dotted path, `code` is the contract's word for it."""

    field: str
    code: str
    message: str


class Refusal(Exception):  # noqa: N818 - a refusal is a condition, not an error
    """An answer the asker must deal with.

    `code` is the machine-readable code of the HTTP contract, `param` the offending field,
    `problems` every problem when there are several, `retry_after` seconds to wait.
    """

    code = "refused"

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        param: str | None = None,
        problems: Sequence[FieldProblem] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or type(self).code
        self.param = param
        self.problems = tuple(problems)
        self.retry_after = retry_after


class NotFound(Refusal):
    """There is no such thing, or not for this caller."""

    code = "not_found"


class Conflict(Refusal):
    """The thing is in another state than the request needs."""

    code = "conflict"


class Rejected(Refusal):
    """The request itself is wrong, or its caller may not make it."""

    code = "invalid_request"


class LimitExceeded(Refusal):
    """Allowed in principle, too much right now."""

    code = "rate_limited"


class Unavailable(Refusal):
    """Nothing was done; the same request may succeed later."""

    code = "unavailable"


class InboxFull(Unavailable):
    """The mailbox is at its bound; it refuses instead of growing."""


class AskError(Exception):
    """An ask that ended without an answer; `__cause__` tells why."""


class HandlerError(AskError):
    """The handler of this message failed; its actor lives on."""


class ActorCrashed(AskError):  # noqa: N818 - the name in use among actors
    """The actor died while it served this message."""


class BootError(Exception):
    """An actor that could not start while the system booted; `__cause__` tells why."""
