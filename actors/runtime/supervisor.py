"""Boots actors in order, restarts those that crash, stops them in reverse."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import structlog
from pykka import ActorDeadError

from actors.runtime.actor import Actor
from actors.runtime.address import Address, State
from actors.runtime.errors import BootError, Unavailable
from actors.runtime.message import Message, Ping

log = structlog.get_logger("actors")

P = TypeVar("P", bound=Actor)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """How soon a crashed actor comes back.

    Crashes are counted as long as no incarnation lives for `settled` seconds. The first `burst`
    are forgiven: the restart is immediate. Each further one doubles the wait, from `first` to
    `ceiling` seconds, with up to `jitter` (a share) taken off so that many do not come back at
    once. It never gives up: a service that returns after an hour finds its actor trying.
    """

    burst: int = 3
    settled: float = 10.0
    first: float = 0.5
    ceiling: float = 10.0
    jitter: float = 0.5

    def delay(self, crashes: int, chance: float) -> float:
        """Seconds before the restart after `crashes` crashes in a row; `chance` is in [0, 1)."""
        if crashes <= self.burst:
            return 0.0
        wait = min(self.ceiling, self.first * 2.0 ** min(crashes - self.burst - 1, 32))
        return wait * (1 - self.jitter * chance)


@dataclass(frozen=True, slots=True, kw_only=True)
class Child(Generic[P]):
    """An actor to keep alive: `factory` makes each incarnation, `address` is where it answers."""

    address: Address[P]
    factory: Callable[[], P]
    policy: RestartPolicy = field(default_factory=RestartPolicy)


class ChildExited(Message, frozen=True, kw_only=True):
    """Told to a supervisor by the end of a child that nobody asked to stop."""

    name: str
    error: Any
    lived: float


class Supervisor(Actor):
    """Keeps an ordered list of children alive, one for one.

    It boots the next child when the last answers `Ping`, so boot order is dependency order. A
    child that cannot start while booting ends the boot: those already up are stopped in reverse
    and `ready` fails with `BootError`. Afterwards nothing a child does ends the supervisor. With
    `essential=False` not even that does: to fail while booting is a crash like any other.
    """

    def __init__(
        self,
        children: Sequence[Child[Any]],
        *,
        boot_within: float = 60,
        stop_within: float = 30,
        essential: bool = True,
    ) -> None:
        super().__init__()
        self._essential = essential
        self._children = {child.address.name: child for child in children}
        self._alive: dict[str, Actor] = {}
        self._crashes: Counter[str] = Counter()
        self._boot_within = boot_within
        self.stop_within = stop_within

    async def started(self) -> None:
        for child in self._children.values():
            try:
                await self._boot(child)
            except Exception as error:
                if self._essential:
                    raise self._not_booted(child, error) from error
                self._exited(child, error, 0.0)

    async def stopped(self) -> None:
        """Stop the children in reverse, all within one total deadline."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.stop_within
        for name in reversed(self._children):
            if (actor := self._alive.pop(name, None)) is not None:
                await actor.retire(max(0.0, deadline - loop.time()))
            self._children[name].address.unbind(State.STOPPED)

    async def receive(self, message: ChildExited) -> None:
        child = self._children[message.name]
        if message.lived >= child.policy.settled:
            self._crashes[message.name] = 0
        self._crashes[message.name] += 1
        crashes = self._crashes[message.name]
        delay = child.policy.delay(crashes, random.random())  # noqa: S311 - jitter, no secret
        state = State.UNAVAILABLE if delay else State.RESTARTING
        child.address.unbind(state, f"crashed: {message.error!r}", delay)
        child.address.metrics.restarts += 1
        log.error(
            "actor crashed",
            actor=message.name,
            error=repr(message.error),
            crashes=crashes,
            restart_in=round(delay, 3),
            # Once: one that cannot start for hours says the same each time.
            exc_info=message.error if crashes == 1 else None,
        )
        self.own(self._revive(child, delay), f"revive.{message.name}")

    def _not_booted(self, child: Child[Any], error: Exception) -> BootError:
        within = f"it was not ready within {self._boot_within:g} s"
        why = within if isinstance(error, TimeoutError) else error
        return BootError(f"{child.address.name} could not start: {why}")

    async def _revive(self, child: Child[Any], delay: float) -> None:
        await asyncio.sleep(delay)
        try:
            await self._boot(child)
        except Exception as error:  # noqa: BLE001 - a failed restart is one more crash
            self._exited(child, error, 0.0)

    async def _boot(self, child: Child[Any]) -> None:
        actor: Actor = child.factory()
        actor.launch(child.address.name, child.address.metrics)
        try:
            async with asyncio.timeout(self._boot_within):
                await actor.ready
                child.address.bind(actor)
                await child.address.ask(Ping(), within=self._boot_within)
        except BaseException as error:  # noqa: BLE001 - raised again, or its cause is
            # What ended the actor says more than what its end did to the ping.
            ended = (isinstance(error, Exception) and actor.exit) or error
            child.address.unbind(State.STARTING)
            await actor.retire(0)
            raise ended from ended.__cause__
        self._alive[child.address.name] = actor
        born = asyncio.get_running_loop().time()
        # Only now: a boot that failed is told by raising, and once.
        actor.on_exit(lambda: self._child_ended(child, actor, born))

    def _child_ended(self, child: Child[Any], actor: Actor, born: float) -> None:
        if self._alive.get(child.address.name) is actor:
            del self._alive[child.address.name]
            self._exited(child, actor.exit, asyncio.get_running_loop().time() - born)

    def _exited(self, child: Child[Any], error: BaseException | None, lived: float) -> None:
        child.address.unbind(State.RESTARTING, f"crashed: {error!r}")
        with suppress(Unavailable, ActorDeadError):  # this supervisor is stopping itself
            name = child.address.name
            self.actor_ref.tell(ChildExited(name=name, error=error, lived=lived))
