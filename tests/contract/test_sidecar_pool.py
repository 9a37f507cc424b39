"""What every SidecarPool promises."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from actors.runtime import Address, Unavailable
from actors.sidecar_pool import AcquireSlot, Exit, PoolState, ReadPool, SidecarPool, Slot
from support.probe import settle
from support.running import running
from support.waiting import alive

MakePool = Callable[..., SidecarPool]


@pytest.fixture(params=[pytest.param("local_sidecar_pool", id="local")])
def make_pool(request: pytest.FixtureRequest) -> MakePool:
    made: MakePool = request.getfixturevalue(request.param)
    return made


@pytest.fixture
async def pool(make_pool: MakePool) -> AsyncIterator[Address[SidecarPool]]:
    async with running(lambda: make_pool(2)) as address:
        yield address


async def ended(slot: Slot, code: str = "pass") -> Exit:
    """Let a slot's program do something and end."""
    await slot.assign({"CODE": code})
    try:
        return await slot.wait()
    finally:
        await slot.stop()


async def state_becomes(pool: Address[SidecarPool], warm: int, used: int) -> None:
    wanted = PoolState(size=(await pool.ask(ReadPool())).size, warm=warm, used=used)
    async with asyncio.timeout(10):
        while await pool.ask(ReadPool()) != wanted:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)


async def test_slots_are_warm_before_anybody_asks(pool: Address[SidecarPool]) -> None:
    assert await pool.ask(ReadPool()) == PoolState(size=2, warm=2, used=0)


async def test_a_slot_runs_what_it_is_assigned(pool: Address[SidecarPool]) -> None:
    slot = await pool.ask(AcquireSlot())
    exit_ = await ended(slot, "print('here', flush=True); sys.exit(3)")

    assert (exit_.code, exit_.tail) == (3, ["here"])


async def test_a_taken_slot_is_replaced_when_its_program_exits(pool: Address[SidecarPool]) -> None:
    slot = await pool.ask(AcquireSlot())
    await settle()
    assert await pool.ask(ReadPool()) == PoolState(size=2, warm=1, used=1)
    await ended(slot)

    await state_becomes(pool, warm=2, used=0)


async def test_no_slot_is_handed_out_twice(pool: Address[SidecarPool]) -> None:
    """Whether it is warm, cold or new, and whoever asks at the same time."""
    first = await asyncio.gather(*(pool.ask(AcquireSlot()) for _ in range(4)))
    await asyncio.gather(*map(ended, first))
    second = await asyncio.gather(*(pool.ask(AcquireSlot()) for _ in range(2)))
    await asyncio.gather(*map(ended, second))

    assert len({slot.name for slot in [*first, *second]}) == 6


async def test_an_empty_pool_makes_a_cold_slot(make_pool: MakePool) -> None:
    async with running(lambda: make_pool(0)) as pool:
        assert await pool.ask(ReadPool()) == PoolState(size=0, warm=0, used=0)
        exit_ = await ended(await pool.ask(AcquireSlot()))
        await state_becomes(pool, warm=0, used=0)

    assert exit_.code == 0


async def test_a_pool_that_nobody_uses_fills_up_beside_long_runs(make_pool: MakePool) -> None:
    async with running(lambda: make_pool(1, quiet=0.05)) as pool:
        slot = await pool.ask(AcquireSlot())
        await state_becomes(pool, warm=1, used=1)
        await slot.stop()


async def test_a_warm_slot_that_dies_is_replaced(pool: Address[SidecarPool]) -> None:
    slots = [await pool.ask(AcquireSlot()) for _ in range(2)]
    await asyncio.gather(*map(ended, slots))
    await state_becomes(pool, warm=2, used=0)
    actor: Any = pool._actor
    dying: Any = actor._warm[0]
    os.kill(dying.pid, signal.SIGKILL)
    await dying.wait()
    await settle()
    assert dying not in actor._warm
    await state_becomes(pool, warm=2, used=0)

    assert (await ended(await pool.ask(AcquireSlot()))).code == 0


async def test_stopping_ends_what_waits_and_leaves_what_runs(make_pool: MakePool) -> None:
    async with running(lambda: make_pool(2)) as pool:
        taken: Any = await pool.ask(AcquireSlot())
        actor: Any = pool._actor
        [waiting] = actor._warm

    assert not alive(waiting.pid)
    assert alive(taken.pid)
    assert (await ended(taken)).code == 0


async def test_a_restarted_pool_leaves_what_runs_alone(pool: Address[SidecarPool]) -> None:
    taken: Any = await pool.ask(AcquireSlot())
    crashed: Any = pool._actor
    crashed._crash(ZeroDivisionError("a bug"))
    await asyncio.wait({crashed._life})
    async with asyncio.timeout(10):
        while pool.state != "running":  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)

    await state_becomes(pool, warm=2, used=0)
    assert alive(taken.pid)
    assert (await ended(taken)).code == 0


async def test_what_cannot_be_made_is_refused(make_pool: MakePool, tmp_path: Path) -> None:
    async with running(lambda: make_pool(0)) as pool:
        (tmp_path / "runs").rename(tmp_path / "moved") if (tmp_path / "runs").exists() else None
        (tmp_path / "runs").write_text("in the way")
        with pytest.raises(Unavailable, match="could not start"):
            await pool.ask(AcquireSlot())
