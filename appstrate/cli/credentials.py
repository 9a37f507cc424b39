"""`appstrate credentials`: keys for model providers. These commands sign in, as no key may."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from appstrate.cli.accounts import Email, Password, as_user
from appstrate.cli.output import print_json, safe, show_rows, tell
from appstrate.cli.terminal import AsJson, Url, command_name, console, group, path

if TYPE_CHECKING:
    from appstrate.cli.client import Client

CREDENTIALS = "model-provider-credentials"
CredentialId = Annotated[str, typer.Argument(metavar="CREDENTIAL", help="The credential's id.")]


def list_credentials(
    email: Email = None, password: Password = None, as_json: AsJson = False, url: Url = None
) -> None:
    """List the credentials for model providers; the keys themselves are never shown."""
    page = _ask(url, email, password, "GET")
    show_rows(
        page,
        "ID PROVIDER LABEL SOURCE STATE URL",
        [
            (
                *(each["id"], each["providerId"], each["label"], each["source"]),
                "to be renewed" if each.get("needs_reconnection") else "",
                each["baseUrl"],
            )
            for each in page["data"]
        ],
        as_json=as_json,
        none=f"There are none yet: `{command_name()} credentials add openai` keeps one.",
    )


credentials = group("Keys for model providers.", list_credentials)


@credentials.command("providers")
def list_providers(
    email: Email = None, password: Password = None, as_json: AsJson = False, url: Url = None
) -> None:
    """List the providers there can be keys for."""
    page = _ask(url, email, password, "GET", "registry")
    rows = [
        (
            *(each["providerId"], each["displayName"], len(each["models"]) or ""),
            each["defaultBaseUrl"],
        )
        for each in page["data"]
    ]
    show_rows(page, "PROVIDER NAME KNOWN_MODELS URL", rows, as_json=as_json, none="There are none.")


@credentials.command("add")
def add(
    provider: Annotated[
        str, typer.Argument(metavar="PROVIDER", help="As `credentials providers` shows it.")
    ],
    api_key: Annotated[
        str | None,
        typer.Option(
            envvar="APPSTRATE_PROVIDER_KEY", help="The provider's key; asked for on a terminal."
        ),
    ] = None,
    base_url: Annotated[
        str | None, typer.Option(help="Where the provider is, if not where it usually is.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="What to call it.")] = None,
    email: Email = None,
    password: Password = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Keep a key for a provider, encrypted; models can then be added with it.

    Examples: `appstrate credentials add anthropic`,
    `appstrate credentials add openai-compatible --base-url http://localhost:11434`
    """
    if api_key is None and base_url is None:
        from appstrate.cli.accounts import ask

        api_key = ask(f"Key for {provider}", "APPSTRATE_PROVIDER_KEY", hidden=True)
    body = {"providerId": provider, "apiKey": api_key or "", "label": label}
    body |= {"baseUrlOverride": base_url} if base_url else {}
    made = _ask(url, email, password, "POST", body=body)
    told = f"Kept as [bold]{made['id']}[/]. Next: `{command_name()} models add NAME`"
    tell(made, told, as_json=as_json)


@credentials.command("test")
def try_credential(
    credential: CredentialId,
    email: Email = None,
    password: Password = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Ask the provider whether it takes the key."""
    print_trial(_ask(url, email, password, "POST", credential, "test"), as_json=as_json)


@credentials.command("remove")
def remove(
    credential: CredentialId,
    email: Email = None,
    password: Password = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Forget a key; refused while a model uses it."""
    _ask(url, email, password, "DELETE", credential)
    tell({"id": credential, "removed": True}, "Removed.", as_json=as_json)


def print_trial(trial: dict[str, Any], *, as_json: bool) -> None:
    """How a test of a provider went; a failed one is the command's failure."""
    if as_json:
        print_json(trial)
    elif trial["ok"]:
        console.print(f"[green]It works[/], in {trial['latency']} ms.")
    else:
        told = trial.get("message") or trial.get("error") or "the provider did not say why"
        console.print(f"[red]It does not work[/]: {safe(told)}")
    raise typer.Exit(0 if trial["ok"] else 1)


def _ask(
    url: str | None,
    email: str | None,
    password: str | None,
    method: str,
    *parts: str,
    body: dict[str, Any] | None = None,
) -> dict[str, Any]:
    async def work(client: "Client") -> dict[str, Any]:
        return dict(await client.request(method, path(CREDENTIALS, *parts), body, {}) or {})

    return as_user(url, email, password, work)
