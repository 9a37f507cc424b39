"""Limits in memory, for one process."""

from datetime import timedelta
from time import monotonic

from throttled.asyncio import (
    BaseRateLimiter,
    MemoryStore,
    MemoryStoreBackend,
    Quota,
    Rate,
    RateLimiterRegistry,
    RateLimiterType,
)

from actors.limiter import Allowance, Limiter, Rule, TakeTurn
from actors.runtime import Unavailable

KEYS = 100_000
FEW = 1_000
SWEEP_SECONDS = 1.0


class LocalLimiter(Limiter):
    """A store for each rule, so that many keys of one never push out those of another.

    What it knows is lost when it stops: a restart forgives everybody.
    """

    def __init__(self, keys: int = KEYS) -> None:
        super().__init__()
        self._keys = keys
        self._limiters: dict[Rule, BaseRateLimiter] = {}

    async def take(self, message: TakeTurn) -> Allowance:
        found = await self._limiter(message.rule).limit(message.key, message.cost)
        state = found.state
        return Allowance(
            allowed=not found.limited,
            limit=state.limit,
            remaining=state.remaining,
            reset=state.reset_after,
            retry_after=state.retry_after if found.limited else 0.0,
        )

    def _limiter(self, rule: Rule) -> BaseRateLimiter:
        if rule not in self._limiters:
            rate = Rate(period=timedelta(seconds=rule.seconds), limit=rule.limit)
            quota = Quota(rate=rate, burst=rule.limit)
            kind: type[BaseRateLimiter] = RateLimiterRegistry.get(RateLimiterType.GCRA.value)
            self._limiters[rule] = kind(quota, _PatientStore(options={"MAX_SIZE": self._keys}))
        return self._limiters[rule]


class _PatientBackend(MemoryStoreBackend):
    """Forgets a key when it has nothing against it any more, never because others came.

    The library's own store drops the key that was used least recently, blocked or not, so whoever
    brings enough keys is let off. Here they are gone through when they are twice as many as counted
    last time, so that a key costs little time and one that is over little memory.
    """

    swept = 0.0
    enough = 0

    def check_and_evict(self, key: str) -> None:
        kept = self.get_client()
        if len(kept) < self.enough or key in kept:
            return
        if monotonic() - self.swept >= SWEEP_SECONDS:
            self.swept = monotonic()
            for each in [each for each in kept if self.has_expired(each)]:
                self.delete(each)
            self.enough = min(max(FEW, 2 * len(kept)), self.max_size)
        if len(kept) >= self.max_size:
            raise Unavailable("too many are being counted to count one more", retry_after=1)


class _PatientStore(MemoryStore):
    _BACKEND_CLASS = _PatientBackend
