"""Extensions: actors that listen to the bus, and come with distributions of their own.

    class AnnouncerSettings(msgspec.Struct, frozen=True):
        channel: str                        # EXTENSION_ANNOUNCER_CHANNEL

    class Announcer(Extension):
        Settings = AnnouncerSettings

        @on(RunChanged)
        async def announce(self, event: RunChanged) -> None: ...

    [project.entry-points."appstrate.extensions"]
    announcer = "acme.announcer:Announcer"

An extension imports nothing of the platform but `actors`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any, ClassVar, Self, TypeVar, final

import msgspec
import structlog

from actors.addresses import Addresses
from actors.pubsub import (
    Lagged,
    PubSub,
    Subscribe,
    Subscription,
    Unsubscribe,
    everywhere_topic,
    here_topic,
)
from actors.runtime import Actor, Address, AskError, Event, Unavailable

log = structlog.get_logger("extensions")

Handler = TypeVar("Handler", bound=Callable[..., Awaitable[None]])

MARK = "__listens_to__"
RETRY_SECONDS = 1.0


def on(*kinds: type[Event], everywhere: bool = False) -> Callable[[Handler], Handler]:
    """Hand the decorated method each event of these kinds, and of no kind derived from them.

    An event is heard on the instance that published it, once. With `everywhere` it is heard on
    every instance, which is for caches. It may be lost when the bus is: whoever must not miss
    anything reads the database.
    """

    def mark(handler: Handler) -> Handler:
        setattr(handler, MARK, (kinds, everywhere))
        return handler

    return mark


class ExtensionError(Exception):
    """An extension has tried to end more than itself."""


@contextmanager
def contained() -> Generator[None]:
    """Around an extension's own code: however it ends, that is a crash of the extension alone."""
    try:
        yield
    except (Exception, GeneratorExit):
        raise
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ExtensionError("it raised CancelledError without being cancelled") from None
    except BaseException as error:  # noqa: BLE001 - whatever else there is
        raise ExtensionError(f"it raised {error!r}, which would end the server") from None


class NoSettings(msgspec.Struct, frozen=True):
    """Of an extension that has nothing to set."""


class Extension(Actor):
    """An actor that hears events, one at a time and in the order they came.

    What a handler raises is a crash: that event is gone, and a new incarnation listens from then
    on. Never block the event loop: what waits for a disk belongs in `asyncio.to_thread`.
    """

    Settings: ClassVar[type[msgspec.Struct]] = NoSettings
    """What is read from the variables `EXTENSION_<NAME>_<FIELD>`. An extension with a field that
    has no default is off until one of its variables is set."""

    listens: ClassVar[dict[type[Event], tuple[str, ...]]] = {}
    """The names of the methods that handle each kind of event."""

    _topics: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, pubsub: Address[PubSub]) -> None:
        super().__init__()
        self._pubsub = pubsub
        self._subscription: Subscription | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        listens: dict[type[Event], tuple[str, ...]] = {}
        topics: dict[type[Event], str] = {}
        for name in dir(cls):
            kinds, everywhere = getattr(getattr(cls, name, None), MARK, ((), False))
            for kind in kinds:
                topic = (everywhere_topic if everywhere else here_topic)(kind)
                if topics.setdefault(kind, topic) != topic:
                    raise TypeError(
                        f"{cls.__name__} hears {kind.__name__} both here and everywhere"
                    )
                listens[kind] = (*listens.get(kind, ()), name)
        cls.listens, cls._topics = listens, frozenset(topics.values())

    @classmethod
    def build(cls, settings: Any, at: Addresses) -> Self:
        """A new incarnation, with the addresses it wants. For an extension that needs some."""
        del settings
        return cls(at.pubsub)

    async def open(self) -> None:
        """Open what the extension needs. It hears nothing before this returns."""

    async def close(self) -> None:
        """Close it again; also when `open` failed midway."""

    @final
    async def started(self) -> None:
        with contained():
            await self.open()
        subscription = await self._subscribe()
        self.own(self._listen(subscription), "listen")

    @final
    async def stopped(self) -> None:
        try:
            if self._subscription is not None:
                self._pubsub.tell(Unsubscribe(subscription=self._subscription))
                waiting = self._subscription.take() if self.exit is None else []
                for event in waiting:  # facts of the last moments
                    await self._hear(event)
        finally:
            with contained():
                await self.close()

    async def _listen(self, subscription: Subscription) -> None:
        while True:
            async for event in subscription:
                await self._hear(event)
            # It lagged, or the bus began anew.
            subscription = await self._subscribe()

    async def _hear(self, event: Event | Lagged) -> None:
        if isinstance(event, Lagged):
            log.warning("extension too slow: it missed events", extension=self.name)
            return
        for name in self.listens.get(type(event), ()):
            with contained():
                await getattr(self, name)(event)

    async def _subscribe(self) -> Subscription:
        while True:
            try:
                self._subscription = await self._pubsub.ask(Subscribe(topics=self._topics))
            except (Unavailable, AskError):
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return self._subscription
