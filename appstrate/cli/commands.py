"""The commands. Each imports what it needs, so that `--help` and mistakes answer at once."""

import asyncio
import json
import re
import shutil
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.text import Text

if TYPE_CHECKING:
    from appstrate.cli.client import Client

T = TypeVar("T")

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Appstrate runs AI agents on your own machine, with whatever it finds there.",
)
packages = typer.Typer(no_args_is_help=True, help="Build and import packages.")
app.add_typer(packages, name="packages")


@app.callback(invoke_without_command=True)
def main_options(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Appstrate runs AI agents on your own machine, with whatever it finds there."""
    if version:
        from importlib.metadata import version as installed

        console.print(f"appstrate {installed('appstrate')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        console.print(context.get_help())


# Lines are for copying: nothing but a terminal itself may break them.
console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)

Url = Annotated[str | None, typer.Option("--url", help="The server; else APPSTRATE_URL.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@app.command()
def serve() -> None:
    """Serve, in the foreground, until ^C."""
    import uvloop

    from actors.runtime import BootError
    from appstrate.boot import PortInUseError, Server
    from appstrate.boot import serve as serve_until_stopped
    from appstrate.environment import read_environment
    from appstrate.logging import configure_logging
    from appstrate.settings import read_settings

    settings = read_settings(read_environment())
    configure_logging(settings.log_level)
    if settings.generated:
        names = ", ".join(settings.generated)
        errors.print(f"Made {names} for development, kept in {settings.data_dir}/secrets.json")
    if not settings.loopback_only:
        errors.print(
            f"[bold yellow]Anybody who reaches {settings.host} can sign up here.[/] "
            "Set HOST=127.0.0.1 to keep this server to this machine."
        )

    def started(server: Server) -> None:
        errors.print(f"Appstrate is at [bold]{server.url}[/] (^C stops it)")

    try:
        uvloop.run(serve_until_stopped(settings, started))
    except (BootError, PortInUseError, RuntimeError, OSError) as error:
        _fail(str(error))


@app.command()
def demo() -> None:
    """Start a server behind the terminal, run a demo agent, and leave the server running."""
    from appstrate.cli.access import data_dir
    from appstrate.cli.background import StartError
    from appstrate.cli.client import ApiError
    from appstrate.cli.demo import run_demo

    try:
        good = asyncio.run(run_demo(data_dir(), console))
    except (StartError, ApiError) as error:
        _fail(str(error))
    except KeyboardInterrupt:
        errors.print(f"\nBroken off. If the server has started, `{_command()} stop` stops it.")
        raise typer.Exit(130) from None
    me = _command()
    console.print(
        "\nThe server keeps running. Next:\n"
        f"  {me} run @appstrate/hello-world --input name=you\n"
        f"  {me} doctor\n"
        f"  {me} stop"
    )
    raise typer.Exit(0 if good else 1)


@app.command()
def stop() -> None:
    """Stop the server that `demo` left running in this folder."""
    from appstrate.cli.access import data_dir
    from appstrate.cli.background import StartError, stop_server

    try:
        stopped = stop_server(data_dir())
    except StartError as error:
        _fail(str(error))
    console.print("Stopped." if stopped else f"No server runs over {data_dir()}.")


@app.command()
def run(
    agent: Annotated[str, typer.Argument(help="The agent, as @scope/name.")],
    values: Annotated[
        list[str] | None,
        typer.Option("--input", "-i", help="name=value, or a JSON object, or @file.json."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="A model's name or id, or demo.")] = None,
    version: Annotated[str | None, typer.Option(help="draft, a version, tag or range.")] = None,
    follow: Annotated[bool, typer.Option(help="Show the run until it has ended.")] = True,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show everything.")] = False,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Run an agent, and watch it."""
    if not re.fullmatch(r"@?[^/@\s]+/[^/@\s]+", agent):
        _fail(f"{agent} is no agent's name: write it as @scope/name", 2)
    body: dict[str, Any] = {"input": _input(values or [])}
    if model is not None:
        body["modelId"] = model
    query = {"version": version} if version else {}
    ended = _run(_launch(url, agent, body, query, follow=follow, verbose=verbose, quiet=as_json))
    if as_json:
        print(json.dumps(ended, indent=2))  # noqa: T201 - for programs, without any markup
    raise typer.Exit(0 if not follow or ended["status"] == "success" else 1)


@app.command()
def logs(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until it ends.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show everything.")] = False,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Print the log of a run."""
    _run(_logs(url, run_id, follow=follow, verbose=verbose, as_json=as_json))


@app.command()
def login(
    email: Annotated[str, typer.Option(prompt="E-mail")],
    password: Annotated[str, typer.Option(prompt=True, hide_input=True)],
    url: Url = None,
) -> None:
    """Sign in, and keep an API key for this user of this machine."""
    from appstrate.cli.access import find_url, user_file, write_private

    kept = _run(_login(find_url(url), email, password))
    write_private(user_file(), kept)
    console.print(f"Signed in to {kept['url']} as {email}; the key is in {user_file()}")


@app.command()
def doctor() -> None:
    """Look at this machine and its settings, and say what is wrong."""
    from rich.table import Table

    from appstrate.cli.doctor import examine

    findings = asyncio.run(examine())
    table = Table.grid(padding=(0, 2))
    for finding in findings:
        mark = {True: "[green]✓[/]", False: "[bold red]✗[/]", None: "·"}[finding.ok]
        table.add_row(mark, finding.subject, escape(finding.told))
    console.print(table)
    raise typer.Exit(1 if any(finding.ok is False for finding in findings) else 0)


@packages.command("build")
def build_packages(
    sources: Annotated[Path, typer.Argument(help="A folder of package folders.")],
    target: Annotated[Path, typer.Argument(help="Where the archives go.")],
    check: Annotated[bool, typer.Option(help="Change nothing; fail on differences.")] = False,
) -> None:
    """Build package archives from their sources, the same bytes every time."""
    from appstrate.cli.packages import BuildError, build, differences

    try:
        if check:
            if told := differences(sources, target):
                _fail("\n".join(told))
            console.print(f"The archives in {target} are what {sources} makes.")
            return
        changed = build(sources, target)
    except BuildError as error:
        _fail(str(error))
    for path in changed:
        console.print(f"built {path}")


@packages.command("import")
def import_package(
    archive: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
    force: Annotated[bool, typer.Option(help="Overwrite drafts and published bytes.")] = False,
    url: Url = None,
) -> None:
    """Import a package archive (.afps or .zip)."""
    made = _run(_import(url, archive.name, archive.read_bytes(), force=force))
    console.print(f"Imported {made['packageId']} {made['version']} ({made['type']})")
    for warning in made.get("warnings", []):
        errors.print(Text(warning, "yellow"))


async def _launch(
    url: str | None,
    agent: str,
    body: dict[str, Any],
    query: dict[str, str],
    *,
    follow: bool,
    verbose: bool,
    quiet: bool,
) -> dict[str, Any]:
    from appstrate.cli.access import find_access
    from appstrate.cli.client import Client
    from appstrate.cli.follow import follow as follow_run
    from appstrate.cli.follow import print_result

    access = find_access(url)
    out = Console(quiet=True) if quiet else console
    async with Client(access.url, access.api_key) as client:
        if wanted := body.get("modelId"):
            body["modelId"] = await _model(client, wanted)
        launched: dict[str, Any] = await client.post(f"/api/agents/{agent}/run", body, **query)
        out.print(f"Running {escape(agent)} as [bold]{launched['id']}[/]")
        if not follow:
            return launched
        try:
            ended = await follow_run(client, launched["id"], out, verbose=verbose)
        except asyncio.CancelledError:  # ^C
            again = f"{_command()} logs -f {launched['id']}"
            errors.print(f"\nThe run goes on; watch it again with `{again}`.")
            raise
    print_result(out, ended)
    return ended


async def _model(client: "Client", wanted: str) -> str:
    """The id of a model that was named by its id, by its name at the provider, or by its label."""
    models = (await client.get("/api/models"))["data"]
    for name in ("id", "modelId", "label"):
        found = [model["id"] for model in models if model.get(name) == wanted]
        if len(found) == 1:
            return str(found[0])
    return wanted


async def _logs(
    url: str | None, run_id: str, *, follow: bool, verbose: bool, as_json: bool
) -> None:
    from appstrate.cli.access import find_access
    from appstrate.cli.client import Client
    from appstrate.cli.follow import ENDED, print_line, print_result
    from appstrate.cli.follow import follow as follow_run

    access = find_access(url)
    async with Client(access.url, access.api_key) as client:
        if follow and not as_json:
            print_result(console, await follow_run(client, run_id, console, verbose=verbose))
            return
        since = "0"
        while True:
            page = await client.get(f"/api/runs/{run_id}/logs", since=since)
            for line in page["data"]:
                if as_json:
                    print(json.dumps(line))  # noqa: T201 - for programs
                else:
                    print_line(console, line, verbose=verbose)
            if not page["hasMore"]:
                break
            since = str(page["data"][-1]["id"])
        run = await client.get(f"/api/runs/{run_id}")
        if run["status"] in ENDED and not as_json:
            print_result(console, run)


async def _login(url: str, email: str, password: str) -> dict[str, Any]:
    from appstrate.cli.client import ApiError, Client

    async with Client(url) as client:
        await client.post("/api/auth/sign-in/email", {"email": email, "password": password})
        orgs = (await client.get("/api/orgs"))["data"]
        if not orgs:
            raise ApiError("this account has no organization yet")
        client.act_in(orgs[0]["id"], "")
        application = (await client.get("/api/applications"))["data"][0]
        client.act_in(orgs[0]["id"], application["id"])
        key = await client.post("/api/api-keys", {"name": "Command line"})
    return {"url": url, "email": email, "orgId": orgs[0]["id"], "apiKey": key["key"]}


async def _import(url: str | None, name: str, content: bytes, *, force: bool) -> dict[str, Any]:
    from appstrate.cli.access import find_access
    from appstrate.cli.client import Client

    access = find_access(url)
    async with Client(access.url, access.api_key) as client:
        options = {"force": "true"} if force else {}
        made: dict[str, Any] = await client.upload("/api/packages/import", name, content, **options)
    return made


def _input(values: list[str]) -> dict[str, Any]:
    """The run's input from what was typed: pairs, JSON objects, files; the later the stronger."""
    merged: dict[str, Any] = {}
    for value in values:
        name, equals, text = value.partition("=")
        if value.startswith(("{", "@")):
            merged |= _json_object(value)
        elif equals:
            merged[name] = text
        else:
            _fail(f"--input {value}: write name=value, a JSON object, or @file.json", 2)
    return merged


def _json_object(value: str) -> dict[str, Any]:
    try:
        text = Path(value[1:]).read_text() if value.startswith("@") else value
        found = json.loads(text)
    except (OSError, ValueError) as error:
        _fail(f"--input {value}: {error}", 2)
    if not isinstance(found, dict):
        _fail(f"--input {value}: must be a JSON object", 2)
    return dict(found)


def main() -> None:
    """Run the command line; what the system or the settings refuse is told in a sentence."""
    from appstrate.environment import SettingsError

    try:
        app()
    except SettingsError as error:
        _fail("these settings cannot be used:\n  " + "\n  ".join(error.problems))
    except OSError as error:
        _fail(str(error))


def _command() -> str:
    """How to type this command here: by its name, where the shell finds it."""
    if shutil.which("appstrate"):
        return "appstrate"
    return sys.argv[0] if Path(sys.argv[0]).name == "appstrate" else "python -m appstrate"


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work; what it cannot do is told in a sentence."""
    from appstrate.cli.access import AccessError
    from appstrate.cli.client import ApiError

    try:
        return asyncio.run(work)
    except (AccessError, ApiError) as error:
        _fail(str(error))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _fail(message: str, code: int = 1) -> NoReturn:
    errors.print(f"[bold red]appstrate:[/] {escape(message)}")
    sys.exit(code)
