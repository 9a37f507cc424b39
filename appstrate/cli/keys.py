"""`appstrate keys`: API keys. No key may manage keys, so these commands sign in."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from appstrate.cli.accounts import Email, Password, as_user
from appstrate.cli.output import print_json, show_rows, tell
from appstrate.cli.terminal import AsJson, Url, console, errors, group, path

if TYPE_CHECKING:
    from appstrate.cli.client import Client


def list_keys(
    email: Email = None, password: Password = None, as_json: AsJson = False, url: Url = None
) -> None:
    """List the keys of the application, revoked and expired ones too."""

    async def work(client: "Client") -> dict[str, Any]:
        return dict(await client.get("/api/api-keys"))

    page = as_user(url, email, password, work)
    show_rows(
        page,
        "ID BEGINS NAME LAST_USED STATE",
        [
            (
                *(each["id"], f"{each['keyPrefix']}…", each["name"]),
                each["lastUsedAt"][:10] if each["lastUsedAt"] else "never",
                _state(each),
            )
            for each in page["data"]
        ],
        as_json=as_json,
        none="There are no keys yet: `keys add` makes one.",
    )


keys = group("Make, list and revoke API keys.", list_keys)


@keys.command("add")
def add_key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is for.")],
    scopes: Annotated[
        list[str] | None,
        typer.Option(
            "--scope", help="What it may do, such as agents:run; without it, all you may."
        ),
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="When it expires, such as 2030-01-01T00:00:00Z.")
    ] = None,
    email: Email = None,
    password: Password = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Make a key, and print it: it is shown once.

    Example: `appstrate keys add deploys --scope agents:run --scope runs:read`
    """
    body: dict[str, Any] = {"name": name}
    body |= {"scopes": scopes} if scopes else {}
    body |= {"expiresAt": expires} if expires else {}

    async def work(client: "Client") -> dict[str, Any]:
        await _check_scopes(client, scopes or [])
        return dict(await client.post("/api/api-keys", body))

    made = as_user(url, email, password, work)
    if as_json:
        print_json(made)
        return
    console.print(made["key"])
    errors.print(f"This is {made['id']}, and it is not shown again.")


@keys.command("revoke")
def revoke_key(
    key: Annotated[str, typer.Argument(metavar="KEY", help="The key's id.")],
    email: Email = None,
    password: Password = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Make a key invalid, at once."""

    async def work(client: "Client") -> None:
        await client.delete(path("api-keys", key))

    as_user(url, email, password, work)
    tell({"id": key, "revoked": True}, "Revoked.", as_json=as_json)


def _state(key: dict[str, Any]) -> str:
    if key["revokedAt"]:
        return "revoked"
    return f"until {key['expiresAt'][:10]}" if key["expiresAt"] else "valid"


async def _check_scopes(client: "Client", wanted: list[str]) -> None:
    """Refuse scopes one cannot give, which the server leaves out of a key."""
    from appstrate.cli.client import ApiError

    if not wanted:
        return
    grantable = (await client.get("/api/api-keys/available-scopes"))["data"]
    if unknown := [scope for scope in wanted if scope not in grantable]:
        told = ", ".join(grantable)
        raise ApiError(f"there is no scope {', '.join(unknown)} to give; there are {told}")
