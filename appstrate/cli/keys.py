"""`appstrate keys`: API keys. No key may manage keys, so these commands sign in."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from appstrate.cli.accounts import Email, Password, done_by
from appstrate.cli.terminal import AsJson, Url, console, errors

if TYPE_CHECKING:
    from appstrate.cli.client import Client

keys = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys.")


@keys.command("list")
def list_keys(email: Email, password: Password, as_json: AsJson = False, url: Url = None) -> None:
    """List the keys of an application, also those that count no more."""
    from rich.table import Table

    async def work(client: "Client") -> list[dict[str, Any]]:
        return list((await client.get("/api/api-keys"))["data"])

    found = done_by((email, password), url, work)
    if as_json:
        print(json.dumps(found, indent=2))  # noqa: T201 - for programs
        return
    table = Table.grid(padding=(0, 2))
    for each in found:
        used = f"used {each['lastUsedAt'][:10]}" if each["lastUsedAt"] else "never used"
        until = f"until {each['expiresAt'][:10]}" if each["expiresAt"] else ""
        state = "[red]revoked[/]" if each["revokedAt"] else until
        table.add_row(each["id"], f"{each['keyPrefix']}…", escape(each["name"]), used, state)
    console.print(table)


@keys.command("add")
def add_key(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    email: Email,
    password: Password,
    scopes: Annotated[
        list[str] | None, typer.Option("--scope", help="What it may do, as agents:run; else all.")
    ] = None,
    expires: Annotated[str | None, typer.Option(help="Such as 2030-01-01T00:00:00Z.")] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Make a key, and print it: it is shown once."""
    body: dict[str, Any] = {"name": name}
    body |= {"scopes": scopes} if scopes else {}
    body |= {"expiresAt": expires} if expires else {}

    async def work(client: "Client") -> dict[str, Any]:
        return dict(await client.post("/api/api-keys", body))

    made = done_by((email, password), url, work)
    if as_json:
        print(json.dumps(made, indent=2))  # noqa: T201 - for programs
        return
    console.print(made["key"])
    errors.print(f"This is {made['id']}, and it is not shown again.")


@keys.command("revoke")
def revoke_key(
    key: Annotated[str, typer.Argument(metavar="KEY", help="The key's id.")],
    email: Email,
    password: Password,
    url: Url = None,
) -> None:
    """Make a key invalid, at once."""

    async def work(client: "Client") -> None:
        await client.delete(f"/api/api-keys/{key}")

    done_by((email, password), url, work)
    console.print("Revoked.")
