"""`appstrate schedules`: agents that run by themselves."""

from datetime import datetime
from typing import Annotated, Any

import typer

from appstrate.cli.inputs import Values, typed_input
from appstrate.cli.models import find_model
from appstrate.cli.output import local, print_fields, print_json, print_rows, show_rows, tell
from appstrate.cli.terminal import (
    AsJson,
    Url,
    agent_parts,
    call,
    command_name,
    connected,
    fail,
    group,
    path,
    run_work,
)

ScheduleId = Annotated[str, typer.Argument(metavar="SCHEDULE", help="The schedule's id.")]
Cron = Annotated[str, typer.Argument(metavar="CRON", help="Such as '0 7 * * MON' or @daily.")]
Zone = Annotated[str, typer.Option("--timezone", "-z", help="Of the IANA database.")]
Name = Annotated[str | None, typer.Option(help="What to call it.")]
Overlaps = Annotated[
    bool | None,
    typer.Option(
        "--skip-overlaps/--allow-overlaps",
        help="Whether to skip a due time while an earlier run is active.",
    ),
]
Misses = Annotated[
    bool | None,
    typer.Option(
        "--make-up/--skip-missed",
        help="Whether one run makes up for all times the server missed.",
    ),
]
Model = Annotated[str | None, typer.Option(help="A model's name or id; '' for the agent's own.")]
FIRES = {"fired": "green", "refused": "red", "skipped": "yellow"}


def list_schedules(as_json: AsJson = False, url: Url = None) -> None:
    """List schedules, with when they are due next."""
    page = run_work(call(url, "GET", "/api/schedules"))
    show_rows(
        page,
        "SCHEDULE CRON TIMEZONE DUE AGENT NAME REASON",
        [
            (
                *(each["id"], each["cron_expression"], each["timezone"]),
                local(each["next_run_at"], "never") if each["enabled"] else "disabled",
                *(each["packageId"], each["name"], each["disabled_reason"]),
            )
            for each in page["data"]
        ],
        as_json=as_json,
        none=f"There are no schedules yet: `{command_name()} schedules add` makes one.",
    )


schedules = group("Have agents run by themselves.", list_schedules)


@schedules.command("show")
def show(schedule: ScheduleId, as_json: AsJson = False, url: Url = None) -> None:
    """Show a schedule, all of it."""
    found = run_work(call(url, "GET", path("schedules", schedule)))
    if as_json:
        print_json(found)
    else:
        print_fields(found)


@schedules.command("add")
def add(
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="The agent, as @scope/name.")],
    cron: Cron,
    timezone: Zone = "UTC",
    values: Values = None,
    name: Name = None,
    model: Model = None,
    skip_overlaps: Overlaps = None,
    make_up: Misses = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Run an agent whenever a cron expression says so.

    Example: `appstrate schedules add @me/report '0 7 * * MON' -z Europe/Paris -i topic=week`
    """
    body = {"cron_expression": cron, "timezone": timezone}
    body |= _said(name, model, skip_overlaps, make_up)
    made = run_work(_send(url, agent, body, values, None))
    tell(made, f"Made [bold]{made['id']}[/], {_due(made)}", as_json=as_json)


@schedules.command("edit")
def edit(
    schedule: ScheduleId,
    cron: Annotated[
        str | None, typer.Option(help="When it is due, as for `schedules add`.")
    ] = None,
    timezone: Annotated[
        str | None, typer.Option("--timezone", "-z", help="Of the IANA database.")
    ] = None,
    values: Values = None,
    name: Name = None,
    model: Model = None,
    skip_overlaps: Overlaps = None,
    make_up: Misses = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Change what is given of a schedule, and leave the rest; an input is replaced whole."""
    body = _said(name, model, skip_overlaps, make_up)
    body |= {"cron_expression": cron} if cron else {}
    body |= {"timezone": timezone} if timezone else {}
    if not (body or values):
        fail("say what to change: `schedules edit --help` lists it", 2)
    changed = run_work(_send(url, None, body, values, schedule))
    tell(changed, f"Changed: {_due(changed)}", as_json=as_json)


