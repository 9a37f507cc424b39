"""What every Limiter promises."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from actors.limiter import Allowance, Limiter, Rule, TakeTurn
from actors.runtime import Address, LimitExceeded
from support.running import running

TEN = Rule(name="ten", limit=10, seconds=3600)
QUICK = Rule(name="quick", limit=20, seconds=1)


@pytest.fixture(params=[pytest.param("local_limiter", id="local")])
async def limiter(request: pytest.FixtureRequest) -> AsyncIterator[Address[Limiter]]:
    async with running(request.getfixturevalue(request.param)) as address:
        yield address


async def take(
    limiter: Address[Limiter], key: str = "ana", rule: Rule = TEN, cost: int = 1
) -> Allowance:
    return await limiter.ask(TakeTurn(rule=rule, key=key, cost=cost))


async def test_what_is_left_is_told(limiter: Address[Limiter]) -> None:
    first, second = await take(limiter), await take(limiter)

    assert (first.allowed, first.limit, first.remaining, second.remaining) == (True, 10, 9, 8)
    assert 0 < first.reset <= second.reset <= 3600


async def test_the_limit_is_exact_however_many_ask_at_once(limiter: Address[Limiter]) -> None:
    answers = await asyncio.gather(*(take(limiter) for _ in range(100)))

    assert sum(answer.allowed for answer in answers) == 10


async def test_who_is_blocked_is_told_for_how_long(limiter: Address[Limiter]) -> None:
    for _ in range(10):
        await take(limiter)

    blocked = await take(limiter)

    assert not blocked.allowed
    assert blocked.remaining == 0
    assert 0 < blocked.retry_after <= 360
    with pytest.raises(LimitExceeded) as caught:
        blocked.check("too many sign-ins")
    assert caught.value.code == "rate_limited"
    assert caught.value.retry_after is not None
    assert caught.value.retry_after >= blocked.retry_after


async def test_being_refused_costs_nothing(limiter: Address[Limiter]) -> None:
    for _ in range(10):
        await take(limiter)
    waits = [(await take(limiter)).retry_after for _ in range(50)]

    assert max(waits) == pytest.approx(waits[0], abs=5)


async def test_uses_come_back_one_by_one(limiter: Address[Limiter]) -> None:
    for _ in range(20):
        assert (await take(limiter, rule=QUICK)).allowed

    blocked = await take(limiter, rule=QUICK)
    assert blocked.retry_after <= 0.05 + 0.01

    async with asyncio.timeout(5):
        while not (await take(limiter, rule=QUICK)).allowed:  # noqa: ASYNC110 - time passes
            await asyncio.sleep(0.01)


async def test_keys_and_rules_are_counted_apart(limiter: Address[Limiter]) -> None:
    for _ in range(10):
        await take(limiter)

    assert not (await take(limiter)).allowed
    assert (await take(limiter, "bo")).allowed
    assert (await take(limiter, rule=QUICK)).allowed


async def test_a_use_may_cost_more(limiter: Address[Limiter]) -> None:
    assert (await take(limiter, cost=8)).remaining == 2
    assert not (await take(limiter, cost=3)).allowed
    assert (await take(limiter, cost=2)).allowed


async def test_a_blocked_key_is_not_forgotten_because_others_come(
    limiter: Address[Limiter],
) -> None:
    for _ in range(10):
        await take(limiter)
    await asyncio.gather(*(take(limiter, f"other {n}") for n in range(3000)))

    assert not (await take(limiter)).allowed
