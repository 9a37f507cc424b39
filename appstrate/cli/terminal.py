"""What every command shares: the terminal, its common options, and how it fails."""

import shutil
import sys
import threading
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, Self, TypeVar

import typer
from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from rich.progress import Progress

    from appstrate.cli.client import Client

T = TypeVar("T")

# Lines are for copying: nothing but a terminal itself may break them.
console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)

PATIENCE = 1.0

Url = Annotated[str | None, typer.Option("--url", help="The server; without it, APPSTRATE_URL.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def command_name() -> str:
    """How to type this command here: by its name, where the shell finds it."""
    if shutil.which("appstrate"):
        return "appstrate"
    return sys.argv[0] if Path(sys.argv[0]).name == "appstrate" else "python -m appstrate"


class Waiting:
    """Says on the standard error what a block waits for, when it takes over a second.

    On a terminal a line that counts the seconds and goes away, else a line that stays.
    """

    def __init__(self, doing: str) -> None:
        self._doing = doing
        self._shown: Progress | None = None
        self._over = False
        self._lock = threading.Lock()
        self._timer = threading.Timer(PATIENCE, self._show)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        with self._lock:
            self._over = True
            if self._shown is not None:
                self._shown.stop()

    def _show(self) -> None:
        with self._lock:
            if self._over:
                return
            if not errors.is_terminal:
                errors.print(f"{escape(self._doing)} …")
                return
            self._shown = elapsing(errors, self._doing)
            self._shown.start()


def elapsing(out: Console, doing: str) -> "Progress":
    """A line at the bottom of a terminal that counts the seconds; what others print stays whole."""
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    progress = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=out,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    progress.add_task(escape(doing), total=None)
    return progress


def run_work(work: Coroutine[Any, Any, T], doing: str | None = "Waiting for the server") -> T:
    """Run a command's work; what it cannot do is told in a sentence.

    `doing` is shown when it takes long; None when the work itself shows how it goes.
    """
    import asyncio
    from contextlib import nullcontext

    from appstrate.cli.access import AccessError
    from appstrate.cli.client import ApiError

    try:
        with Waiting(doing) if doing else nullcontext():
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
    query: Mapping[str, str | None] | None = None,
) -> dict[str, Any]:
    """One request to the server a command is for, as who the command is for; for `run_work`.

    What a query has None or nothing for is left out of it.
    """
    async with connected(url) as client:
        asked = {name: value for name, value in (query or {}).items() if value}
        return dict(await client.request(method, path, body, asked) or {})


def connected(url: str | None) -> "Client":
    """The server a command is for, as who the command is for; to be entered."""
    from appstrate.cli.access import find_access
    from appstrate.cli.client import Client

    access = find_access(url)
    return Client(access.url, access.api_key)


def path(*parts: str) -> str:
    """A path of the API; what was typed stays within its own part of it."""
    from urllib.parse import quote

    return "/api/" + "/".join(quote(part, safe="@") for part in parts)


def agent_parts(name: str) -> list[str]:
    """The two parts of a package's id. Fails when it is none."""
    import re

    if not re.fullmatch(r"@?[^/@\s]+/[^/@\s]+", name):
        fail(f"{name} is no package's name: write it as @scope/name", 2)
    return name.split("/")


def group(about: str, lister: Callable[..., None]) -> typer.Typer:
    """The commands of one subject, with a list of it when none is named."""
    made = typer.Typer(invoke_without_command=True, help=about)
    made.command("list")(lister)

    @made.callback()
    def list_by_default(context: typer.Context, as_json: AsJson = False, url: Url = None) -> None:
        if context.invoked_subcommand is None:
            _list(context, (["--json"] if as_json else []) + (["--url", url] if url else []))
        elif as_json or url:
            fail(f"write --json and --url after `{context.invoked_subcommand}`", 2)

    list_by_default.__doc__ = about
    return made


def _list(context: typer.Context, arguments: list[str]) -> None:
    """Do as if `list` had been typed."""
    group: Any = context.command
    command = group.get_command(context, "list")
    with command.make_context("list", arguments, parent=context) as within:
        command.invoke(within)


def fail(message: str, code: int = 1) -> NoReturn:
    """Say what is wrong, and leave: with 2 for what was typed, with 1 for what came of it."""
    errors.print(f"[bold red]appstrate:[/] {escape(message)}")
    sys.exit(code)
