"""Actors under supervision, for the length of a test."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from actors.runtime import Actor, Address, Child, RestartPolicy, Supervisor

P = TypeVar("P", bound=Actor)

AT_ONCE = RestartPolicy(burst=1000)


@asynccontextmanager
async def supervised(*children: Child[Any], **options: Any) -> AsyncIterator[Supervisor]:
    """The children, booted in order; stopped in reverse afterwards."""
    supervisor = Supervisor(children, **options)
    supervisor.launch("supervisor")
    await supervisor.ready
    try:
        yield supervisor
    finally:
        await supervisor.retire(supervisor.stop_within + 10)


@asynccontextmanager
async def running(
    factory: Callable[[], P], policy: RestartPolicy = AT_ONCE
) -> AsyncIterator[Address[P]]:
    """One actor behind an address, restarted at once whenever it crashes."""
    address: Address[P] = Address("test")
    async with supervised(Child(address=address, factory=factory, policy=policy)):
        yield address
