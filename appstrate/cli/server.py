"""Commands about the server of this folder: it starts and stops, is looked at and copied."""

from pathlib import Path
from typing import Annotated

import typer

from appstrate.cli.output import print_json, print_rows, tell
from appstrate.cli.terminal import AsJson, Waiting, command_name, console, errors, fail


def serve() -> None:
    """Serve in the foreground, until ^C."""
    import asyncio

    import uvloop

    from actors.runtime import BootError
    from appstrate.boot import Server
    from appstrate.boot import serve as serve_until_stopped
    from appstrate.cli.accounts import print_claim, warn_of_strangers
    from appstrate.cli.background import running_server
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
    errors.print(f"Starting, with the data in {settings.data_dir} …")

    def started(server: Server) -> None:
        errors.print(f"Appstrate is at [bold]{server.url}[/] (^C stops it)")
        if server.unclaimed:
            print_claim(settings, server.url)

    try:
        uvloop.run(serve_until_stopped(settings, started))
    except PortInUseError as error:
        if url := asyncio.run(running_server(settings.data_dir)):
            fail(f"a server runs here already, at {url}: `{command_name()} stop` stops it")
        fail(str(error))
    except (BootError, RuntimeError, OSError) as error:
        fail(str(error))


def demo() -> None:
    """Start a server in the background, run a demo agent, and leave the server running."""
    import asyncio

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


def stop(as_json: AsJson = False) -> None:
    """Stop the server that `demo` left running in this folder."""
    from appstrate.cli.access import data_dir
    from appstrate.cli.background import StartError, stop_server

    try:
        with Waiting("Waiting for live runs, and for the server to end"):
            stopped = stop_server(data_dir())
    except StartError as error:
        fail(str(error))
    told = "Stopped." if stopped else f"No server runs over {data_dir()}."
    tell({"stopped": stopped}, told, as_json=as_json)


def backup(
    target: Annotated[
        Path, typer.Argument(metavar="TARGET", help="A folder that does not exist yet.")
    ],
    as_json: AsJson = False,
) -> None:
    """Copy the database, the files and the secrets of the server in this folder."""
    import asyncio

    from adapters.postgres.backup import BackupError
    from adapters.postgres.embedded import EmbeddedPostgresError
    from appstrate.cli.backups import back_up
    from appstrate.environment import read_environment
    from appstrate.settings import read_settings

    settings = read_settings(read_environment(), make_secrets=False)
    try:
        with Waiting(f"Copying {settings.data_dir}"):
            asyncio.run(back_up(settings, target))
    except (BackupError, EmbeddedPostgresError) as error:
        fail(str(error))
    told = f"{target} has all of {settings.data_dir}. Whoever has it has your secrets."
    tell({"path": str(target), "of": str(settings.data_dir)}, told, as_json=as_json)


def restore(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="A folder that `appstrate backup` made.")
    ],
    as_json: AsJson = False,
) -> None:
    """Fill an empty data folder from a backup; the next server goes on from there."""
    import asyncio

    from adapters.postgres.backup import BackupError
    from adapters.postgres.embedded import EmbeddedPostgresError
    from appstrate.cli.backups import bring_back
    from appstrate.environment import read_environment
    from appstrate.settings import read_settings

    settings = read_settings(read_environment())
    try:
        with Waiting(f"Copying into {settings.data_dir}"):
            asyncio.run(bring_back(settings, source))
    except (BackupError, EmbeddedPostgresError) as error:
        fail(str(error))
    told = f"{settings.data_dir} is as it was. Start the server with `{command_name()} serve`."
    tell({"path": str(source), "into": str(settings.data_dir)}, told, as_json=as_json)


def doctor(as_json: AsJson = False) -> None:
    """Look at this machine and its settings, and say what is wrong."""
    import asyncio

    from rich.text import Text

    from appstrate.cli.doctor import examine

    with Waiting("Looking"):
        findings = asyncio.run(examine())
    if as_json:
        told = [{"subject": f.subject, "ok": f.ok, "told": f.told} for f in findings]
        print_json({"well": all(f.ok is not False for f in findings), "findings": told})
    else:
        marks = {True: Text("✓", "green"), False: Text("✗", "bold red"), None: Text("·")}
        print_rows("   ", [(marks[f.ok], f.subject, f.told) for f in findings], whole=True)
    raise typer.Exit(1 if any(finding.ok is False for finding in findings) else 0)
