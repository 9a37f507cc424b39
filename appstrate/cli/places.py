"""`appstrate orgs` and `apps`: where the command line acts."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from appstrate.cli.accounts import Email, Password, as_user, new_key, without_secrets
from appstrate.cli.output import local, safe, show_rows, tell
from appstrate.cli.terminal import AsJson, Url, call, fail, group, run_work

if TYPE_CHECKING:
    from appstrate.cli.client import Client


def list_orgs(
    email: Email = None, password: Password = None, as_json: AsJson = False, url: Url = None
) -> None:
    """List the organizations you belong to; a star marks where the command line acts."""

    async def work(client: "Client") -> dict[str, Any]:
        return dict(await client.get("/api/orgs"))

    page = as_user(url, email, password, work)
    here = _login(url).get("orgId")
    show_rows(
        page,
        "_ SLUG NAME ROLE ID",
        [
            (
                "*" if each["id"] == here else "",
                each["slug"],
                each["name"],
                each["role"],
                each["id"],
            )
            for each in page["data"]
        ],
        as_json=as_json,
        none="You are in no organization yet.",
    )


def list_apps(as_json: AsJson = False, url: Url = None) -> None:
    """List the applications of the organization; a star marks where the command line acts."""
    page = run_work(call(url, "GET", "/api/applications"))
    here = _login(url).get("applicationId")
    show_rows(
        page,
        "_ NAME ID MADE",
        [
            ("*" if each["id"] == here else "", each["name"], each["id"], local(each["createdAt"]))
            for each in page["data"]
        ],
        as_json=as_json,
        none="There are no applications yet.",
    )


orgs = group("Choose the organization to act in.", list_orgs)
apps = group("Choose the application to act in.", list_apps)


@orgs.command("use")
def use_org(
    org: Annotated[str, typer.Argument(metavar="ORG", help="Its slug or id.")],
    email: Email = None,
    password: Password = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Act in another organization from now on, with a new key for it."""
    kept = _move(url, email, password, {"orgId": org})
    tell(without_secrets(kept), f"Now in {safe(kept['slug'])}.", as_json=as_json)


@apps.command("use")
def use_app(
    app: Annotated[str, typer.Argument(metavar="APP", help="Its name or id.")],
    email: Email = None,
    password: Password = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Act in another application of the same organization from now on, with a new key for it."""
    place = {"orgId": _login(url).get("orgId"), "applicationId": app}
    kept = _move(url, email, password, place)
    tell(without_secrets(kept), f"Now in {safe(app)} of {safe(kept['slug'])}.", as_json=as_json)


def _move(
    url: str | None, email: str | None, password: str | None, place: dict[str, Any]
) -> dict[str, Any]:
    """Make a key for another place, and keep it in the stead of the last one."""
    from appstrate.cli.access import find_url, login_file, read_json, write_private

    path = login_file(find_url(url))
    if path is None:
        fail("nobody has signed in here: run `appstrate login --org … --app …`")
    kept = read_json(path)

    async def work(client: "Client") -> dict[str, Any]:
        return await new_key(client, email or kept["email"], place)

    moved = kept | as_user(url, email, password, work)
    write_private(path, moved)
    return moved


def _login(url: str | None) -> dict[str, Any]:
    from appstrate.cli.access import find_login, find_url

    return find_login(find_url(url))
