"""Checked by mypy, never run: what an address accepts and what it answers."""

from typing import assert_type

from actors.runtime import Actor, Address, Event, Ping, Request


class Clock(Actor):
    pass


class Store(Actor):
    pass


class Read(Request[Store, bytes], frozen=True, kw_only=True):
    key: str


class Write(Request[Store, None], frozen=True, kw_only=True):
    key: str
    body: bytes


class Ticked(Event, frozen=True, kw_only=True):
    pass


async def replies(store: Address[Store], clock: Address[Clock]) -> None:
    assert_type(await store.ask(Read(key="k")), bytes)
    assert_type(await store.ask(Write(key="k", body=b"")), None)
    await clock.ask(Ping())
    await clock.ask(Read(key="k"))  # type: ignore[arg-type]
    await store.ask(Ticked())  # type: ignore[arg-type]
    store.tell(Ticked())
