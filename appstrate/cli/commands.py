"""The commands. Each imports what it needs, so that `--help` and mistakes answer at once."""

from typing import Annotated, NoReturn

import typer

from appstrate.cli import server
from appstrate.cli.accounts import claim, login
from appstrate.cli.agents import agents
from appstrate.cli.credentials import credentials
from appstrate.cli.documents import documents
from appstrate.cli.jobs import jobs
from appstrate.cli.keys import keys
from appstrate.cli.launching import logs, run
from appstrate.cli.models import models
from appstrate.cli.packages import packages
from appstrate.cli.places import apps, orgs
from appstrate.cli.runs import runs
from appstrate.cli.schedules import schedules
from appstrate.cli.status import status
from appstrate.cli.terminal import console, fail
from appstrate.cli.webhooks import webhooks

ABOUT = "Appstrate runs AI agents on your own machine, with whatever it finds there."
EXITS = (
    "Exits with 0 when all is well, 1 when something was refused or a run failed, 2 when what was "
    "typed makes no sense, 130 after ^C. --json prints one JSON document, as the API answers: a "
    'list is {"data": […], "hasMore": …}; messages go to the standard error.'
)
SERVER, WORK, ACCESS = "The server", "Agents and runs", "Accounts and access"

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=ABOUT, epilog=EXITS)


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


for command in (
    server.demo,
    server.serve,
    server.stop,
    status,
    server.doctor,
    server.backup,
    server.restore,
):
    app.command(rich_help_panel=SERVER)(command)
app.add_typer(jobs, name="jobs", rich_help_panel=SERVER)
app.command(rich_help_panel=WORK)(run)
app.command(rich_help_panel=WORK)(logs)
for name, group in {
    "runs": runs,
    "agents": agents,
    "packages": packages,
    "documents": documents,
    "schedules": schedules,
    "models": models,
    "webhooks": webhooks,
}.items():
    app.add_typer(group, name=name, rich_help_panel=WORK)
app.command(rich_help_panel=ACCESS)(login)
app.command(rich_help_panel=ACCESS)(claim)
for name, group in {
    "orgs": orgs,
    "apps": apps,
    "keys": keys,
    "credentials": credentials,
}.items():
    app.add_typer(group, name=name, rich_help_panel=ACCESS)


def main() -> None:
    """Run the command line; whatever goes wrong is told in a sentence."""
    try:
        app()
    except Exception as error:  # noqa: BLE001 - the last net
        _explain(error)


def _explain(error: Exception) -> NoReturn:
    from appstrate.cli.access import AccessError, wants_details
    from appstrate.environment import SettingsError

    if isinstance(error, SettingsError):
        fail("these settings cannot be used:\n  " + "\n  ".join(error.problems))
    if isinstance(error, AccessError):
        fail(str(error))
    if isinstance(error, OSError):
        fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    if wants_details():
        raise error
    fail(f"this should not happen: {error!r}\n  APPSTRATE_DEBUG=1 shows where it did.")
