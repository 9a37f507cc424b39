"""What tokens cost, and how often it is announced."""

import asyncio

import pytest

from actors.events import RunMetered, RunTotals
from actors.ids import ApplicationId, OrgId, RunId
from actors.models import Cost
from actors.runs import Usage, price
from actors.runs.throttle import Throttle
from support.waiting import eventually

FULL = Cost(input=2, output=10, cache_read=0.2, cache_write=2.5)
USAGE = Usage(
    input_tokens=1_000_000,
    output_tokens=100_000,
    cache_read_input_tokens=500_000,
    cache_creation_input_tokens=200_000,
)


@pytest.mark.parametrize(
    ("rates", "told", "cost", "status"),
    [
        (FULL, None, 2 + 1 + 0.1 + 0.5, "priced"),
        (FULL, 99.0, 2 + 1 + 0.1 + 0.5, "priced"),
        (Cost(input=2, output=10), None, 3, "partial"),
        (Cost(input=2, output=10, cache_write=1), 99.0, 3.2, "partial"),
        (Cost(input=0, output=0, cache_read=0, cache_write=0), None, 0, "priced"),
        (Cost(), None, 0, "unpriced"),
        (None, 0.25, 0.25, "unpriced"),
    ],
)
def test_four_kinds_of_tokens_have_a_price_each(
    rates: Cost | None, told: float | None, cost: float, status: str
) -> None:
    charge = price(USAGE, rates, told)

    assert charge.cost == pytest.approx(cost)
    assert charge.status == status


def test_a_rate_nobody_needs_may_be_missing() -> None:
    charge = price(Usage(input_tokens=1_000_000), Cost(input=3), None)

    assert (charge.cost, charge.status) == (3, "priced")


def metered(run: str, cost: float) -> RunMetered:
    totals = RunTotals(
        run_id=RunId(run),
        org_id=OrgId("o"),
        application_id=ApplicationId("a"),
        package_id=None,
        token_usage=None,
        cost_so_far=cost,
    )
    return RunMetered(run=RunId(run), application=ApplicationId("a"), package=None, totals=totals)


async def test_of_many_announcements_the_first_and_the_last_are_heard() -> None:
    heard: list[tuple[str, float | None]] = []
    throttle = Throttle(lambda event: heard.append((event.run, event.totals.cost_so_far)), 0.02)
    for cost in range(50):
        throttle.offer(metered("one", cost))
    throttle.offer(metered("two", 7))
    assert heard == [("one", 0), ("two", 7)]

    await eventually(lambda: len(heard) == 3)
    assert heard[-1] == ("one", 49)


async def test_nothing_is_announced_after_the_end() -> None:
    heard: list[RunMetered] = []
    throttle = Throttle(heard.append, 0.001)
    throttle.offer(metered("one", 1))
    throttle.offer(metered("one", 2))
    throttle.stop()
    over = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.01, over.set_result, None)
    await over

    assert len(heard) == 1
