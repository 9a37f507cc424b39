"""`appstrate login` and `appstrate claim`: who one is on a server, and who may come in."""

import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from appstrate.cli.output import safe, tell
from appstrate.cli.terminal import AsJson, Url, command_name, errors, fail, run_work

if TYPE_CHECKING:
    from appstrate.cli.client import Client
    from appstrate.settings import Settings

T = TypeVar("T")

Email = Annotated[
    str | None,
    typer.Option(
        "--email", envvar="APPSTRATE_EMAIL", help="Who signs in; without it, whoever did last."
    ),
]
Password = Annotated[
    str | None,
    typer.Option("--password", envvar="APPSTRATE_PASSWORD", help="Asked for when it is not known."),
]
Org = Annotated[str | None, typer.Option("--org", help="Its slug or id; without it, your first.")]
App = Annotated[
    str | None, typer.Option("--app", help="Its name or id; without it, the default one.")
]
SECRETS = ("apiKey", "password")


def login(
    email: Email = None,
    password: Password = None,
    org: Org = None,
    app: App = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Sign in, and keep an API key for this user of this machine.

    The key acts in one application of one organization: `orgs use` and `apps use` choose others.
    """
    from appstrate.cli.access import find_url, user_file, write_private

    where = find_url(url)
    email = email or ask("E-mail", "--email")
    password = password or ask("Password", "--password", hidden=True)
    place = {"orgId": org, "applicationId": app}
    kept = run_work(_login(where, email, password, place), "Signing in")
    write_private(user_file(), kept)
    told = f"Signed in to {where} as {safe(email)}; the key is in {user_file()}"
    tell(without_secrets(kept), told, as_json=as_json)


def claim(
    name: Annotated[str | None, typer.Option(help="Your name; asked for on a terminal.")] = None,
    email: Annotated[str | None, typer.Option(help="Your e-mail address; likewise.")] = None,
    password: Annotated[str | None, typer.Option(help="Your password; likewise, twice.")] = None,
    token: Annotated[
        str | None, typer.Option(help="The claim token; without it, that of this folder's server.")
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Make yourself the owner of a platform that has none, and sign in."""
    from appstrate.cli.access import find_url, user_file, write_private

    where = find_url(url)
    owner = {
        "name": name or ask("Your name", "--name"),
        "email": email or ask("E-mail", "--email"),
        "password": password or ask("Password", "--password", hidden=True, twice=True),
        "token": token or _own_token(),
    }
    kept = run_work(_claim(where, owner), "Claiming the platform")
    write_private(user_file(), kept)
    told = f"{where} is yours: signed in as {safe(owner['email'])}; the key is in {user_file()}"
    tell(without_secrets(kept), told, as_json=as_json)


def as_user(
    url: str | None,
    email: str | None,
    password: str | None,
    work: Callable[["Client"], Awaitable[T]],
    *,
    tenant: bool = True,
) -> T:
    """What `work` returns, done as a user and not with a key, where they last signed in; in no
    organization if `tenant` is false.

    Who that is, and for the demo also the password, is known from there; what is not is asked for.
    """
    from appstrate.cli.access import find_login, find_url

    where = find_url(url)
    kept = find_login(where)
    email = email or kept.get("email") or ask("E-mail", "--email")
    if kept.get("email") != email:
        kept = {}
    secret = password or kept.get("password")
    secret = secret or ask(f"Password of {email}", "APPSTRATE_PASSWORD", hidden=True)

    async def within() -> T:
        async with signed_in(where, email, secret, kept if tenant else None) as client:
            return await work(client)

    return run_work(within())


def ask(what: str, otherwise: str, *, hidden: bool = False, twice: bool = False) -> str:
    """Something that only whoever types knows. Fails where nobody types."""
    if not sys.stdin.isatty():
        fail(f"there is nobody to ask for {what.lower()}: pass {otherwise}", 2)
    return str(typer.prompt(what, hide_input=hidden, confirmation_prompt=twice))


def without_secrets(kept: dict[str, Any]) -> dict[str, Any]:
    """A login as it may be printed."""
    return {name: value for name, value in kept.items() if name not in SECRETS}


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
        return await new_key(client, owner["email"], {})


async def _login(
    url: str, email: str, password: str, place: dict[str, str | None]
) -> dict[str, Any]:
    async with signed_in(url, email, password, {}) as client:
        return await new_key(client, email, place)


@asynccontextmanager
async def signed_in(
    url: str, email: str, password: str, place: dict[str, Any] | None
) -> AsyncGenerator["Client", None]:
    """A user's client for the length of a block; the session is ended with it."""
    from appstrate.cli.client import Client

    async with Client(url) as client:
        await client.post("/api/auth/sign-in/email", {"email": email, "password": password})
        try:
            if place is not None:
                await _enter(client, place)
            yield client
        finally:
            await client.post("/api/auth/sign-out")


async def new_key(client: "Client", email: str, place: dict[str, Any]) -> dict[str, Any]:
    """A key for whoever is signed in, to act in a place; what is kept of a login."""
    entered = await _enter(client, place)
    key = await client.post("/api/api-keys", {"name": "Command line"})
    return {"url": client.url, "email": email, **entered, "apiKey": key["key"]}


async def _enter(client: "Client", place: dict[str, Any]) -> dict[str, str]:
    """Act in an application of an organization, by default in the first of each.

    `place` has either's id or name, if any.
    """
    orgs = (await client.get("/api/orgs"))["data"]
    org = chosen(orgs, place.get("orgId"), "slug", "organization")
    client.act_in(org["id"], "")
    applications = (await client.get("/api/applications"))["data"]
    application = chosen(applications, place.get("applicationId"), "name", "application")
    client.act_in(org["id"], application["id"])
    return {"orgId": org["id"], "slug": org["slug"], "applicationId": application["id"]}


def chosen(found: list[dict[str, Any]], wanted: str | None, name: str, kind: str) -> dict[str, Any]:
    """The one that is wanted, by its id or its name; the first when none is."""
    from appstrate.cli.client import ApiError

    for each in found:
        if wanted is None or wanted in {each["id"], each[name]}:
            return each
    if not found:
        raise ApiError(f"this account has no {kind} yet")
    names = ", ".join(each[name] for each in found)
    raise ApiError(f"there is no {kind} {wanted} for this account; there is {names}")
