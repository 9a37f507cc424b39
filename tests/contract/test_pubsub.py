"""What every PubSub promises."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from actors.pubsub import (
    Lagged,
    Publish,
    PubSub,
    Subscribe,
    Unsubscribe,
    everywhere_topic,
    here_topic,
    subscription,
)
from actors.runtime import Address, Event
from support.running import running
from support.waiting import eventually


class Said(Event, frozen=True, kw_only=True):
    text: str
    where: tuple[str, ...] = ("here",)

    @property
    def topics(self) -> tuple[str, ...]:
        return self.where


@pytest.fixture(params=[pytest.param("local_pubsub", id="local")])
def factory(request: pytest.FixtureRequest) -> Callable[[], PubSub]:
    made: Callable[[], PubSub] = request.getfixturevalue(request.param)
    return made


@pytest.fixture
async def pubsub(factory: Callable[[], PubSub]) -> AsyncIterator[Address[PubSub]]:
    async with running(factory) as address:
        yield address


async def heard(events: AsyncIterator[Event | Lagged], count: int) -> list[str]:
    texts: list[str] = []
    async with asyncio.timeout(5):
        while len(texts) < count:
            event = await anext(events)
            assert isinstance(event, Said)
            texts.append(event.text)
    return texts


async def test_subscribers_hear_their_topics_in_order(pubsub: Address[PubSub]) -> None:
    async with subscription(pubsub, "here") as here, subscription(pubsub, "there") as there:
        for n in range(5):
            pubsub.tell(Publish(event=Said(text=f"here {n}")))
            pubsub.tell(Publish(event=Said(text=f"there {n}", where=("there",))))

        assert await heard(here, 5) == [f"here {n}" for n in range(5)]
        assert await heard(there, 5) == [f"there {n}" for n in range(5)]


async def test_an_event_with_two_topics_is_heard_once(pubsub: Address[PubSub]) -> None:
    async with subscription(pubsub, "a", "b") as both:
        await pubsub.ask(Publish(event=Said(text="once", where=("a", "b"))))
        await pubsub.ask(Publish(event=Said(text="then", where=("b",))))

        assert await heard(both, 2) == ["once", "then"]


async def test_nothing_from_before_or_after_a_subscription_is_heard(
    pubsub: Address[PubSub],
) -> None:
    await pubsub.ask(Publish(event=Said(text="before")))
    subscribed = await pubsub.ask(Subscribe(topics=frozenset({"here"})))
    await pubsub.ask(Publish(event=Said(text="during")))
    await pubsub.ask(Unsubscribe(subscription=subscribed))
    await pubsub.ask(Publish(event=Said(text="after")))

    assert [e.text async for e in subscribed if isinstance(e, Said)] == ["during"]


async def test_unsubscribing_twice_is_no_mistake(pubsub: Address[PubSub]) -> None:
    subscribed = await pubsub.ask(Subscribe(topics=frozenset({"here"})))
    await pubsub.ask(Unsubscribe(subscription=subscribed))
    await pubsub.ask(Unsubscribe(subscription=subscribed))


async def test_a_subscriber_that_is_too_slow_ends_with_lagged_and_harms_nobody(
    pubsub: Address[PubSub],
) -> None:
    slow = await pubsub.ask(Subscribe(topics=frozenset({"here"}), limit=2))
    async with subscription(pubsub, "here") as quick:
        for n in range(4):
            await pubsub.ask(Publish(event=Said(text=str(n))))

        assert await heard(quick, 4) == ["0", "1", "2", "3"]
    events = [event async for event in slow]
    assert [e.text for e in events if isinstance(e, Said)] == ["0", "1"]
    assert events[-1] == Lagged(2)


async def test_publishing_to_nobody_is_fine(pubsub: Address[PubSub]) -> None:
    await pubsub.ask(Publish(event=Said(text="anyone?")))


async def test_subscriptions_end_when_the_bus_stops(factory: Callable[[], PubSub]) -> None:
    async with running(factory) as address:
        subscribed = await address.ask(Subscribe(topics=frozenset({"here"})))

    assert [event async for event in subscribed] == []


async def test_a_cancelled_reader_loses_no_event(pubsub: Address[PubSub]) -> None:
    async with subscription(pubsub, "here") as events:
        reading = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)
        reading.cancel()
        await pubsub.ask(Publish(event=Said(text="kept")))

        assert await heard(events, 1) == ["kept"]


async def test_an_event_is_heard_under_its_kind_once_here_and_once_everywhere(
    pubsub: Address[PubSub],
) -> None:
    here, everywhere = here_topic(Said), everywhere_topic(Said)
    async with (
        subscription(pubsub, here) as by_kind,
        subscription(pubsub, everywhere, "elsewhere") as of_all,
    ):
        await pubsub.ask(Publish(event=Said(text="a", where=())))
        await pubsub.ask(Publish(event=Said(text="b", where=("elsewhere",))))

        assert await heard(by_kind, 2) == ["a", "b"]
        assert await heard(of_all, 2) == ["a", "b"]


async def test_after_a_crash_old_subscriptions_have_ended_and_new_ones_hear(
    pubsub: Address[PubSub],
) -> None:
    old = await pubsub.ask(Subscribe(topics=frozenset({"here"})))
    await pubsub.ask(Publish(event=Said(text="before")))
    crash: Any = object()
    pubsub.tell(crash)
    await eventually(lambda: pubsub.metrics.restarts == 1 and pubsub.state == "running")

    async with subscription(pubsub, "here") as new:
        await pubsub.ask(Publish(event=Said(text="after")))
        assert await heard(new, 1) == ["after"]
    assert [event.text async for event in old if isinstance(event, Said)] == ["before"]
