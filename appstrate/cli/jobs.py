"""`appstrate jobs`: work that was given up, for administrators of the platform, who sign in."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from appstrate.cli.accounts import Email, Password, as_user
from appstrate.cli.output import local, print_fields, print_json, safe, show_rows, tell
from appstrate.cli.terminal import AsJson, Url, group, path

if TYPE_CHECKING:
    from appstrate.cli.client import Client

JobId = Annotated[str, typer.Argument(metavar="JOB", help="The job's id, as list shows it.")]


def list_jobs(
    topic: Annotated[str, typer.Option(help="Only these, such as webhook.deliver.")] = "",
    email: Email = None,
    password: Password = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """List the jobs that were given up, the latest first, and why."""
    query = {"limit": "100"} | ({"topic": topic} if topic else {})
    page = _ask(url, email, password, "GET", **query)
    show_rows(
        page,
        "JOB TOPIC GIVEN_UP ATTEMPTS ERROR",
        [
            (
                *(each["id"], each["topic"], local(each["diedAt"]), each["attempts"]),
                each["error"].partition("\n")[0],
            )
            for each in page["data"]
        ],
        as_json=as_json,
        none="No job was given up.",
    )


jobs = group("Look at jobs the server gave up, retry and discard them.", list_jobs)


@jobs.command("show")
def show(
    job: JobId,
    email: Email = None,
    password: Password = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Show all of a job: what it was about, and its last error."""
    found = _ask(url, email, password, "GET", job)
    if as_json:
        print_json(found)
    else:
        print_fields(found)


@jobs.command("retry")
def retry(
    job: JobId,
    email: Email = None,
    password: Password = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Try a job again, at once and with all its attempts."""
    found = _ask(url, email, password, "POST", job, "retry")
    tell(found, f"{safe(job)} ({safe(found['topic'])}) is tried again.", as_json=as_json)


@jobs.command("discard")
def discard(
    job: JobId,
    email: Email = None,
    password: Password = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Forget a job: what it was to do is never done."""
    _ask(url, email, password, "DELETE", job)
    tell({"id": job, "discarded": True}, "Discarded.", as_json=as_json)


def _ask(
    url: str | None,
    email: str | None,
    password: str | None,
    method: str,
    *parts: str,
    **query: str,
) -> dict[str, Any]:
    async def work(client: "Client") -> dict[str, Any]:
        return dict(
            await client.request(method, path("admin", "dead-jobs", *parts), None, query) or {}
        )

    return as_user(url, email, password, work, tenant=False)
