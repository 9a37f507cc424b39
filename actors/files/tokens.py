"""Tokens that open one door for a while: `<id>.<Unix seconds>.<hmac>`."""

import hashlib
import hmac
from datetime import datetime

from actors.runtime import Rejected


class FileTokens:
    """Signs and verifies. The first key signs, every one verifies."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        self._keys = keys

    def new(self, door: str, thing: str, until: datetime) -> str:
        """A token that opens a door to a thing, to the second."""
        text = f"{thing}.{int(until.timestamp())}"
        return f"{text}.{_mac(self._keys[0], door, text)}"

    def open(self, door: str, token: str, now: datetime, expired: str) -> str:
        """What a token opens the door to; refuses with `unauthorized`, or `expired`."""
        text, _, mac = token.rpartition(".")
        fits = [hmac.compare_digest(_mac(k, door, text).encode(), mac.encode()) for k in self._keys]
        thing, _, until = text.rpartition(".")
        if not any(fits):
            told = "token is missing or not valid: use the URL as it was given, unchanged"
            raise Rejected(told, code="unauthorized", param="token")
        if int(until) <= now.timestamp():
            raise Rejected("the time of this link is over: ask for another", code=expired)
        return thing


def _mac(key: str, door: str, text: str) -> str:
    return hmac.new(key.encode(), f"{door}:{text}".encode(), hashlib.sha256).hexdigest()
