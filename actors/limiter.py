"""How often something may happen: per key, smoothly, with an answer that says when to come back.

The algorithm is GCRA: a key may be used `limit` times at once, and then once every
`seconds / limit`; there is no window at whose border twice as much gets through.
Implementations: LocalLimiter (in memory).
"""

import hashlib
from abc import abstractmethod
from typing import TypeAlias

import msgspec

from actors.runtime import Actor, Lane, LimitExceeded, Request

LONGEST_KEY = 100


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """`limit` uses per `seconds` and key. `name` keeps the keys of rules apart."""

    name: str
    limit: int
    seconds: int = 60


class Allowance(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a use is within its rule. Times are seconds from now.

    `remaining` uses are left at once; all of them are back after `reset`. A use that is not
    allowed changes nothing, and would be allowed after `retry_after`.
    """

    allowed: bool
    limit: int
    remaining: int
    reset: float
    retry_after: float = 0.0

    def check(self, what: str, code: str = "rate_limited") -> None:
        """Refuse when it is not allowed."""
        if not self.allowed:
            seconds = max(1, round(self.retry_after + 0.5))
            raise LimitExceeded(f"{what}: try again in {seconds} s", code=code, retry_after=seconds)


class TakeTurn(Request["Limiter", Allowance], frozen=True, kw_only=True):
    """Use a key `cost` times, if its rule allows it; several who ask at once get exactly that.

    Refuses with `Unavailable` when nobody can say.
    """

    rule: Rule
    key: str
    cost: int = 1


LimiterMessage: TypeAlias = TakeTurn


class Limiter(Actor):
    """Counts uses. A key that is blocked is never forgotten while it is.

    Strangers choose keys, an address they sign in with say: of a long one only its digest is kept.
    """

    lanes = (Lane("turns", 64, limit=10_000),)

    async def receive(self, message: LimiterMessage) -> Allowance:
        if len(message.key) > LONGEST_KEY:
            digest = hashlib.sha256(message.key.encode(errors="surrogatepass")).hexdigest()
            message = msgspec.structs.replace(message, key=digest)
        return await self.take(message)

    @abstractmethod
    async def take(self, message: TakeTurn) -> Allowance: ...
