"""`appstrate login`: who one is on a server."""

from typing import Annotated, Any

import typer

from appstrate.cli.terminal import Url, console, run_work


def login(
    email: Annotated[str, typer.Option(prompt="E-mail")],
    password: Annotated[str, typer.Option(prompt=True, hide_input=True)],
    url: Url = None,
) -> None:
    """Sign in, and keep an API key for this user of this machine."""
    from appstrate.cli.access import find_url, user_file, write_private

    kept = run_work(_login(find_url(url), email, password))
    write_private(user_file(), kept)
    console.print(f"Signed in to {kept['url']} as {email}; the key is in {user_file()}")


async def _login(url: str, email: str, password: str) -> dict[str, Any]:
    from appstrate.cli.client import ApiError, Client

    async with Client(url) as client:
        await client.post("/api/auth/sign-in/email", {"email": email, "password": password})
        orgs = (await client.get("/api/orgs"))["data"]
        if not orgs:
            raise ApiError("this account has no organization yet")
        client.act_in(orgs[0]["id"], "")
        application = (await client.get("/api/applications"))["data"][0]
        client.act_in(orgs[0]["id"], application["id"])
        key = await client.post("/api/api-keys", {"name": "Command line"})
    return {"url": url, "email": email, "orgId": orgs[0]["id"], "apiKey": key["key"]}
