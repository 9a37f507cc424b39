"""How deliveries leave this machine."""

from typing import Protocol

import msgspec


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a request: the status of the answer, or why there is none.

    `latency` is in milliseconds. `blocked` means that the address may not be reached from here.
    """

    status: int | None
    latency: int
    error: str | None = None
    blocked: bool = False


class Sender(Protocol):
    """Posts to receivers that nobody trusts."""

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> Sent:
        """Post once and answer within 15 seconds; never raises for what a receiver does.

        Names are resolved once, one blocked address blocks them, and the connection goes to an
        address that was checked. Redirects are not followed, and bodies of answers are not read.
        """
        ...
