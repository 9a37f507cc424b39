"""The bus: facts, published once, delivered to whoever subscribed to one of their topics.

Topics are plain strings: `run/<id>`, `application/<id>`, `agent/<application>/<package>`. An event
names its own, and is delivered under its kind besides: on the instance that published it under
`here/<kind>`, on every instance under `everywhere/<kind>`. Delivery is at most once and in
publishing order per publisher; the database is the truth, so a subscriber that missed something
reads it there. Implementations: LocalPubSub (within this process).
"""

import asyncio
import contextlib
from abc import abstractmethod
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias, assert_never

import msgspec

from actors.runtime import Actor, Address, Event, Request

QUEUE_LIMIT = 2000


class Publish(Request["PubSub", None], frozen=True, kw_only=True):
    """Deliver `event` under each of its topics. Usually told: a publisher waits for nobody."""

    event: Event


class Subscribe(Request["PubSub", "Subscription"], frozen=True, kw_only=True):
    """Receive what is published under any of `topics` from now on."""

    topics: frozenset[str]
    limit: int = QUEUE_LIMIT


class Unsubscribe(Request["PubSub", None], frozen=True, kw_only=True):
    """End a subscription; one that has ended already is no mistake."""

    subscription: "Subscription"


class Lagged(msgspec.Struct, frozen=True):
    """The subscription ended because it was not read fast enough; `missed` is where it stopped."""

    limit: int


PubSubMessage: TypeAlias = Publish | Subscribe | Unsubscribe


class Subscription:
    """A bounded queue of events, read by `async for`.

    When it is full it ends: what was queued is still delivered, then comes one `Lagged`. The
    publisher never waits and other subscribers notice nothing.
    """

    def __init__(self, topics: frozenset[str], limit: int) -> None:
        self.topics = topics
        self.limit = limit
        self._events: deque[Event | Lagged] = deque()
        self._ended = False
        self._wakeup = asyncio.Event()

    def offer(self, event: Event) -> bool:
        """Queue an event. Returns False when this ended the subscription."""
        if self._ended:
            return False
        if len(self._events) >= self.limit:
            self._events.append(Lagged(self.limit))
            self.end()
            return False
        self._events.append(event)
        self._wakeup.set()
        return True

    def end(self) -> None:
        """Deliver nothing more than what is queued."""
        self._ended = True
        self._wakeup.set()

    def take(self) -> list[Event | Lagged]:
        """Everything that is queued, at once."""
        events = list(self._events)
        self._events.clear()
        return events

    async def batch(self, within: float) -> list[Event | Lagged] | None:
        """Everything that is queued, once there is something.

        Empty when nothing came `within` seconds; None once the subscription has ended.
        """
        if not self._events and not self._ended:
            self._wakeup.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within):
                    await self._wakeup.wait()
        if self._events:
            return self.take()
        return None if self._ended else []

    def __aiter__(self) -> AsyncIterator[Event | Lagged]:
        return self

    async def __anext__(self) -> Event | Lagged:
        while not self._events:
            if self._ended:
                raise StopAsyncIteration
            self._wakeup.clear()
            await self._wakeup.wait()
        return self._events.popleft()


class PubSub(Actor):
    """Keeps the subscriptions of this process and delivers to them.

    An implementation supplies `broadcast`, which makes `deliver` happen in every process that
    shares the bus, this one included.
    """

    def __init__(self) -> None:
        super().__init__()
        self._by_topic: dict[str, set[Subscription]] = {}

    async def receive(self, message: PubSubMessage) -> Any:
        match message:
            case Publish():
                self._offer(message.event, (here_topic(type(message.event)),))
                return await self.broadcast(message.event)
            case Subscribe():
                return self._subscribe(message)
            case Unsubscribe():
                return self._forget(message.subscription)
            case _:
                assert_never(message)

    @abstractmethod
    async def broadcast(self, event: Event) -> None: ...

    def deliver(self, event: Event) -> None:
        """Offer `event` to every local subscription of one of its topics, once."""
        self._offer(event, (*event.topics, everywhere_topic(type(event))))

    def _offer(self, event: Event, topics: Iterable[str]) -> None:
        hearers: set[Subscription] = set()
        for topic in topics:
            hearers |= self._by_topic.get(topic, set())
        for hearer in hearers:
            if not hearer.offer(event):
                self._forget(hearer)

    async def stopped(self) -> None:
        for subscriptions in self._by_topic.values():
            for subscription in subscriptions:
                subscription.end()
        self._by_topic.clear()

    def _subscribe(self, message: Subscribe) -> Subscription:
        subscription = Subscription(message.topics, message.limit)
        for topic in message.topics:
            self._by_topic.setdefault(topic, set()).add(subscription)
        return subscription

    def _forget(self, subscription: Subscription) -> None:
        subscription.end()
        for topic in subscription.topics:
            hearers = self._by_topic.get(topic)
            if hearers is not None:
                hearers.discard(subscription)
                if not hearers:
                    del self._by_topic[topic]


def here_topic(kind: type[Event]) -> str:
    """The topic of the events of a kind that this instance publishes."""
    return f"here/{kind.__name__}"


def everywhere_topic(kind: type[Event]) -> str:
    """The topic of the events of a kind, whichever instance publishes them."""
    return f"everywhere/{kind.__name__}"


@asynccontextmanager
async def subscription(pubsub: Address[PubSub], *topics: str) -> AsyncGenerator[Subscription, None]:
    """A subscription for the length of a block."""
    subscribed = await pubsub.ask(Subscribe(topics=frozenset(topics)))
    try:
        yield subscribed
    finally:
        subscribed.end()
        pubsub.tell(Unsubscribe(subscription=subscribed))
