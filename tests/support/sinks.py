"""The signing secret of a run, as its program was told it."""

from typing import Any

from actors.ids import RunId
from appstrate.boot import Server


def database_of(server: Server) -> Any:
    """The pool that the server's own records are read from."""
    manager: Any = server.at.run_manager._actor
    return manager._records._pool


async def secret_of(server: Server, run: str) -> str:
    """What only the run and the server know; a test that plays the run knows it too."""
    manager: Any = server.at.run_manager._actor
    _, secret = await manager._facts(RunId(run))
    return str(secret)
