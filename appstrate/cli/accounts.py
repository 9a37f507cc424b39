"""`appstrate login` and `appstrate claim`: who one is on a server, and who may come in."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from appstrate.cli.terminal import Url, command_name, console, errors, fail, run_work

if TYPE_CHECKING:
    from appstrate.cli.client import Client
    from appstrate.settings import Settings

T = TypeVar("T")

Email = Annotated[str, typer.Option(prompt="E-mail", help="Who signs in.")]
Password = Annotated[str, typer.Option(prompt=True, hide_input=True, help="Asked for.")]


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


def claim(
    name: Annotated[str, typer.Option(prompt="Your name")],
    email: Annotated[str, typer.Option(prompt="E-mail")],
    password: Annotated[str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True)],
    token: Annotated[
        str | None, typer.Option(help="The claim token; else this folder's server's own.")
    ] = None,
    url: Url = None,
) -> None:
    """Make yourself the owner of a platform that has none, and sign in."""
    from appstrate.cli.access import find_url, user_file, write_private

    owner = {"token": token or _own_token(), "name": name, "email": email, "password": password}
    kept = run_work(_claim(find_url(url), owner))
    write_private(user_file(), kept)
    console.print(f"{kept['url']} is yours: signed in as {email}; the key is in {user_file()}")


def warn_of_strangers(settings: "Settings") -> None:
    """Say loudly who may come in, when others than this machine reach the server."""
    if settings.loopback_only or settings.access.sign_up_closed:
        return
    domains = ", ".join(sorted(settings.access.sign_up_domains))
    who = f"Anybody who claims an address of {domains} and" if domains else "Anybody who"
    errors.print(
        f"[bold yellow]{who} reaches {settings.host} can sign up here.[/] "
        "Set AUTH_DISABLE_SIGNUP=true to let in only who is invited, or HOST=127.0.0.1 to keep "
        "this server to this machine."
    )


def print_claim(settings: "Settings", url: str) -> None:
    """Say how a platform without an owner gets one."""
    if settings.claim is None:
        return
    how = " and enter AUTH_BOOTSTRAP_TOKEN" if settings.claim.chosen else ""
    errors.print(
        f"Nobody owns this platform yet. To make it yours, open {settings.claim.link(url)}{how}\n"
        f"or run `{command_name()} claim`. The link works once."
    )


def _own_token() -> str:
    """The claim token of the server whose data lies here."""
    from appstrate.cli.access import data_dir
    from appstrate.environment import read_environment
    from appstrate.settings import read_settings

    variables = read_environment()
    if "AUTH_BOOTSTRAP_TOKEN" not in variables and not data_dir().exists():
        fail(f"there is no server in {data_dir()}: pass the --token that yours has printed")
    claimed = read_settings(variables).claim
    if claimed is None:
        fail("these settings name the owner or administrators: there is nothing to claim")
    return claimed.token


async def _claim(url: str, owner: dict[str, str]) -> dict[str, Any]:
    from appstrate.cli.client import Client

    async with Client(url) as client:
        await client.post("/api/auth/bootstrap/redeem", owner)
        return await _key(client, url, owner["email"])


async def _login(url: str, email: str, password: str) -> dict[str, Any]:
    from appstrate.cli.client import Client

    async with Client(url) as client:
        await client.post("/api/auth/sign-in/email", {"email": email, "password": password})
        return await _key(client, url, email)


def done_by(
    who: tuple[str, str],
    url: str | None,
    work: Callable[["Client"], Awaitable[T]],
    *,
    tenant: bool = True,
) -> T:
    """What `work` returns, done by whoever has this e-mail and password, and nobody's key.

    It acts in their first organization and application, or in none if `tenant` is false.
    """
    from appstrate.cli.access import find_url

    async def within() -> T:
        async with _signed_in(find_url(url), who, tenant=tenant) as client:
            return await work(client)

    return run_work(within())


@asynccontextmanager
async def _signed_in(
    url: str, who: tuple[str, str], *, tenant: bool
) -> AsyncGenerator["Client", None]:
    """A user's client for the length of a block; the session is ended with it."""
    from appstrate.cli.client import Client

    email, password = who
    async with Client(url) as client:
        await client.post("/api/auth/sign-in/email", {"email": email, "password": password})
        try:
            if tenant:
                await _enter(client)
            yield client
        finally:
            await client.post("/api/auth/sign-out")


async def _enter(client: "Client") -> str:
    """Act in the first application of a user's first organization; returns that one's id."""
    from appstrate.cli.client import ApiError

    orgs = (await client.get("/api/orgs"))["data"]
    if not orgs:
        raise ApiError("this account has no organization yet")
    org = str(orgs[0]["id"])
    client.act_in(org, "")
    application = (await client.get("/api/applications"))["data"][0]
    client.act_in(org, application["id"])
    return org


async def _key(client: "Client", url: str, email: str) -> dict[str, Any]:
    """A key for whoever has just signed in, in the first application of their organization."""
    org = await _enter(client)
    key = await client.post("/api/api-keys", {"name": "Command line"})
    return {"url": url, "email": email, "orgId": org, "apiKey": key["key"]}
