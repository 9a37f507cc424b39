import asyncio
import time
from contextlib import suppress

import pytest

from actors.runtime import (
    ActorCrashed,
    Address,
    Context,
    HandlerError,
    InboxFull,
    NotFound,
    Ping,
    Unavailable,
    current_context,
)
from support.probe import (
    Do,
    LaneProbe,
    Probe,
    Quick,
    SmallProbe,
    Stream,
    Work,
    context,
    fail,
    refuse,
    settle,
    sleeping,
    waiting_for,
)
from support.running import running


async def test_an_ask_is_answered_and_a_ping_too() -> None:
    async with running(Probe) as probe:
        assert await probe.ask(Quick()) == "quick"
        await probe.ask(Ping())


async def test_a_serial_actor_serves_one_message_at_a_time_in_order() -> None:
    seen: list[int] = []

    def note(number: int) -> Work:
        async def work(_: Probe) -> None:
            seen.append(number)
            await asyncio.sleep(0)
            seen.append(number)

        return work

    async with running(Probe) as probe:
        await asyncio.gather(*(probe.ask(Do(work=note(n))) for n in range(4)))

    assert seen == [0, 0, 1, 1, 2, 2, 3, 3]


async def test_a_refusal_is_an_answer_and_the_actor_lives() -> None:
    life: list[str] = []
    async with running(lambda: Probe(life)) as probe:
        with pytest.raises(NotFound, match="no such thing"):
            await probe.ask(Do(work=refuse))
        assert await probe.ask(Quick()) == "quick"

        assert life == ["started"]
        assert probe.metrics.refused == 1


async def test_a_bug_in_a_serial_actor_kills_it_and_the_next_incarnation_answers() -> None:
    life: list[str] = []
    async with running(lambda: Probe(life)) as probe:
        with pytest.raises(ActorCrashed) as caught:
            await probe.ask(Do(work=fail))
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
        await settle()

        assert await probe.ask(Quick()) == "quick"
        assert life == ["started", "stopped", "started"]
        assert probe.metrics.restarts == 1


async def test_messages_that_waited_when_the_actor_crashed_may_be_sent_again() -> None:
    gate = asyncio.Event()

    async def fail_later(_: Probe) -> None:
        await gate.wait()
        raise ZeroDivisionError

    async with running(Probe) as probe:
        crashing = asyncio.create_task(probe.ask(Do(work=fail_later)))
        waiting = asyncio.create_task(probe.ask(Quick()))
        await settle()
        gate.set()

        with pytest.raises(ActorCrashed):
            await crashing
        with pytest.raises(Unavailable) as caught:
            await waiting
        assert caught.value.retry_after == 1
        assert probe.metrics.dead_letters == 1


async def test_a_bug_in_a_lane_fails_that_message_alone() -> None:
    life: list[str] = []
    async with running(lambda: LaneProbe(life)) as probe:
        gate = asyncio.Event()
        other = asyncio.create_task(probe.ask(Do(work=waiting_for(gate, "fine"))))
        await settle()
        with pytest.raises(HandlerError) as caught:
            await probe.ask(Do(work=fail))
        gate.set()

        assert isinstance(caught.value.__cause__, ZeroDivisionError)
        assert await other == "fine"
        assert life == ["started"]


@pytest.mark.parametrize("kind", [Probe, LaneProbe])
async def test_a_failed_tell_is_a_crash_everywhere(kind: type[Probe]) -> None:
    life: list[str] = []
    async with running(lambda: kind(life)) as probe:
        probe.tell(Do(work=fail))
        await settle()

        assert life == ["started", "stopped", "started"]


async def test_a_refused_tell_is_no_crash() -> None:
    life: list[str] = []
    async with running(lambda: Probe(life)) as probe:
        probe.tell(Do(work=refuse))
        await settle()

        assert life == ["started"]


async def test_a_full_lane_never_blocks_another() -> None:
    async with running(LaneProbe) as probe:
        slow = [asyncio.create_task(probe.ask(Do(work=sleeping()))) for _ in range(5)]
        await settle()

        assert await probe.ask(Quick()) == "quick"
        with pytest.raises(InboxFull):
            await probe.ask(Do(work=sleeping()))
        for task in slow:
            task.cancel()


async def test_a_lane_serves_up_to_its_width_at_once() -> None:
    async with running(LaneProbe) as probe:
        gate, entered = asyncio.Event(), []

        async def work(_: Probe) -> None:
            entered.append(1)
            await gate.wait()

        tasks = [asyncio.create_task(probe.ask(Do(work=work))) for _ in range(4)]
        await settle()
        assert len(entered) == 2
        gate.set()
        await asyncio.gather(*tasks)

        assert len(entered) == 4


