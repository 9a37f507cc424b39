"""`appstrate schedules`: agents that run by themselves."""

import json
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.markup import escape

from appstrate.cli.terminal import AsJson, Url, call, console, print_table, run_work

schedules = typer.Typer(invoke_without_command=True, help="Have agents run by themselves.")

ScheduleId = Annotated[str, typer.Argument(metavar="SCHEDULE", help="The schedule's id.")]
Zone = Annotated[str, typer.Option("--timezone", "-z", help="Of the IANA database.")]


@schedules.callback()
def list_by_default(context: typer.Context) -> None:
    """Have agents run by themselves."""
    if context.invoked_subcommand is None:
        list_schedules()


@schedules.command("list")
def list_schedules(as_json: AsJson = False, url: Url = None) -> None:
    """List schedules, with when they are due next."""
    from rich.table import Table

    found = run_work(call(url, "GET", "/api/schedules"))["data"]
    if as_json:
        print(json.dumps(found, indent=2))  # noqa: T201 - for programs
        return
    if not found:
        console.print("There are no schedules yet: `schedules add` makes one.")
        return
    table = Table.grid(padding=(0, 2))
    for each in found:
        due = _local(each["next_run_at"]) if each["enabled"] else "disabled"
        table.add_row(
            *(each["id"], escape(each["cron_expression"]), each["timezone"], due),
            *(escape(each["packageId"]), escape(each["name"] or "")),
            f"[red]{escape(each['disabled_reason'] or '')}[/]",
        )
    print_table(console, table)


@schedules.command("add")
def add(
    agent: Annotated[str, typer.Argument(help="The agent, as @scope/name.")],
    cron: Annotated[str, typer.Argument(help="Such as '0 7 * * MON' or @daily.")],
    timezone: Zone = "UTC",
    values: Annotated[
        list[str] | None, typer.Option("--input", "-i", help="As of `appstrate run`.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What to call it.")] = None,
    skip_overlaps: Annotated[
        bool, typer.Option(help="Leave a time out while the run before it is active.")
    ] = False,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Run an agent whenever a cron expression says so."""
    from appstrate.cli.runs import read_input

    body: dict[str, Any] = {
        "cron_expression": cron,
        "timezone": timezone,
        "name": name,
        "overlap_policy": "skip" if skip_overlaps else "allow",
    }
    if values:
        body["input"] = read_input(values)
    made = run_work(call(url, "POST", f"/api/agents/{agent}/schedules", body))
    if as_json:
        print(json.dumps(made, indent=2))  # noqa: T201 - for programs
    else:
        console.print(f"Made [bold]{made['id']}[/], due {_local(made['next_run_at'])}")


@schedules.command("next")
def preview(
    cron: Annotated[str, typer.Argument(help="Such as '0 7 * * MON' or @daily.")],
    timezone: Zone = "UTC",
    url: Url = None,
) -> None:
    """Show the next five times an expression is due."""
    body = {"cron_expression": cron, "timezone": timezone}
    for due in run_work(call(url, "POST", "/api/schedules/preview", body))["due"]:
        console.print(f"{_local(due)}   {due}")


@schedules.command("fires")
def fires(schedule: ScheduleId, as_json: AsJson = False, url: Url = None) -> None:
    """Show what became of the last due times."""
    found = run_work(call(url, "GET", f"/api/schedules/{schedule}/fires"))["data"]
    if as_json:
        print(json.dumps(found, indent=2))  # noqa: T201 - for programs
        return
    for each in found:
        what = each["runId"] or ""
        why = escape(each["reason"] or "")
        console.print(f"{_local(each['due_at'])}  {each['state']:8} {what} {why}".rstrip())


@schedules.command("run")
def run_now(schedule: ScheduleId, url: Url = None) -> None:
    """Launch now what a schedule would launch."""
    launched = run_work(call(url, "POST", f"/api/schedules/{schedule}/run"))
    console.print(f"Running it as [bold]{launched['id']}[/]")


@schedules.command("pause")
def pause(schedule: ScheduleId, url: Url = None) -> None:
    """Keep a schedule from running."""
    run_work(call(url, "PUT", f"/api/schedules/{schedule}", {"enabled": False}))
    console.print("It does not run any more, until `schedules resume`.")


@schedules.command("resume")
def resume(schedule: ScheduleId, url: Url = None) -> None:
    """Let a schedule run again."""
    changed = run_work(call(url, "PUT", f"/api/schedules/{schedule}", {"enabled": True}))
    console.print(f"Due {_local(changed['next_run_at'])}")


@schedules.command("delete")
def delete(schedule: ScheduleId, url: Url = None) -> None:
    """Delete a schedule; the runs it made stay."""
    run_work(call(url, "DELETE", f"/api/schedules/{schedule}"))
    console.print("Deleted.")


def _local(moment: str | None) -> str:
    """A time as the clock here shows it."""
    if moment is None:
        return "never"
    return f"{datetime.fromisoformat(moment).astimezone():%a %Y-%m-%d %H:%M:%S}"
