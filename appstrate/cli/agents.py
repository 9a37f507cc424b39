"""`appstrate agents`: what can be run here."""

import json
from typing import Annotated, Any

import typer
from rich.markup import escape

from appstrate.cli.terminal import AsJson, Url, call, command_name, console, run_work

agents = typer.Typer(invoke_without_command=True, help="See what can be run.")


@agents.callback()
def list_by_default(context: typer.Context) -> None:
    """See what can be run."""
    if context.invoked_subcommand is None:
        list_agents()


@agents.command("list")
def list_agents(as_json: AsJson = False, url: Url = None) -> None:
    """List the agents that can be run."""
    from rich.table import Table

    found = run_work(call(url, "GET", "/api/agents"))["data"]
    if as_json:
        print(json.dumps(found, indent=2))  # noqa: T201 - for programs
        return
    if not found:
        me = command_name()
        console.print(f"There are no agents yet: `{me} packages import` brings one.")
        return
    table = Table.grid(padding=(0, 2))
    for each in sorted(found, key=lambda agent: agent["id"]):
        live = f"{each['running_runs']} running" if each["running_runs"] else ""
        told = escape(each["description"] or each["display_name"] or "")
        table.add_row(escape(each["id"]), each["version"] or "draft", each["source"], live, told)
    console.print(table)


@agents.command("show")
def show_agent(
    agent: Annotated[str, typer.Argument(help="The agent, as @scope/name.")],
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Show an agent: what it takes, what it answers with, what it uses."""
    found = run_work(call(url, "GET", f"/api/packages/agents/{agent}"))
    if as_json:
        print(json.dumps(found, indent=2))  # noqa: T201 - for programs
        return
    name = escape(found["display_name"] or found["id"])
    console.print(f"[bold]{name}[/]  {escape(found['id'])} {found['version'] or 'draft'}")
    if found["description"]:
        console.print(escape(found["description"]))
    if found["has_unarchived_changes"]:
        console.print("[yellow]Its draft has changes that are not published.[/]")
    _print_fields("Input", (found.get("input") or {}).get("schema"))
    _print_fields("Output", (found.get("output") or {}).get("schema"))
    for kind, used in (found.get("dependencies") or {}).items():
        if used:
            console.print(f"{kind.replace('_', ' ').capitalize()}")
        for each in used:
            console.print(f"  {escape(each['id'])} {escape(str(each.get('version') or ''))}")
    if last := found["last_run"]:
        console.print(f"Last run: {last['id']}, {last['status']}")


def _print_fields(title: str, schema: dict[str, Any] | None) -> None:
    """The fields of a JSON schema, one a line."""
    fields = (schema or {}).get("properties") or {}
    required = (schema or {}).get("required") or []
    if fields:
        console.print(title)
    for name, about in fields.items():
        kind = about.get("type", "any") if isinstance(about, dict) else "any"
        told = about.get("description", "") if isinstance(about, dict) else ""
        must = ", required" if name in required else ""
        console.print(f"  {escape(name)} ({escape(str(kind))}{must}) {escape(told)}".rstrip())