async def test_a_full_mailbox_refuses_and_does_not_grow() -> None:
    async with running(SmallProbe) as probe:
        gate = asyncio.Event()
        tasks = [asyncio.create_task(probe.ask(Do(work=waiting_for(gate)))) for _ in range(3)]
        await settle()
        with pytest.raises(InboxFull) as caught:
            await probe.ask(Quick())
        probe.tell(Quick())
        gate.set()
        await asyncio.gather(*tasks)

        assert caught.value.retry_after == 1
        assert probe.metrics.high_water == 2
        assert probe.metrics.rejected == 2
        assert probe.metrics.dead_letters == 1


async def test_a_deadline_covers_waiting_and_what_expired_is_never_served() -> None:
    gate, served = asyncio.Event(), []

    async def work(_: Probe) -> None:
        served.append(1)

    async with running(Probe) as probe:
        first = asyncio.create_task(probe.ask(Do(work=waiting_for(gate))))
        await settle()
        with pytest.raises(Unavailable, match="did not answer Do in time"):
            await probe.ask(Do(work=work), within=0.01)
        gate.set()
        await first
        await probe.ask(Quick())

        assert served == []
        assert probe.metrics.expired == 1


async def test_a_deadline_covers_handling_and_cancels_it() -> None:
    cancelled = asyncio.Event()

    async def work(_: Probe) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            cancelled.set()

    async with running(Probe) as probe:
        with pytest.raises(Unavailable):
            await probe.ask(Do(work=work), within=0.01)
        await asyncio.wait_for(cancelled.wait(), 1)
        assert await probe.ask(Quick()) == "quick"


async def test_cancelling_an_ask_cancels_its_handling() -> None:
    cancelled = asyncio.Event()

    async def work(_: Probe) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            cancelled.set()

    async with running(Probe) as probe:
        ask = asyncio.create_task(probe.ask(Do(work=work)))
        await settle()
        ask.cancel()
        await asyncio.wait_for(cancelled.wait(), 1)
        with suppress(asyncio.CancelledError):
            await ask


async def test_the_deadline_of_a_streaming_message_ends_when_its_handling_begins() -> None:
    gate = asyncio.Event()
    async with running(Probe) as probe:
        ask = asyncio.create_task(probe.ask(Stream(work=waiting_for(gate, "late")), within=0.01))
        await asyncio.sleep(0.05)
        gate.set()

        assert await ask == "late"


@pytest.mark.asyncio(loop_scope="function")
async def test_a_streaming_message_that_expires_as_its_lane_frees_is_skipped() -> None:
    """Its asker's clock has run out, and its asker does not know it yet."""
    served: list[int] = []

    async def work(_: Probe) -> None:
        served.append(1)

    async def blocking(_: Probe) -> None:
        time.sleep(0.03)
        await asyncio.sleep(0)

    broken: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, about: broken.append(about))
    async with running(Probe) as probe:
        first = asyncio.create_task(probe.ask(Do(work=blocking)))
        late = asyncio.create_task(probe.ask(Stream(work=work), within=0.01))
        with pytest.raises(Unavailable, match="did not answer Stream in time"):
            await late
        await first

        assert await probe.ask(Quick()) == "quick"
        assert (served, broken) == ([], [])


async def test_the_context_travels_with_the_message_and_a_nested_ask_keeps_the_deadline() -> None:
    async with running(Probe) as inner, running(Probe) as outer:

        async def relay(_: Probe) -> Context:
            seen: Context = await inner.ask(Do(work=context), within=1000)
            return seen

        token = current_context.set(Context(request_id="req_1", traceparent="00-a-b-01"))
        before = asyncio.get_running_loop().time()
        seen: Context = await outer.ask(Do(work=relay), within=5)
        current_context.reset(token)

        assert (seen.request_id, seen.traceparent) == ("req_1", "00-a-b-01")
        assert seen.message == "Do"
        assert seen.deadline is not None
        assert seen.deadline - before < 6


async def test_a_handling_cancelled_before_its_first_step_still_answers() -> None:
    actor = Probe()
    address: Address[Probe] = Address("probe")
    actor.launch("probe", address.metrics)
    await actor.ready
    address.bind(actor)
    ask = asyncio.create_task(address.ask(Do(work=sleeping())))
    await asyncio.sleep(0)  # the message is in the box, its task has not run yet
    actor._life.cancel()

    with pytest.raises((ActorCrashed, Unavailable)):
        await asyncio.wait_for(ask, 1)


async def test_blocking_on_a_reply_raises_at_once() -> None:
    actor = Probe()
    actor.launch()
    await actor.ready
    with pytest.raises(RuntimeError, match="would block the event loop"):
        actor.actor_ref.ask(Do(work=sleeping()), block=True)
    await actor.retire(0)


async def test_pykkas_own_ref_works_unchanged() -> None:
    actor = Probe()
    actor.launch()
    await actor.ready

    assert await actor.actor_ref.ask(Quick(), block=False) == "quick"
    actor.stop()
    await actor.retire(1)
    assert not actor.actor_ref.is_alive()
