import asyncio
import traceback
from collections.abc import Callable

import pytest
from structlog.testing import CapturingLogger

import actors.runtime.supervisor
from actors.runtime import ActorCrashed, Address, BootError, Child, RestartPolicy, Unavailable
from actors.runtime.address import State
from support.probe import Do, Probe, Quick, fail, settle, sleeping
from support.running import supervised
from support.waiting import eventually


class Named(Probe):
    def __init__(self, log: list[str], label: str, boot: asyncio.Event | None = None) -> None:
        super().__init__()
        self.log, self.label, self.boot = log, label, boot

    async def started(self) -> None:
        if self.boot is not None:
            await self.boot.wait()
        self.log.append(f"+{self.label}")

    async def stopped(self) -> None:
        self.log.append(f"-{self.label}")


class Broken(Probe):
    async def started(self) -> None:
        raise OSError("disk on fire")


def child(
    factory: Callable[[], Probe], name: str = "probe", policy: RestartPolicy | None = None
) -> Child[Probe]:
    return Child(address=Address(name), factory=factory, policy=policy or RestartPolicy())


async def test_children_boot_in_order_each_awaiting_the_last_and_stop_in_reverse() -> None:
    log: list[str] = []
    slow = asyncio.Event()
    children = [
        child(lambda: Named(log, "a", slow), "a"),
        child(lambda: Named(log, "b"), "b"),
        child(lambda: Named(log, "c"), "c"),
    ]
    asyncio.get_running_loop().call_later(0.01, slow.set)
    async with supervised(*children):
        assert log == ["+a", "+b", "+c"]

    assert log == ["+a", "+b", "+c", "-c", "-b", "-a"]
    assert {c.address.state for c in children} == {State.STOPPED}


async def test_a_child_that_cannot_start_ends_the_boot_and_undoes_it() -> None:
    log: list[str] = []
    with pytest.raises(BootError, match="second could not start: disk on fire") as caught:
        async with supervised(child(lambda: Named(log, "a"), "first"), child(Broken, "second")):
            pass

    assert isinstance(caught.value.__cause__, OSError)
    assert log == ["+a", "-a"]


async def test_a_child_that_hangs_at_boot_ends_the_boot_in_time() -> None:
    never = asyncio.Event()
    with pytest.raises(BootError, match=r"not ready within 0\.01 s"):
        async with supervised(child(lambda: Named([], "a", never)), boot_within=0.01):
            pass


async def test_other_children_do_not_notice_a_restart() -> None:
    log: list[str] = []
    a, b = child(lambda: Named(log, "a"), "a"), child(lambda: Named(log, "b"), "b")
    async with supervised(a, b):
        with pytest.raises(ActorCrashed):
            await a.address.ask(Do(work=fail))
        await settle()

        assert await a.address.ask(Quick()) == "quick"
        assert log == ["+a", "+b", "-a", "+a"]


async def test_crashing_again_and_again_backs_off_and_says_so() -> None:
    policy = RestartPolicy(burst=1, first=3600, ceiling=3600, jitter=0)
    probe = child(Probe, policy=policy)
    async with supervised(probe):
        for _ in range(2):
            with pytest.raises(ActorCrashed):
                await probe.address.ask(Do(work=fail))
            await settle()
        with pytest.raises(Unavailable) as caught:
            await probe.address.ask(Quick())

        assert probe.address.state is State.UNAVAILABLE
        assert "a bug" in (probe.address.reason or "")
        assert caught.value.retry_after == 3600
        assert probe.address.metrics.restarts == 2


async def test_a_restart_that_fails_is_tried_again() -> None:
    attempts: list[int] = []

    def factory() -> Probe:
        attempts.append(1)
        return Broken() if len(attempts) == 2 else Probe()

    probe = child(factory)
    async with supervised(probe):
        with pytest.raises(ActorCrashed):
            await probe.address.ask(Do(work=fail))
        await settle()

        assert await probe.address.ask(Quick()) == "quick"
        assert len(attempts) == 3


class FailsWhileStarting(Probe):
    """Its work fails before it is ready, or as soon as it is."""

    def __init__(self, turns: int) -> None:
        super().__init__()
        self.turns = turns

    async def started(self) -> None:
        async def work() -> None:
            await asyncio.sleep(0)
            raise OSError("disk on fire")

        self.own(work())
        for _ in range(self.turns):
            await asyncio.sleep(0)


@pytest.mark.parametrize("turns", range(6))
async def test_work_that_fails_during_a_restart_is_one_crash(turns: int) -> None:
    made: list[Probe] = []

    def factory() -> Probe:
        made.append(FailsWhileStarting(turns) if len(made) == 1 else Probe())
        return made[-1]

    probe = child(factory)
    async with supervised(probe) as supervisor:
        with pytest.raises(ActorCrashed):
            await probe.address.ask(Do(work=fail))
        for _ in range(5):
            await settle()

        assert await probe.address.ask(Quick()) == "quick"
        assert len(made) == 3
        assert probe.address.metrics.restarts == 2
        assert list(supervisor._alive.values()) == [made[2]]


async def test_work_that_fails_at_boot_ends_the_boot_and_is_named() -> None:
    with pytest.raises(BootError, match="disk on fire"):
        async with supervised(child(lambda: FailsWhileStarting(3))):
            pass


async def test_the_log_tells_once_where_an_actor_crashed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stumbles(Probe):
        async def started(self) -> None:
            self.own(self.stumble())

        async def stumble(self) -> None:
            raise OSError("disk on fire")

    log = CapturingLogger()
    monkeypatch.setattr(actors.runtime.supervisor, "log", log)
    async with supervised(probe := child(Stumbles, policy=RestartPolicy(burst=1000))):
        await eventually(lambda: probe.address.metrics.restarts >= 3)

    first, second = (call.kwargs["exc_info"] for call in log.calls[:2])
    assert "stumble" in "".join(traceback.format_exception(first))
    assert second is None


async def test_stopping_takes_no_longer_than_the_total_deadline() -> None:
    children = [child(Probe, name) for name in ("a", "b", "c")]
    loop = asyncio.get_running_loop()
    async with supervised(*children, stop_within=0.05):
        asks = [asyncio.create_task(c.address.ask(Do(work=sleeping()))) for c in children]
        await settle()
        began = loop.time()
    took = loop.time() - began

    assert took < 1
    for ask in asks:
        with pytest.raises(ActorCrashed):
            await ask


def test_the_back_off_is_immediate_then_doubles_to_a_ceiling_with_jitter() -> None:
    policy = RestartPolicy(burst=2, first=1, ceiling=10, jitter=0.5)

    assert [policy.delay(n, 0.0) for n in range(1, 9)] == [0, 0, 1, 2, 4, 8, 10, 10]
    assert policy.delay(3, 0.5) == 0.75
    assert policy.delay(10_000, 0.0) == 10