@schedules.command("preview")
def preview(cron: Cron, timezone: Zone = "UTC", as_json: AsJson = False, url: Url = None) -> None:
    """Show the next five times an expression is due."""
    body = {"cron_expression": cron, "timezone": timezone}
    found = run_work(call(url, "POST", "/api/schedules/preview", body))
    if as_json:
        print_json(found)
    else:
        rows = [(_there(due, timezone), local(due)) for due in found["due"]]
        print_rows((timezone, "HERE"), rows)


@schedules.command("fires")
def fires(schedule: ScheduleId, as_json: AsJson = False, url: Url = None) -> None:
    """Show what became of the last due times."""
    from rich.text import Text

    page = run_work(call(url, "GET", path("schedules", schedule, "fires")))
    show_rows(
        page,
        "DUE STATE RUN REASON",
        [
            (
                *(local(each["due_at"]), Text(each["state"], FIRES.get(each["state"], ""))),
                *(each["runId"], each["reason"]),
            )
            for each in page["data"]
        ],
        as_json=as_json,
        none="It was not due yet.",
    )


@schedules.command("run")
def run_now(schedule: ScheduleId, as_json: AsJson = False, url: Url = None) -> None:
    """Launch now what a schedule would launch."""
    launched = run_work(call(url, "POST", path("schedules", schedule, "run")))
    told = f"Running it as [bold]{launched['id']}[/]: `{command_name()} logs -f {launched['id']}`"
    tell(launched, told, as_json=as_json)


@schedules.command("pause")
def pause(schedule: ScheduleId, as_json: AsJson = False, url: Url = None) -> None:
    """Keep a schedule from running."""
    changed = run_work(call(url, "PUT", path("schedules", schedule), {"enabled": False}))
    told = f"It does not run any more, until `{command_name()} schedules resume {schedule}`."
    tell(changed, told, as_json=as_json)


@schedules.command("resume")
def resume(schedule: ScheduleId, as_json: AsJson = False, url: Url = None) -> None:
    """Let a schedule run again."""
    changed = run_work(call(url, "PUT", path("schedules", schedule), {"enabled": True}))
    tell(changed, f"Resumed, {_due(changed)}", as_json=as_json)


@schedules.command("remove")
def remove(schedule: ScheduleId, as_json: AsJson = False, url: Url = None) -> None:
    """Remove a schedule; the runs it made stay."""
    run_work(call(url, "DELETE", path("schedules", schedule)))
    tell({"id": schedule, "removed": True}, "Removed.", as_json=as_json)


def _said(
    name: str | None, model: str | None, skip_overlaps: bool | None, make_up: bool | None
) -> dict[str, Any]:
    said: dict[str, Any] = {"name": name, "model_id_override": model}
    if skip_overlaps is not None:
        said["overlap_policy"] = "skip" if skip_overlaps else "allow"
    if make_up is not None:
        said["misfire_policy"] = "once" if make_up else "skip"
    return {field: value for field, value in said.items() if value is not None}


async def _send(
    url: str | None,
    agent: str | None,
    body: dict[str, Any],
    values: list[str] | None,
    schedule: str | None,
) -> dict[str, Any]:
    """Make a schedule for an agent, or change one."""
    async with connected(url) as client:
        if schedule is not None:
            where = path("schedules", schedule)
            if values:
                agent = str((await client.get(where))["packageId"])
        if model := body.get("model_id_override"):
            body["model_id_override"] = await find_model(client, model)
        if values and agent:
            body["input"] = await typed_input(client, agent, None, values)
        if schedule is not None:
            return dict(await client.put(where, body))
        assert agent is not None
        return dict(await client.post(path("agents", *agent_parts(agent), "schedules"), body))


def _there(moment: str, zone: str) -> str:
    """A time as the clocks of a zone show it, if this machine knows the zone."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return f"{datetime.fromisoformat(moment).astimezone(ZoneInfo(zone)):%a %Y-%m-%d %H:%M:%S}"
    except (ZoneInfoNotFoundError, ValueError):
        return moment


def _due(schedule: dict[str, Any]) -> str:
    return f"due {local(schedule['next_run_at'], 'never')}" if schedule["enabled"] else "paused"
