"""`appstrate webhooks`: who is told over HTTP what happens to runs."""

import json
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.markup import escape

from appstrate.cli.terminal import AsJson, Url, call, console, errors, run_work

webhooks = typer.Typer(invoke_without_command=True, help="Tell others what happens to runs.")

WebhookId = Annotated[str, typer.Argument(metavar="WEBHOOK", help="The webhook's id.")]
ENDS = ["run.success", "run.failed", "run.timeout", "run.cancelled"]
PATH = "/api/webhooks"


@webhooks.callback()
def list_by_default(context: typer.Context) -> None:
    """Tell others what happens to runs."""
    if context.invoked_subcommand is None:
        list_webhooks()


@webhooks.command("list")
def list_webhooks(as_json: AsJson = False, url: Url = None) -> None:
    """List the webhooks of the application."""
    from rich.table import Table

    found = run_work(call(url, "GET", PATH))["data"]
    if as_json:
        print(json.dumps(found, indent=2))  # noqa: T201 - for programs
        return
    if not found:
        console.print("There are no webhooks yet: `webhooks add` makes one.")
        return
    table = Table.grid(padding=(0, 2))
    for each in found:
        state = "" if each["enabled"] else "[yellow]disabled[/]"
        events = ", ".join(each["events"])
        table.add_row(each["id"], escape(each["url"]), events, each["packageId"] or "", state)
    console.print(table)


@webhooks.command("add")
def add(
    target: Annotated[str, typer.Argument(metavar="URL", help="Where to post to, by https.")],
    events: Annotated[
        list[str] | None,
        typer.Option("--event", "-e", help="Such as run.failed; by default every end of a run."),
    ] = None,
    agent: Annotated[str | None, typer.Option(help="Only runs of this agent.")] = None,
    summary: Annotated[bool, typer.Option(help="Leave input and result out.")] = False,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Have a URL told of runs; prints the secret that signs what it is told, this once."""
    body: dict[str, Any] = {
        "level": "application",
        "url": target,
        "events": events or ENDS,
        "packageId": agent,
        "payloadMode": "summary" if summary else "full",
    }
    made = run_work(call(url, "POST", PATH, body))
    if as_json:
        print(json.dumps(made, indent=2))  # noqa: T201 - for programs
        return
    console.print(f"Made [bold]{made['id']}[/]. Its secret, which is not shown again:")
    console.print(made["secret"])


@webhooks.command("test")
def deliver_sample(webhook: WebhookId, as_json: AsJson = False, url: Url = None) -> None:
    """Deliver a sample event now, and show what came of it."""
    with errors.status("Waiting for the receiver"):
        tested = run_work(call(url, "POST", f"{PATH}/{webhook}/test"))
    _show(tested["delivery"], tested if as_json else None)


@webhooks.command("deliveries")
def deliveries(webhook: WebhookId, as_json: AsJson = False, url: Url = None) -> None:
    """Show the latest attempts to tell a webhook something."""
    found = run_work(call(url, "GET", f"{PATH}/{webhook}/deliveries"))["data"]
    if as_json:
        print(json.dumps(found, indent=2))  # noqa: T201 - for programs
        return
    for each in found:
        console.print(_line(each))


@webhooks.command("redeliver")
def redeliver(
    webhook: WebhookId,
    delivery: Annotated[str, typer.Argument(help="The delivery's id, as deliveries shows it.")],
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Deliver the event of a delivery once more, now."""
    with errors.status("Waiting for the receiver"):
        made = run_work(call(url, "POST", f"{PATH}/{webhook}/deliveries/{delivery}/redeliver"))
    _show(made, made if as_json else None)


@webhooks.command("rotate")
def rotate(webhook: WebhookId, as_json: AsJson = False, url: Url = None) -> None:
    """Make a new secret; for a week the previous one signs along."""
    made = run_work(call(url, "POST", f"{PATH}/{webhook}/rotate"))
    if as_json:
        print(json.dumps(made, indent=2))  # noqa: T201 - for programs
        return
    ends = _local(made["rotationWindowEndsAt"])
    console.print(f"The previous secret signs along until {ends}. The new one:")
    console.print(made["secret"])


@webhooks.command("delete")
def delete(webhook: WebhookId, url: Url = None) -> None:
    """Delete a webhook; it is told nothing more."""
    run_work(call(url, "DELETE", f"{PATH}/{webhook}"))
    console.print("Deleted.")


def _show(delivery: dict[str, Any], document: dict[str, Any] | None) -> None:
    """How an attempt went, or all of it for programs; a failed one is the command's failure."""
    if document is None:
        console.print(_line(delivery))
    else:
        print(json.dumps(document, indent=2))  # noqa: T201 - for programs
    if delivery["status"] != "success":
        raise typer.Exit(1)


def _line(delivery: dict[str, Any]) -> str:
    color = "green" if delivery["status"] == "success" else "red"
    told = [
        f"{_local(delivery['createdAt'])}  {delivery['id']}  {delivery['eventType']:13}",
        f"[{color}]{delivery['status']:7}[/] {delivery['statusCode'] or '':>3}",
        f"attempt {delivery['attempt']}, {delivery['latency']} ms",
        escape(delivery["error"] or ""),
    ]
    return "  ".join(told).rstrip()


def _local(moment: str) -> str:
    """A time as the clock here shows it."""
    return f"{datetime.fromisoformat(moment).astimezone():%Y-%m-%d %H:%M:%S}"
