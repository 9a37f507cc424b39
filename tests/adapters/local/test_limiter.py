"""What is true of limits in memory alone: the memory is bounded, and nobody is let off for that."""

import asyncio
import tracemalloc

import pytest

from actors.limiter import Rule, TakeTurn
from actors.runtime import Unavailable
from adapters.local.limiter import FEW, KEYS, LocalLimiter, _PatientBackend
from support.running import running

SLOW = Rule(name="slow", limit=1, seconds=3600)
QUICK = Rule(name="quick", limit=100, seconds=1)


async def test_when_full_the_new_are_refused_and_the_blocked_stay_blocked() -> None:
    async with running(lambda: LocalLimiter(keys=3)) as limiter:
        for n in range(3):
            assert (await limiter.ask(TakeTurn(rule=SLOW, key=str(n)))).allowed

        with pytest.raises(Unavailable, match="too many"):
            await limiter.ask(TakeTurn(rule=SLOW, key="new"))
        assert not (await limiter.ask(TakeTurn(rule=SLOW, key="0"))).allowed


async def test_a_key_costs_little_memory_however_long_it_is() -> None:
    async with running(LocalLimiter) as limiter:
        tracemalloc.start()
        try:
            for n in range(30):
                key = f"{n}{'x' * 1_000_000}"
                assert (await limiter.ask(TakeTurn(rule=SLOW, key=key))).allowed
                assert not (await limiter.ask(TakeTurn(rule=SLOW, key=key))).allowed
            kept, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert kept < 10_000_000


def test_keys_that_are_over_are_not_kept_until_there_are_too_many() -> None:
    backend = _PatientBackend(options={"MAX_SIZE": KEYS})
    for n in range(FEW):
        backend.set(str(n), 1.0, timeout=0 if n else 3600)
    backend.swept = 0.0  # a second later
    backend.set("new", 1.0, timeout=3600)

    assert list(backend.get_client()) == ["0", "new"]


async def test_keys_with_nothing_against_them_make_room() -> None:
    async with running(lambda: LocalLimiter(keys=3)) as limiter:
        for n in range(3):
            await limiter.ask(TakeTurn(rule=QUICK, key=str(n)))
        async with asyncio.timeout(5):
            while True:
                try:
                    answer = await limiter.ask(TakeTurn(rule=QUICK, key="new"))
                    break
                except Unavailable:
                    await asyncio.sleep(0.05)

    assert answer.allowed
