"""Looking names up: whose name servers are silent wait alone."""

import asyncio
import socket
from collections.abc import Iterator
from threading import Event
from typing import Any

import pytest

from actors.egress import Egress
from adapters.local.lookups import Lookups
from adapters.local.sender import HttpSender
from appstrate.sidecar.proxy import GuardedResolver
from support.waiting import eventually

SILENT = "silent.example"


class NameServers:
    """The system's look-ups, of which some wait until they are let go."""

    def __init__(self) -> None:
        self.let_go = Event()
        self.asked: list[str] = []
        self._ask = socket.getaddrinfo

    def __call__(self, host: Any, *args: Any, **options: Any) -> Any:
        self.asked.append(str(host))
        if str(host).endswith(SILENT):
            self.let_go.wait(30)
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return self._ask(host, *args, **options)


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServers]:
    servers = NameServers()
    monkeypatch.setattr(socket, "getaddrinfo", servers)
    yield servers
    servers.let_go.set()


async def test_silent_servers_hold_up_no_other_name(servers: NameServers) -> None:
    lookups = Lookups(most=50)
    waiting = [asyncio.ensure_future(lookups(f"{n}.{SILENT}", 80)) for n in range(49)]
    await eventually(lambda: servers.asked)
    async with asyncio.timeout(5):
        found = await lookups("localhost", 80)
    servers.let_go.set()
    answers = await asyncio.gather(*waiting, return_exceptions=True)

    assert "127.0.0.1" in found
    assert {type(answer) for answer in answers} == {socket.gaierror}


@pytest.mark.parametrize("of", ["receivers", "models"])
async def test_neither_receivers_nor_models_wait_for_them(servers: NameServers, of: str) -> None:
    sender, resolver = HttpSender(Egress()), GuardedResolver(Egress())

    async def look(host: str) -> object:
        if of == "receivers":
            return (await sender.post(f"https://{host}/", b"{}", {})).error
        try:
            return await resolver.resolve(host)
        except OSError as problem:
            return str(problem)

    waiting = [asyncio.ensure_future(look(f"{n}.{SILENT}")) for n in range(40)]
    await eventually(lambda: servers.asked)
    async with asyncio.timeout(5):
        told = await look("localhost.localdomain")
    servers.let_go.set()
    await asyncio.wait(waiting)

    assert told
    assert not [task for task in waiting if "no answer" not in str(task.result())]


async def test_a_look_up_counts_until_it_is_over(servers: NameServers) -> None:
    lookups = Lookups(most=1)
    left = asyncio.ensure_future(lookups(SILENT, 80))
    await eventually(lambda: servers.asked == [SILENT])
    left.cancel()
    next_one = asyncio.ensure_future(lookups("localhost", 80))
    await asyncio.wait((left, next_one), timeout=0.1)
    early = next_one.done()
    servers.let_go.set()
    async with asyncio.timeout(5):
        found = await next_one

    assert left.cancelled()
    assert not early
    assert found


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..example", "."])
async def test_what_is_no_name_is_not_found(host: str) -> None:
    with pytest.raises(OSError, match=r"."):
        await Lookups()(host, 80)
