"""A model under another name: requests carry the alias, the provider sees the real name.

Answers name the alias wherever they name a model. An error is told without the provider's own
words, for these tend to name the model they are about.
"""

from typing import Any

import msgspec

from actors.documents import as_object

MOST_REQUEST_BYTES = 32 * 1024 * 1024
MOST_LINE_BYTES = 16 * 1024 * 1024


class Alias(msgspec.Struct, frozen=True, kw_only=True):
    """What a run calls its model, and what its provider does."""

    public: str
    real: str


def real_request(body: bytes, alias: Alias) -> bytes:
    """The request with the real model. Raises ValueError for one that names another model."""
    document: Any = msgspec.json.decode(body)
    if as_object(document).get("model") != alias.public:
        raise ValueError(f'the request must name "model": "{alias.public}"')
    return msgspec.json.encode(document | {"model": alias.real})


def told_error(status: int) -> dict[str, Any]:
    """What is said of an error of the provider's."""
    return {"error": {"message": f"the model's provider answered {status}", "code": str(status)}}


class PublicAnswer:
    """Puts the alias into an answer while it streams: whole lines of events, else the whole."""

    def __init__(self, alias: Alias, *, events: bool) -> None:
        self._alias = alias
        self._events = events
        self._rest = b""

    def feed(self, chunk: bytes) -> bytes:
        """Take what came, give what may be passed on."""
        self._rest += chunk
        if len(self._rest) > MOST_LINE_BYTES:
            raise ValueError("the provider's answer is too large to be renamed")
        if not self._events:
            return b""
        lines = self._rest.split(b"\n")
        self._rest = lines.pop()
        return b"".join(self._line(line) + b"\n" for line in lines)

    def rest(self) -> bytes:
        """What is left at the end."""
        rest, self._rest = self._rest, b""
        return self._line(rest) if self._events else self._renamed(rest)

    def _line(self, line: bytes) -> bytes:
        name, colon, value = line.partition(b":")
        if name != b"data" or not value.strip().startswith(b"{"):
            return line
        return name + colon + b" " + self._renamed(value.strip())

    def _renamed(self, content: bytes) -> bytes:
        try:
            document = msgspec.json.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return content.replace(self._alias.real.encode(), self._alias.public.encode())
        if "error" in as_object(document) and as_object(document)["error"]:
            return msgspec.json.encode(told_error(200) | {"type": "error"})
        # The protocols name the model at the top, in a first message, or in a response.
        for each in (document, as_object(document).get("message"), _response(document)):
            if "model" in as_object(each):
                as_object(each)["model"] = self._alias.public
        return msgspec.json.encode(document)


def _response(document: Any) -> Any:
    return as_object(document).get("response")
