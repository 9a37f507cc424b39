"""`appstrate run`, `logs` and `runs`: launching runs, and reading what they did."""

import asyncio
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from appstrate.cli.terminal import (
    AsJson,
    Url,
    call,
    command_name,
    console,
    errors,
    fail,
    run_work,
)

if TYPE_CHECKING:
    from appstrate.cli.client import Client

runs = typer.Typer(invoke_without_command=True, help="List runs, explain them, end them.")

RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]


def run(
    agent: Annotated[str, typer.Argument(help="The agent, as @scope/name.")],
    values: Annotated[
        list[str] | None,
        typer.Option("--input", "-i", help="name=value, or a JSON object, or @file.json."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="A model's name or id, or demo.")] = None,
    version: Annotated[str | None, typer.Option(help="draft, a version, tag or range.")] = None,
    follow: Annotated[bool, typer.Option(help="Show the run until it has ended.")] = True,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for its end, then show that.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show everything.")] = False,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Run an agent, and watch it."""
    if not re.fullmatch(r"@?[^/@\s]+/[^/@\s]+", agent):
        fail(f"{agent} is no agent's name: write it as @scope/name", 2)
    body: dict[str, Any] = {"input": read_input(values or [])}
    if model is not None:
        body["modelId"] = model
    query = {"version": version} if version else {}
    launching = _launch(
        url, agent, body, query, follow=follow, wait=wait, verbose=verbose, quiet=as_json
    )
    ended = run_work(launching)
    if as_json:
        print(json.dumps(ended, indent=2))  # noqa: T201 - for programs, without any markup
    raise typer.Exit(0 if not (follow or wait) or ended["status"] == "success" else 1)


def logs(
    run_id: RunId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until it ends.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show everything.")] = False,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Print the log of a run."""
    run_work(_logs(url, run_id, follow=follow, verbose=verbose, as_json=as_json))


@runs.callback()
def list_by_default(context: typer.Context) -> None:
    """List runs, explain them, end them."""
    if context.invoked_subcommand is None:
        list_runs()


@runs.command("list")
def list_runs(
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many.")] = 20,
    status: Annotated[str, typer.Option(help="Only runs in this state.")] = "",
    mine: Annotated[bool, typer.Option("--mine", help="Only one's own.")] = False,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """List runs, newest first."""
    from appstrate.cli.why import print_runs

    query = {"limit": str(limit), "status": status} | ({"user": "me"} if mine else {})
    found = run_work(call(url, "GET", "/api/runs", query=query))
    if as_json:
        print(json.dumps(found["data"], indent=2))  # noqa: T201 - for programs
    elif found["data"]:
        print_runs(console, found["data"])
    else:
        console.print("There are no runs yet.")


@runs.command("why")
def explain(run_id: RunId, as_json: AsJson = False, url: Url = None) -> None:
    """Say what happened to a run, and what to do about it."""
    from appstrate.cli.why import print_why

    told = run_work(call(url, "GET", f"/api/runs/{run_id}/why"))
    if as_json:
        print(json.dumps(told, indent=2))  # noqa: T201 - for programs
    else:
        print_why(console, told)


@runs.command("cancel")
def cancel(run_id: RunId, url: Url = None) -> None:
    """End a run."""
    ended = run_work(call(url, "POST", f"/api/runs/{run_id}/cancel"))
    console.print(f"{ended['id']}: {ended['status']}")


async def _launch(
    url: str | None,
    agent: str,
    body: dict[str, Any],
    query: dict[str, str],
    *,
    follow: bool,
    wait: bool,
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
        if not (follow or wait):
            return launched
        try:
            if wait:
                ended = await _ended(client, launched["id"])
            else:
                ended = await follow_run(client, launched["id"], out, verbose=verbose)
        except asyncio.CancelledError:  # ^C
            again = f"{command_name()} logs -f {launched['id']}"
            errors.print(f"\nThe run goes on; watch it again with `{again}`.")
            raise
    print_result(out, ended)
    if ended["status"] not in ("success", "cancelled"):
        out.print(f"Why: `{command_name()} runs why {ended['id']}`")
    return ended


async def _ended(client: "Client", run_id: str) -> dict[str, Any]:
    """A run, once it has ended."""
    while True:
        run: dict[str, Any] = await client.get(f"/api/runs/{run_id}", wait="true")
        if run["status"] not in ("pending", "running"):
            return run
        await asyncio.sleep(1)  # the server lets only so many wait, and answers others at once


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


def read_input(values: list[str]) -> dict[str, Any]:
    """The run's input from what was typed: pairs, JSON objects, files; the later the stronger."""
    merged: dict[str, Any] = {}
    for value in values:
        name, equals, text = value.partition("=")
        if value.startswith(("{", "@")):
            merged |= _json_object(value)
        elif equals:
            merged[name] = text
        else:
            fail(f"--input {value}: write name=value, a JSON object, or @file.json", 2)
    return merged


def _json_object(value: str) -> dict[str, Any]:
    try:
        text = Path(value[1:]).read_text() if value.startswith("@") else value
        found = json.loads(text)
    except (OSError, ValueError) as error:
        fail(f"--input {value}: {error}", 2)
    if not isinstance(found, dict):
        fail(f"--input {value}: must be a JSON object", 2)
    return dict(found)
