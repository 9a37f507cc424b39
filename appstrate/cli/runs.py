"""`appstrate runs`: reading what runs did, and ending them."""

from typing import Annotated

import typer

from appstrate.cli.output import local, plain, print_json, safe, show_rows, status, tell
from appstrate.cli.terminal import (
    AsJson,
    Url,
    agent_parts,
    call,
    console,
    fail,
    group,
    path,
    run_work,
)

RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]


def list_runs(
    agent: Annotated[str, typer.Option(help="Only of this agent, as @scope/name.")] = "",
    state: Annotated[str, typer.Option("--status", help="Only runs in this state.")] = "",
    mine: Annotated[bool, typer.Option("--mine", help="Only your own.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many.")] = 20,
    offset: Annotated[int, typer.Option(min=0, help="How many to skip first.")] = 0,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """List runs, newest first."""
    if agent and (state or mine):
        fail("--agent goes with neither --status nor --mine", 2)
    where = path("agents", *agent_parts(agent), "runs") if agent else path("runs")
    query = {"limit": str(limit), "offset": str(offset) if offset else "", "status": state}
    page = run_work(call(url, "GET", where, query=query | {"user": "me" if mine else ""}))
    show_rows(
        page,
        "RUN STARTED STATUS TOOK AGENT ERROR",
        [
            (
                *(each["id"], local(each["started_at"]), status(each["status"])),
                f"{each['duration'] / 1000:.1f} s" if each["duration"] is not None else "",
                f"{each['agent_scope']}/{each['agent_name']} #{each['runNumber']}",
                each["error"],
            )
            for each in page["data"]
        ],
        as_json=as_json,
        none="There are no such runs." if state or agent or mine else "There are no runs yet.",
    )


runs = group("List runs, explain them, end them.", list_runs)


@runs.command("show")
def show(run_id: RunId, as_json: AsJson = False, url: Url = None) -> None:
    """Show a run: what it was given, and what it delivered."""
    import json

    from appstrate.cli.follow import print_result

    run = run_work(call(url, "GET", path("runs", run_id)))
    if as_json:
        print_json(run)
        return
    agent = safe(f"{run['agent_scope']}/{run['agent_name']}")
    console.print(f"[bold]{run['id']}[/]  {agent} {safe(run['version_label'] or '')}")
    console.print(f"Started {local(run['started_at'])} with {safe(run['model_label'] or '?')}")
    if run["input"]:
        console.print("Input")
        console.print_json(plain(json.dumps(run["input"], ensure_ascii=False)))
    print_result(console, run)
    if counted := run["document_counts"]["output"]:
        console.print(f"{counted} documents: `appstrate documents list --run {run['id']}`")


@runs.command("why")
def explain(run_id: RunId, as_json: AsJson = False, url: Url = None) -> None:
    """Say what happened to a run, and what to do about it."""
    from appstrate.cli.why import print_why

    told = run_work(call(url, "GET", path("runs", run_id, "why")))
    if as_json:
        print_json(told)
    else:
        print_why(console, told)


@runs.command("cancel")
def cancel(run_id: RunId, as_json: AsJson = False, url: Url = None) -> None:
    """End a run."""
    ended = run_work(call(url, "POST", path("runs", run_id, "cancel")))
    tell(ended, f"{ended['id']}: {ended['status']}", as_json=as_json)


@runs.command("delete")
def delete(run_id: RunId, as_json: AsJson = False, url: Url = None) -> None:
    """Forget a run that has ended, with its log."""
    run_work(call(url, "DELETE", path("runs", run_id)))
    tell({"id": run_id, "deleted": True}, "Deleted.", as_json=as_json)
