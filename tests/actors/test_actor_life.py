"""How an actor ends, and the work it owns."""

import asyncio

import pytest

from actors.runtime import (
    ActorCrashed,
    Address,
    Context,
    Unavailable,
    current_context,
)
from support.probe import Do, Probe, Quick, fail, settle, sleeping, waiting_for
from support.running import running
from support.waiting import eventually


async def test_a_stopping_actor_finishes_what_waits_and_takes_no_more() -> None:
    life: list[str] = []
    actor = Probe(life)
    address: Address[Probe] = Address("probe")
    actor.launch("probe", address.metrics)
    await actor.ready
    address.bind(actor)
    gate = asyncio.Event()
    asks = [asyncio.create_task(address.ask(Do(work=waiting_for(gate, n)))) for n in range(3)]
    await settle()
    stop = asyncio.create_task(actor.retire(5))
    await settle()
    with pytest.raises(Unavailable, match="is stopping"):
        await address.ask(Quick())
    gate.set()

    assert await asyncio.gather(*asks) == [0, 1, 2]
    await stop
    assert life == ["started", "stopped"]


async def test_an_actor_that_does_not_stop_in_time_is_cancelled_and_its_askers_know() -> None:
    actor = Probe()
    address: Address[Probe] = Address("probe")
    actor.launch("probe", address.metrics)
    await actor.ready
    address.bind(actor)
    served = asyncio.create_task(address.ask(Do(work=sleeping())))
    waiting = asyncio.create_task(address.ask(Quick()))
    await settle()
    await actor.retire(0.01)

    with pytest.raises(ActorCrashed):
        await served
    with pytest.raises(Unavailable):
        await waiting


async def test_an_actor_that_is_interrupted_while_it_starts_closes_what_it_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However long that takes: nothing cuts it short."""
    monkeypatch.setattr("actors.runtime.actor.KILL_GRACE", 0.02)
    closed: list[str] = []

    class Slow(Probe):
        async def started(self) -> None:
            self.own(asyncio.sleep(3600))
            await asyncio.sleep(3600)

        async def stopped(self) -> None:
            await asyncio.sleep(0.05)
            closed.append("closed")

    actor = Slow()
    actor.launch()
    await asyncio.sleep(0)
    await actor.retire(0)
    assert closed == []
    await eventually(lambda: closed == ["closed"])


async def test_an_owned_task_that_fails_is_the_crash_of_its_actor() -> None:
    life: list[str] = []

    async def own_a_failure(probe: Probe) -> None:
        probe.own(fail(probe))

    async with running(lambda: Probe(life)) as probe:
        await probe.ask(Do(work=own_a_failure))
        await settle()

        assert life == ["started", "stopped", "started"]


async def test_an_owned_task_outlives_the_deadline_of_the_message_that_began_it() -> None:
    result: asyncio.Future[Context] = asyncio.get_running_loop().create_future()

    async def owned() -> None:
        result.set_result(current_context.get())

    async def work(probe: Probe) -> None:
        probe.own(owned())

    async with running(Probe) as probe:
        await probe.ask(Do(work=work), within=5)

        assert (await result).deadline is None
