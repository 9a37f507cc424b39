"""What every command shares: the terminal, its common options, and how it fails."""

import asyncio
import shutil
import sys
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from rich.table import Table

T = TypeVar("T")

# Lines are for copying: nothing but a terminal itself may break them.
console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)

WIDE = 10_000

Url = Annotated[str | None, typer.Option("--url", help="The server; else APPSTRATE_URL.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def command_name() -> str:
    """How to type this command here: by its name, where the shell finds it."""
    if shutil.which("appstrate"):
        return "appstrate"
    return sys.argv[0] if Path(sys.argv[0]).name == "appstrate" else "python -m appstrate"


def run_work(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work; what it cannot do is told in a sentence."""
    from appstrate.cli.access import AccessError
    from appstrate.cli.client import ApiError

    try:
        return asyncio.run(work)
    except (AccessError, ApiError) as error:
        fail(str(error))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


async def call(
    url: str | None,
    method: str,
    path: str,
    body: dict[str, Any] | None = None,
    *,
    query: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """One request to the server a command is for, as who the command is for; for `run_work`."""
    from appstrate.cli.access import find_access
    from appstrate.cli.client import Client

    access = find_access(url)
    async with Client(access.url, access.api_key) as client:
        match method:
            case "GET":
                answer = await client.get(path, **(query or {}))
            case "PUT":
                answer = await client.put(path, body or {})
            case "DELETE":
                answer = await client.delete(path)
            case _:
                answer = await client.post(path, body, **(query or {}))
    return dict(answer or {})


def print_table(out: Console, table: "Table") -> None:
    """Print a table as wide as it is: an id is for copying, so no column is folded or cut."""
    width, out.width = out.width, WIDE
    try:
        out.print(table)
    finally:
        out.width = width


def fail(message: str, code: int = 1) -> NoReturn:
    """Say what is wrong, and leave."""
    errors.print(f"[bold red]appstrate:[/] {escape(message)}")
    sys.exit(code)
