"""`appstrate agents`: what can be run here."""

from typing import Annotated, Any

import typer

from appstrate.cli.inputs import types_of
from appstrate.cli.output import print_json, safe, show_rows
from appstrate.cli.terminal import (
    AsJson,
    Url,
    agent_parts,
    call,
    command_name,
    console,
    group,
    path,
    run_work,
)


def list_agents(as_json: AsJson = False, url: Url = None) -> None:
    """List the agents that can be run."""
    page = run_work(call(url, "GET", "/api/agents"))
    show_rows(
        page,
        "AGENT VERSION SOURCE LIVE ABOUT",
        [
            (
                *(each["id"], each["version"] or "draft", each["source"]),
                each["running_runs"] or "",
                each["description"] or each["display_name"],
            )
            for each in sorted(page["data"], key=lambda agent: str(agent["id"]))
        ],
        as_json=as_json,
        none=f"There are no agents yet: `{command_name()} packages import` brings one.",
    )


agents = group("See what can be run.", list_agents)


@agents.command("show")
def show_agent(
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="The agent, as @scope/name.")],
    version: Annotated[str, typer.Option(help="draft, or a version, tag or range.")] = "",
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Show an agent: what it takes, what it answers with, what it uses."""
    where = path("packages", "agents", *agent_parts(agent))
    found = run_work(call(url, "GET", where, query={"version": version}))
    if as_json:
        print_json(found)
        return
    name = safe(found["display_name"] or found["id"])
    console.print(f"[bold]{name}[/]  {safe(found['id'])} {found['version'] or 'draft'}")
    if found["description"]:
        console.print(safe(found["description"]))
    if found["has_unarchived_changes"]:
        console.print("[yellow]Its draft has changes that are not published.[/]")
    _print_fields("Input", (found.get("input") or {}).get("schema"))
    _print_fields("Output", (found.get("output") or {}).get("schema"))
    for kind, used in (found.get("dependencies") or {}).items():
        if used:
            console.print(f"{kind.replace('_', ' ').capitalize()}")
        for each in used:
            console.print(f"  {safe(each['id'])} {safe(each.get('version') or '')}")
    if last := found["last_run"]:
        console.print(f"Last run: {last['id']}, {last['status']}")


def _print_fields(title: str, schema: dict[str, Any] | None) -> None:
    """The fields of a JSON schema, one a line."""
    fields = (schema or {}).get("properties") or {}
    required = (schema or {}).get("required") or []
    if fields:
        console.print(title)
    for name, about in fields.items():
        kind = " or ".join(types_of(about)) or "any"
        told = about.get("description", "") if isinstance(about, dict) else ""
        must = ", required" if name in required else ""
        console.print(f"  {safe(name)} ({safe(kind)}{must}) {safe(told)}".rstrip())
