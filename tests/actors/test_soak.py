"""Actors die at random under load; no asker may hang, no task may be left."""

import asyncio
import gc
import random
from collections import Counter
from typing import Any

import pykka
import pytest

from actors.runtime import ActorCrashed, Address, Child, HandlerError, Refusal, RestartPolicy
from support.probe import Do, LaneProbe, Probe, Quick, Stream
from support.running import supervised

ASKERS, ASKS = 40, 250


async def maybe_sleep(_: Probe) -> str:
    if random.random() < 0.5:
        await asyncio.sleep(random.random() / 1000)
    if random.random() < 0.02:
        raise ZeroDivisionError("a bug")
    return "done"


@pytest.mark.asyncio(loop_scope="function")  # a loop whose tasks are all this test's
@pytest.mark.parametrize("kind", [Probe, LaneProbe])
async def test_random_kills_under_load_leave_nobody_waiting_and_nothing_behind(
    kind: type[Probe],
) -> None:
    random.seed(20260301)
    tasks_before = asyncio.all_tasks()
    refs_before = set(pykka.ActorRegistry.get_all())
    address: Address[Probe] = Address("probe")
    child = Child(address=address, factory=kind, policy=RestartPolicy(burst=10**9))
    outcomes: Counter[str] = Counter()
    broken: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, about: broken.append(about))

    async def asker() -> None:
        for _ in range(ASKS):
            kind = random.choice([Quick, Do, Do, Stream])
            message = Quick() if kind is Quick else kind(work=maybe_sleep)
            within = random.choice([0.0005, 0.01, 5])
            ask = asyncio.create_task(address.ask(message, within=within))
            if random.random() < 0.1:
                asyncio.get_running_loop().call_later(random.random() / 500, ask.cancel)
            try:
                outcomes[await ask] += 1
            except asyncio.CancelledError:
                outcomes["cancelled"] += 1
            except (Refusal, ActorCrashed, HandlerError) as error:
                outcomes[type(error).__name__] += 1

    async with supervised(child) as supervisor:

        async def killer() -> None:
            while True:
                await asyncio.sleep(random.random() / 100)
                if (actor := supervisor._alive.get("probe")) is not None:
                    actor._crash(ZeroDivisionError("killed"))

        killing = asyncio.create_task(killer())
        async with asyncio.timeout(60):
            await asyncio.gather(*(asker() for _ in range(ASKERS)))
        killing.cancel()
        await asyncio.sleep(0.01)

        assert sum(outcomes.values()) == ASKERS * ASKS
        assert outcomes["done"] > 0
        assert outcomes["quick"] > 0
        assert address.metrics.restarts > 20
        assert address.metrics.waiting == 0

    gc.collect()
    assert broken == []
    assert asyncio.all_tasks() - tasks_before == set()
    assert set(pykka.ActorRegistry.get_all()) - refs_before == set()
