"""Whether the server answers."""

from collections.abc import Callable

from actors.runtime import Unavailable


class Gate:
    """Whether requests are let in: not before everything runs, not while it stops."""

    def __init__(self) -> None:
        self.closed: str | None = "starting"
        self._closing: list[Callable[[], None]] = []

    def open(self) -> None:
        """Let requests in."""
        self.closed = None

    def close(self) -> None:
        """Let no more in, and end what has no end of its own."""
        self.closed = "shutting_down"
        for end in self._closing:
            end()

    def on_close(self, end: Callable[[], None]) -> None:
        """Call `end` when the gate closes."""
        self._closing.append(end)

    def check(self) -> None:
        """Refuse while the gate is closed."""
        if self.closed is not None:
            what = self.closed.replace("_", " ")
            raise Unavailable(f"the server is {what}", code=self.closed, retry_after=1)
