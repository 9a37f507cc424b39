"""PubSub within this process: broadcasting is delivering."""

from actors.pubsub import PubSub
from actors.runtime import Event, Lane


class LocalPubSub(PubSub):
    """The bus of a platform that is one process.

    No handling here ever waits, so a wide lane keeps the order of a narrow one, and a burst of
    events does not pile up behind the turns of the event loop.
    """

    lanes = (Lane("all", 256, limit=10_000),)

    async def broadcast(self, event: Event) -> None:
        self.deliver(event)
