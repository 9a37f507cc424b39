"""PubSub within this process: broadcasting is delivering."""

from actors.pubsub import PubSub
from actors.runtime import Event


class LocalPubSub(PubSub):
    """The bus of a platform that is one process."""

    async def broadcast(self, event: Event) -> None:
        self.deliver(event)
