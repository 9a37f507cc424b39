"""Looking names up, so that a silent name server holds up nobody but who asked for its name."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from threading import Thread

from aiohttp.abc import ResolveResult

MOST = 128

Resolver = Callable[[str, int], Awaitable[list[str]]]
"""From a host and a port to all its addresses; raises `OSError`."""


class Lookups:
    """Asks the system for every address of a name, each time in a thread of its own.

    An event loop has few threads for all names, uvloop two: as many names of silent servers, and
    anybody may give us those, would hold up every other name for half a minute. Here `most` are
    looked up at once; a thread counts until the system gives up, whether or not somebody waits.
    """

    def __init__(self, most: int = MOST) -> None:
        self._free = asyncio.Semaphore(most)

    async def __call__(self, host: str, port: int) -> list[str]:
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[str]] = loop.create_future()

        def settle(found: list[str] | OSError) -> None:
            self._free.release()
            if answer.done():
                return
            if isinstance(found, OSError):
                answer.set_exception(found)
            else:
                answer.set_result(found)

        def look() -> None:
            found = _addresses(host, port)
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(settle, found)

        try:
            # A daemon: the process must not wait for name servers when it ends.
            Thread(target=look, name="lookup", daemon=True).start()
        except BaseException:
            self._free.release()
            raise
        return await answer


def resolved(host: str, port: int, addresses: list[str]) -> list[ResolveResult]:
    """Addresses of a name, as the connectors of aiohttp want them."""
    return [
        ResolveResult(
            hostname=host,
            host=address,
            port=port,
            family=socket.AF_INET6 if ":" in address else socket.AF_INET,
            proto=0,
            flags=socket.AI_NUMERICHOST,
        )
        for address in addresses
    ]


def _addresses(host: str, port: int) -> list[str] | OSError:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as problem:
        return problem
    except UnicodeError:
        return OSError(f"{host[:100]} is no name of a host")
    return [str(address[0]) for *_, address in found]
