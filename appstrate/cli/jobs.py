"""`appstrate jobs`: work that was given up, for administrators of the platform, who sign in."""

import json
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from appstrate.cli.accounts import Email, Password, done_by
from appstrate.cli.terminal import AsJson, Url, console, errors, print_table

if TYPE_CHECKING:
    from appstrate.cli.client import Client

jobs = typer.Typer(no_args_is_help=True, help="See to what the server has given up.")

PATH = "/api/admin/dead-jobs"
SHOWN = 60

JobId = Annotated[str, typer.Argument(metavar="JOB", help="The job's id, as list shows it.")]
Topic = Annotated[str | None, typer.Option(help="Only these, such as webhook.deliver.")]


@jobs.command("list")
def list_jobs(
    email: Email,
    password: Password,
    topic: Topic = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """List the jobs that were given up, the latest first, and why."""
    from rich.table import Table

    query = {"limit": "100"} | ({"topic": topic} if topic else {})

    async def work(client: "Client") -> dict[str, Any]:
        return dict(await client.get(PATH, **query))

    found = done_by((email, password), url, work, tenant=False)
    if as_json:
        print(json.dumps(found["data"], indent=2))  # noqa: T201 - for programs
        return
    if not found["data"]:
        console.print("No job was given up.")
        return
    table = Table.grid(padding=(0, 2))
    for each in found["data"]:
        died = f"{datetime.fromisoformat(each['diedAt']).astimezone():%Y-%m-%d %H:%M}"
        tried = f"{each['attempts']} attempts"
        table.add_row(each["id"], each["topic"], died, tried, escape(_short(each["error"])))
    print_table(console, table)
    if found["hasMore"]:
        errors.print("There are more: retry or discard these first, or name a --topic.")


@jobs.command("show")
def show(job: JobId, email: Email, password: Password, url: Url = None) -> None:
    """Print all of a job as JSON: what it was about, and its last error."""

    async def work(client: "Client") -> Any:
        return await client.get(f"{PATH}/{job}")

    found = done_by((email, password), url, work, tenant=False)
    print(json.dumps(found, indent=2))  # noqa: T201 - for programs


@jobs.command("retry")
def retry(
    job: JobId, email: Email, password: Password, as_json: AsJson = False, url: Url = None
) -> None:
    """Try a job again, at once and with all its attempts."""

    async def work(client: "Client") -> Any:
        return await client.post(f"{PATH}/{job}/retry")

    found = done_by((email, password), url, work, tenant=False)
    if as_json:
        print(json.dumps(found, indent=2))  # noqa: T201 - for programs
    else:
        console.print(f"{job} ({found['topic']}) is tried again.")


@jobs.command("discard")
def discard(job: JobId, email: Email, password: Password, url: Url = None) -> None:
    """Forget a job: what it was to do is never done."""

    async def work(client: "Client") -> None:
        await client.delete(f"{PATH}/{job}")

    done_by((email, password), url, work, tenant=False)
    console.print("Discarded.")


def _short(error: str) -> str:
    line = error.partition("\n")[0]
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}…"
