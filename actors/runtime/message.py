"""The three kinds of thing that travel: messages, requests and events."""

from datetime import UTC, datetime
from typing import Any, ClassVar, Generic, TypeVar
from uuid import uuid4

import msgspec

# Whoever answers for a port also answers for each of its subclasses.
Port = TypeVar("Port", contravariant=True)
Answer = TypeVar("Answer", covariant=True)


class Message(msgspec.Struct, frozen=True, tag=True, tag_field="@type"):
    """Anything that can be put in an inbox. Subclasses repeat `frozen=True, kw_only=True`."""


class Request(Message, Generic[Port, Answer], frozen=True, forbid_unknown_fields=True):
    """A question or command to a `Port`, answered with an `Answer` by exactly one handler.

    A `streaming` request carries or answers with a stream of bytes: its deadline covers the wait
    for a lane only, and the transfer is bounded by the handler.
    """

    streaming: ClassVar[bool] = False


class Event(Message, frozen=True, kw_only=True):
    """A fact, in the past tense. Fields unknown to a reader are ignored, so old may hear new."""

    id: str = msgspec.field(default_factory=lambda: f"evt_{uuid4()}")
    at: datetime = msgspec.field(default_factory=lambda: datetime.now(UTC))

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics under which PubSub delivers this event."""
        return ()


class Ping(Request[Any, None], frozen=True):
    """Asks any actor whether it answers. It queues like every other message."""
