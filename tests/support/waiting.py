"""Waiting for what another process does, which announces nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path


async def eventually(condition: Callable[[], object], within: float = 20) -> None:
    """Return once `condition` holds; fail when it does not in time."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - nobody sets an event
            await asyncio.sleep(0.01)


async def until(condition: Callable[[], Awaitable[object]], within: float = 20) -> None:
    """Return once an awaited `condition` holds; fail when it does not in time."""
    async with asyncio.timeout(within):
        while not await condition():  # noqa: ASYNC110 - nobody sets an event
            await asyncio.sleep(0.05)


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
