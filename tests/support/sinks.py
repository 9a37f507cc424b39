"""The signing secret of a run, as its program was told it."""

from typing import Any

from actors.ids import RunId
from appstrate.boot import Server


def database_of(server: Server) -> Any:
    """The pool that the server's own records are read from."""
    sink: Any = server.at.run_sink._actor
    return sink._records._pool


async def secret_of(server: Server, run: str) -> str:
    """What only the run and the server know; a test that plays the run knows it too."""
    sink: Any = server.at.run_sink._actor
    _, secret = await sink._facts(RunId(run))
    return str(secret)
