"""Where to reach an actor, whichever incarnation is alive."""

import asyncio
from dataclasses import replace
from enum import StrEnum
from typing import Generic, TypeVar

import structlog

from actors.runtime.actor import Actor
from actors.runtime.context import current_context
from actors.runtime.errors import Unavailable
from actors.runtime.inbox import Envelope, Reply
from actors.runtime.message import Message, Request
from actors.runtime.metrics import Metrics

log = structlog.get_logger("actors")

P = TypeVar("P", bound=Actor)
R = TypeVar("R")


class State(StrEnum):
    """What stands behind an address right now."""

    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"
    UNAVAILABLE = "unavailable"
    STOPPED = "stopped"


class Address(Generic[P]):
    """A stable name for an actor that may be restarted behind it.

    `ask` waits for an answer, `tell` expects none. Both take effect in the order they are called
    from one task, for messages of one lane.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.metrics = Metrics()
        self.state = State.STARTING
        self.reason: str | None = None
        self._actor: P | None = None
        self._retry_after = 1.0

    def __repr__(self) -> str:
        return f"<Address {self.name}: {self.state}>"

    async def ask(self, message: Request[P, R], *, within: float = 30.0) -> R:
        """Send `message` and wait for its answer.

        Raises the `Refusal` the actor answered with; `Unavailable` when it is down, full,
        stopping, or has not answered `within` seconds (or by the deadline of the message that is
        being served here, if that is sooner); `HandlerError` or `ActorCrashed` when it broke.
        Cancelling the ask cancels the handling.
        """
        context = current_context.get()
        deadline = asyncio.get_running_loop().time() + within
        if context.deadline is not None:
            deadline = min(deadline, context.deadline)
        reply: Reply[R] = Reply()
        envelope: Envelope | None = None
        try:
            async with asyncio.timeout_at(deadline) as clock:
                envelope = Envelope(message, reply, replace(context, deadline=deadline), clock)
                self._incarnation().inbox.put(envelope)
                return await reply
        except TimeoutError:
            what = f"{self.name} did not answer {type(message).__name__} in time"
            raise Unavailable(what, retry_after=1) from None
        finally:
            if envelope is not None:
                envelope.abandon()

    def tell(self, message: Message) -> None:
        """Send `message` and go on. One that cannot be delivered is a dead letter: counted,
        logged, forgotten. Whoever needs to know asks.
        """
        try:
            context = replace(current_context.get(), deadline=None)
            self._incarnation().inbox.put(Envelope(message, None, context))
        except Unavailable as why:
            self.metrics.dead_letters += 1
            name = type(message).__name__
            log.warning("dead letter", actor=self.name, message=name, why=why.detail)

    def bind(self, actor: P) -> None:
        """From now on `actor` is who answers. For supervisors."""
        self._actor = actor
        self.state = State.RUNNING
        self.reason = None

    def unbind(self, state: State, reason: str | None = None, retry_after: float = 1.0) -> None:
        """Nobody answers for now, and why. For supervisors."""
        self._actor = None
        self.state = state
        self.reason = reason
        self._retry_after = max(1.0, retry_after)

    def _incarnation(self) -> P:
        if self._actor is None:
            raise Unavailable(f"{self.name} is {self.state}", retry_after=self._retry_after)
        return self._actor
