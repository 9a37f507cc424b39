"""`appstrate webhooks`: telling others what happens to runs."""

from typing import Annotated, Any

import typer

from appstrate.cli.output import local, print_json, print_rows, show_rows, status, tell
from appstrate.cli.terminal import (
    AsJson,
    Url,
    call,
    command_name,
    console,
    fail,
    group,
    path,
    run_work,
)

WebhookId = Annotated[str, typer.Argument(metavar="WEBHOOK", help="The webhook's id.")]
Events = Annotated[
    list[str] | None,
    typer.Option(
        "--event", "-e", help="Such as run.failed; a new one is told of every end by default."
    ),
]
Agent = Annotated[str | None, typer.Option(help="Only runs of this agent.")]
Summary = Annotated[
    bool | None, typer.Option("--summary/--full", help="Whether to leave input and result out.")
]
ENDS = ["run.success", "run.failed", "run.timeout", "run.cancelled"]
PATH = "/api/webhooks"
DELIVERING = "Waiting for the receiver"


def list_webhooks(as_json: AsJson = False, url: Url = None) -> None:
    """List the webhooks of the application."""
    page = run_work(call(url, "GET", PATH))
    show_rows(
        page,
        "WEBHOOK URL EVENTS AGENT STATE",
        [
            (
                *(each["id"], each["url"], ",".join(each["events"]), each["packageId"]),
                "" if each["enabled"] else "disabled",
            )
            for each in page["data"]
        ],
        as_json=as_json,
        none=f"There are no webhooks yet: `{command_name()} webhooks add` makes one.",
    )


webhooks = group("Tell other systems what happens to runs.", list_webhooks)


@webhooks.command("add")
def add(
    target: Annotated[str, typer.Argument(metavar="URL", help="Where to post to, by https.")],
    events: Events = None,
    agent: Agent = None,
    summary: Summary = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Have runs told to a URL; prints the secret that signs the messages, which is shown once.

    Example: `appstrate webhooks add https://example.com/hook -e run.failed`
    """
    body: dict[str, Any] = {
        "level": "application",
        "url": target,
        "events": events or ENDS,
        "packageId": agent,
        "payloadMode": "summary" if summary else "full",
    }
    made = run_work(call(url, "POST", PATH, body))
    if as_json:
        print_json(made)
        return
    console.print(f"Made [bold]{made['id']}[/]. Its secret, which is not shown again:")
    console.print(made["secret"])


@webhooks.command("edit")
def edit(
    webhook: WebhookId,
    target: Annotated[str | None, typer.Option("--to", help="Where to post to.")] = None,
    events: Events = None,
    agent: Agent = None,
    summary: Summary = None,
    enabled: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Whether it is told anything.")
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Change what is given of a webhook, and leave the rest."""
    said = {"url": target, "events": events, "packageId": agent, "enabled": enabled}
    body = {field: value for field, value in said.items() if value is not None}
    if summary is not None:
        body["payloadMode"] = "summary" if summary else "full"
    if not body:
        fail("say what to change: `webhooks edit --help` lists it", 2)
    changed = run_work(call(url, "PUT", path("webhooks", webhook), body))
    tell(changed, "Changed.", as_json=as_json)


@webhooks.command("test")
def deliver_sample(webhook: WebhookId, as_json: AsJson = False, url: Url = None) -> None:
    """Deliver a sample event now, and show what came of it."""
    tested = run_work(call(url, "POST", path("webhooks", webhook, "test")), DELIVERING)
    _show(tested["delivery"], tested if as_json else None)


@webhooks.command("deliveries")
def deliveries(
    webhook: WebhookId,
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many.")] = 20,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Show the latest attempts to tell a webhook something."""
    where = path("webhooks", webhook, "deliveries")
    page = run_work(call(url, "GET", where, query={"limit": str(limit)}))
    rows = [_row(each) for each in page["data"]]
    show_rows(page, HEAD, rows, as_json=as_json, none="It was told nothing yet.")


@webhooks.command("redeliver")
def redeliver(
    webhook: WebhookId,
    delivery: Annotated[
        str, typer.Argument(metavar="DELIVERY", help="The delivery's id, as deliveries shows it.")
    ],
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Deliver the event of a delivery once more, now."""
    where = path("webhooks", webhook, "deliveries", delivery, "redeliver")
    made = run_work(call(url, "POST", where), DELIVERING)
    _show(made, made if as_json else None)


@webhooks.command("rotate")
def rotate(webhook: WebhookId, as_json: AsJson = False, url: Url = None) -> None:
    """Make a new secret; for a week the previous one signs along."""
    made = run_work(call(url, "POST", path("webhooks", webhook, "rotate")))
    if as_json:
        print_json(made)
        return
    ends = local(made["rotationWindowEndsAt"])
    console.print(f"The previous secret signs along until {ends}. The new one:")
    console.print(made["secret"])


@webhooks.command("remove")
def remove(webhook: WebhookId, as_json: AsJson = False, url: Url = None) -> None:
    """Remove a webhook; it is told nothing more."""
    run_work(call(url, "DELETE", path("webhooks", webhook)))
    tell({"id": webhook, "removed": True}, "Removed.", as_json=as_json)


HEAD = "WHEN DELIVERY EVENT STATUS CODE ATTEMPT TOOK ERROR"


def _show(delivery: dict[str, Any], document: dict[str, Any] | None) -> None:
    """How an attempt went, or all of it for programs; a failed one is the command's failure."""
    if document is None:
        print_rows(HEAD.split(), [_row(delivery)])
    else:
        print_json(document)
    if delivery["status"] != "success":
        raise typer.Exit(1)


def _row(delivery: dict[str, Any]) -> tuple[object, ...]:
    return (
        *(local(delivery["createdAt"]), delivery["id"], delivery["eventType"]),
        *(status(delivery["status"]), delivery["statusCode"], delivery["attempt"]),
        *(f"{delivery['latency']} ms", delivery["error"]),
    )
