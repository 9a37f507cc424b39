"""`appstrate run` and `logs`: launching a run, and watching it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from appstrate.cli.inputs import Files, Values, read_files, send_files, typed_input
from appstrate.cli.models import find_model
from appstrate.cli.output import print_json, safe
from appstrate.cli.terminal import (
    AsJson,
    Url,
    Waiting,
    agent_parts,
    command_name,
    connected,
    console,
    errors,
    path,
    run_work,
)

if TYPE_CHECKING:
    from appstrate.cli.client import Client

Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show everything.")]


def run(
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="The agent, as @scope/name.")],
    values: Values = None,
    files: Files = None,
    model: Annotated[
        str | None, typer.Option(help="A model's name or id; demo is the scripted one.")
    ] = None,
    version: Annotated[str | None, typer.Option(help="draft, or a version, tag or range.")] = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Show the run until it has ended.")
    ] = True,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print nothing but what it delivers.")
    ] = False,
    verbose: Verbose = False,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Run an agent, watch it, and print what it delivers; exits with 1 when the run fails.

    Examples: `appstrate run @me/report -i topic=bees -i count=3`,
    `appstrate run @me/report --file notes=notes.pdf`,
    `cat input.json | appstrate run @me/report -i - --json`
    """
    agent_parts(agent)
    out = Console(quiet=True) if quiet else errors if as_json else console
    typed = values or [], read_files(files or [])

    async def work() -> dict[str, Any]:
        async with connected(url) as client:
            launched = await _launch(client, agent, typed, model, version)
            out.print(f"Running {safe(agent)} as [bold]{launched['id']}[/]")
            if not wait:
                return launched
            return await _watch(client, launched, out, verbose=verbose, delivered=not as_json)

    ended = run_work(work(), None)
    if as_json:
        print_json(ended)
    elif quiet and not wait:
        console.print(ended["id"])
    elif quiet and ended.get("result"):
        print_json(ended["result"]["output"])
    raise typer.Exit(0 if not wait or ended["status"] == "success" else 1)


def logs(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until it ends.")] = False,
    verbose: Verbose = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a line of JSON for each line of the log.")
    ] = False,
    url: Url = None,
) -> None:
    """Print the log of a run; -f follows it, even over a restart of the server."""
    run_work(_logs(url, run_id, follow=follow, verbose=verbose, as_json=as_json), None)


async def _launch(
    client: "Client",
    agent: str,
    typed: tuple[list[str], list[Any]],
    model: str | None,
    version: str | None,
) -> dict[str, Any]:
    values, files = typed
    with Waiting("Sending the files" if files else "Launching the run"):
        said = await typed_input(client, agent, version, values)
        body: dict[str, Any] = {"input": said | await send_files(client, agent, version, files)}
        if model is not None:
            body["modelId"] = await find_model(client, model)
        query = {"version": version} if version else {}
        return dict(await client.post(path("agents", *agent_parts(agent), "run"), body, **query))


async def _watch(
    client: "Client", launched: dict[str, Any], out: Console, *, verbose: bool, delivered: bool
) -> dict[str, Any]:
    """Show a run until it has ended, then how it ended, and why when that is not well."""
    import asyncio

    from appstrate.cli.follow import follow, print_result
    from appstrate.cli.why import print_cause

    try:
        ended = await follow(client, launched["id"], out, verbose=verbose)
    except asyncio.CancelledError:  # ^C
        me = command_name()
        errors.print(
            f"\nThe run goes on: `{me} logs -f {launched['id']}` watches it again, "
            f"`{me} runs cancel {launched['id']}` ends it."
        )
        raise
    print_result(out, ended, delivered=delivered)
    if ended["status"] in {"failed", "timeout"}:
        shown = errors if out.quiet else out
        print_cause(shown, await client.get(path("runs", ended["id"], "why")))
    return ended


async def _logs(
    url: str | None, run_id: str, *, follow: bool, verbose: bool, as_json: bool
) -> None:
    from appstrate.cli.follow import ENDED, print_result, show_line
    from appstrate.cli.follow import follow as follow_run

    async with connected(url) as client:
        if follow:
            run = await follow_run(client, run_id, console, verbose=verbose, as_json=as_json)
        else:
            since, more = "0", True
            while more:
                page = await client.get(path("runs", run_id, "logs"), since=since)
                for line in page["data"]:
                    show_line(console, line, verbose=verbose, as_json=as_json)
                    since = str(line["id"])
                more = page["hasMore"]
            run = await client.get(path("runs", run_id))
        if run["status"] in ENDED and not as_json:
            print_result(console, run)
