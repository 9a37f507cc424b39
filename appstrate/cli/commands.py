"""The commands. Each imports what it needs, so that `--help` and mistakes answer at once."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from appstrate.cli.accounts import claim, login, print_claim, warn_of_strangers
from appstrate.cli.agents import agents
from appstrate.cli.jobs import jobs
from appstrate.cli.keys import keys
from appstrate.cli.packages import packages
from appstrate.cli.runs import logs, run, runs
from appstrate.cli.schedules import schedules
from appstrate.cli.terminal import command_name, console, errors, fail
from appstrate.cli.webhooks import webhooks

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Appstrate runs AI agents on your own machine, with whatever it finds there.",
)


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


@app.command()
def serve() -> None:
    """Serve, in the foreground, until ^C."""
    import uvloop

    from actors.runtime import BootError
    from appstrate.boot import Server
    from appstrate.boot import serve as serve_until_stopped
    from appstrate.environment import read_environment
    from appstrate.listeners import PortInUseError
    from appstrate.logging import configure_logging
    from appstrate.settings import read_settings

    settings = read_settings(read_environment())
    configure_logging(settings.log_level)
    if settings.generated:
        names = ", ".join(settings.generated)
        errors.print(f"Made {names} for development, kept in {settings.data_dir}/secrets.json")
    warn_of_strangers(settings)

    def started(server: Server) -> None:
        errors.print(f"Appstrate is at [bold]{server.url}[/] (^C stops it)")
        if server.unclaimed:
            print_claim(settings, server.url)

    try:
        uvloop.run(serve_until_stopped(settings, started))
    except (BootError, PortInUseError, RuntimeError, OSError) as error:
        fail(str(error))


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
        fail(str(error))
    except KeyboardInterrupt:
        errors.print(f"\nBroken off. If the server has started, `{command_name()} stop` stops it.")
        raise typer.Exit(130) from None
    me = command_name()
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
        fail(str(error))
    console.print("Stopped." if stopped else f"No server runs over {data_dir()}.")


@app.command()
def backup(
    target: Annotated[Path, typer.Argument(help="A folder that is made.")],
) -> None:
    """Copy the database, the files and the secrets of the server in this folder."""
    from adapters.postgres.backup import BackupError
    from adapters.postgres.embedded import EmbeddedPostgresError
    from appstrate.cli.backups import back_up
    from appstrate.environment import read_environment
    from appstrate.settings import read_settings

    settings = read_settings(read_environment())
    try:
        with console.status("Copying…"):
            asyncio.run(back_up(settings, target))
    except (BackupError, EmbeddedPostgresError) as error:
        fail(str(error))
    console.print(f"{target} has all of {settings.data_dir}. Whoever has it has your secrets.")


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(help="What `appstrate backup` has made.")],
) -> None:
    """Fill an empty data folder from a backup; the next server goes on from there."""
    from adapters.postgres.backup import BackupError
    from adapters.postgres.embedded import EmbeddedPostgresError
    from appstrate.cli.backups import bring_back
    from appstrate.environment import read_environment
    from appstrate.settings import read_settings

    settings = read_settings(read_environment())
    try:
        with console.status("Copying…"):
            asyncio.run(bring_back(settings, source))
    except (BackupError, EmbeddedPostgresError) as error:
        fail(str(error))
    console.print(f"{settings.data_dir} is as it was. Start the server with `appstrate serve`.")


app.command()(run)
app.command()(logs)
app.command()(login)
app.command()(claim)


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


app.add_typer(runs, name="runs")
app.add_typer(schedules, name="schedules")
app.add_typer(webhooks, name="webhooks")
app.add_typer(packages, name="packages")
app.add_typer(agents, name="agents")
app.add_typer(keys, name="keys")
app.add_typer(jobs, name="jobs")


def main() -> None:
    """Run the command line; what the system or the settings refuse is told in a sentence."""
    from appstrate.environment import SettingsError

    try:
        app()
    except SettingsError as error:
        fail("these settings cannot be used:\n  " + "\n  ".join(error.problems))
    except OSError as error:
        fail(str(error))
