"""Questions that are asked once, however many plans need their answer."""

from typing import Any, TypeVar

import msgspec

from actors.runtime import Actor, Address, Request

P = TypeVar("P", bound=Actor)
R = TypeVar("R")


class Questions:
    """Asks, and remembers the answers, for as long as one message is served."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, bytes], Any] = {}

    async def ask(self, address: Address[P], message: Request[P, R]) -> R:
        """The answer to a question, asked now unless it has been answered before."""
        key = (address.name, msgspec.msgpack.encode(message))
        if key not in self._answers:
            self._answers[key] = await address.ask(message)
        answer: R = self._answers[key]
        return answer
