"""Bounded mailboxes: envelopes, the replies they ask for, and the lanes they wait in."""

import asyncio
import sys
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import pykka
from pykka._envelope import Envelope as PykkaEnvelope
from pykka._types import OptExcInfo
from pykka.messages import _ActorStop  # pyright: ignore[reportPrivateUsage]

from actors.runtime.context import Context, current_context
from actors.runtime.errors import InboxFull, Unavailable
from actors.runtime.metrics import Metrics

T = TypeVar("T")


class Reply(pykka.Future[T]):
    """A Pykka future that is awaited and never blocks the loop."""

    def __init__(self) -> None:
        super().__init__()
        self._future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def get(self, *, timeout: float | None = None) -> T:
        if not self._future.done():
            raise RuntimeError("await the reply: get() would block the event loop")
        return self._future.result()

    def set(self, value: Any = None) -> None:
        if not self._future.done():
            self._future.set_result(value)

    def set_exception(self, exc_info: OptExcInfo | None = None) -> None:
        error = (exc_info or sys.exc_info())[1]
        if error is not None:
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """Answer with an exception; a reply that is already settled stays as it is."""
        if not self._future.done():
            self._future.set_exception(error)

    @property
    def settled(self) -> bool:
        """Whether it was answered or given up."""
        return self._future.done()

    def give_up(self) -> bool:
        """Settle as unwanted. Returns whether nobody had answered."""
        # An asker that was cancelled while it awaited has cancelled the future already.
        return self._future.cancel() or self._future.cancelled()

    def __await__(self) -> Generator[Any, None, T]:
        return self._future.__await__()


class Envelope(PykkaEnvelope[Any]):
    """A message with the reply it asks for and the context of its sender."""

    __slots__ = ("asker", "clock", "context", "put_at", "served_at", "task")

    def __init__(
        self,
        message: Any,
        asker: Reply[Any] | None,
        context: Context,
        clock: asyncio.Timeout | None = None,
    ) -> None:
        super().__init__(message, asker)
        self.asker = asker
        self.context = context
        self.clock = clock
        self.put_at = 0.0
        self.served_at = 0.0
        self.task: asyncio.Task[Any] | None = None

    @classmethod
    def of(cls, envelope: PykkaEnvelope[Any]) -> "Envelope":
        """This envelope, or one that came through Pykka's own ref, with the current context."""
        if isinstance(envelope, cls):
            return envelope
        reply_to = envelope.reply_to
        assert reply_to is None or isinstance(reply_to, Reply)
        return cls(envelope.message, reply_to, current_context.get())

    @property
    def unwanted(self) -> bool:
        """Whether the asker of this message, which waits, has given up or is about to."""
        return self.asker is not None and self.asker.settled

    def abandon(self) -> None:
        """The asker is gone: cancel the handling of this message, if it has begun."""
        if self.asker is not None and self.asker.give_up() and self.task is not None:
            self.task.cancel()

    def fail(self, error: BaseException) -> None:
        """Answer the asker, if there is one, with `error`."""
        if self.asker is not None:
            self.asker.fail(error)


@dataclass(frozen=True, slots=True)
class Lane:
    """How many messages of some types an actor serves at the same time, and how many may wait."""

    name: str
    width: int
    messages: tuple[type, ...] = ()
    limit: int = 1000


class Channel:
    """One lane at work: who waits, who is being served."""

    __slots__ = ("lane", "serving", "waiting")

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.waiting: deque[Envelope] = deque()
        self.serving: dict[asyncio.Task[Any], Envelope] = {}

    @property
    def free(self) -> bool:
        """Whether the next waiting message may be served."""
        return len(self.serving) < self.lane.width


class Inbox:
    """Where messages wait, in one bounded queue per lane.

    `put` is Pykka's seam and never waits: it takes the message or refuses with `InboxFull` or,
    once the actor stops, `Unavailable`. It tells the actor at once, so no message sits beside a
    free lane, and there is no loop to be woken or to swallow a wake-up.
    """

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.owner = "actor"
        self.channels: list[Channel] = []
        self.closed = False
        self._by_message: dict[type, Channel] = {}
        self._on_message: Callable[[Channel], None] = _nobody
        self._on_stop: Callable[[Reply[Any] | None], None] = _nobody

    def connect(
        self,
        lanes: Sequence[Lane],
        on_message: Callable[[Channel], None],
        on_stop: Callable[[Reply[Any] | None], None],
    ) -> None:
        """Set the lanes up. The last lane takes every message that no other lane names."""
        self.channels = [Channel(lane) for lane in lanes]
        self._by_message = {m: c for c in self.channels for m in c.lane.messages}
        self._on_message = on_message
        self._on_stop = on_stop

    def put(self, envelope: PykkaEnvelope[Any], /) -> None:
        if isinstance(envelope.message, _ActorStop):
            reply_to = envelope.reply_to
            assert reply_to is None or isinstance(reply_to, Reply)
            self._on_stop(reply_to)
            return
        if self.closed:
            self.metrics.rejected += 1
            raise Unavailable(f"{self.owner} is stopping", retry_after=1)
        kind: type[Any] = envelope.message.__class__
        channel = self._by_message.get(kind, self.channels[-1])
        if len(channel.waiting) >= channel.lane.limit:
            self.metrics.rejected += 1
            raise InboxFull(f"{self.owner} has too much to do", retry_after=1)
        ours = Envelope.of(envelope)
        ours.put_at = asyncio.get_running_loop().time()
        channel.waiting.append(ours)
        self.metrics.enqueued()
        self._on_message(channel)

    def get(self) -> Envelope:
        """The next message of whichever lane has one; for emptying the inbox at the end."""
        for channel in self.channels:
            if channel.waiting:
                self.metrics.waiting -= 1
                return channel.waiting.popleft()
        raise LookupError("the inbox is empty")

    def empty(self) -> bool:
        return not any(channel.waiting for channel in self.channels)

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is being served."""
        return self.empty() and not any(channel.serving for channel in self.channels)


def _nobody(_: object) -> None:
    """Nobody listens yet; what is put now waits."""
