"""`appstrate models`: what agents think with."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from appstrate.cli.accounts import Email, Password, as_user
from appstrate.cli.credentials import CREDENTIALS, print_trial
from appstrate.cli.output import safe, show_rows, tell
from appstrate.cli.terminal import AsJson, Url, call, command_name, connected, group, path, run_work

if TYPE_CHECKING:
    from appstrate.cli.client import Client

ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="Its id, name or label.")]


def list_models(as_json: AsJson = False, url: Url = None) -> None:
    """List the models agents can use; a star marks the one they use by default."""
    page = run_work(call(url, "GET", "/api/models"))
    show_rows(
        page,
        "_ MODEL LABEL PROVIDER SOURCE STATE ID",
        [
            (
                *("*" if each["is_default"] else "", each["modelId"], each["label"]),
                *(each["providerName"], each["source"], _state(each), each["id"]),
            )
            for each in page["data"]
        ],
        as_json=as_json,
        none=f"There are no models yet: begin with `{command_name()} credentials add`.",
    )


models = group("Models that agents think with.", list_models)


@models.command("add")
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the provider calls the model.")],
    credential: Annotated[
        str | None, typer.Option(help="Id or label of a credential; without it, the only one.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="What to call it here.")] = None,
    context_window: Annotated[int | None, typer.Option(help="In tokens.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Of one answer, in tokens.")] = None,
    default: Annotated[bool, typer.Option("--default", help="Use it by default.")] = False,
    email: Email = None,
    password: Password = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Let agents use a model of a provider; the first one becomes the default.

    What is left out is taken from what is known of the model. Example: `appstrate models add qwen3`
    """
    said = {"label": label, "contextWindow": context_window, "maxTokens": max_tokens}
    spec = {"modelId": name} | {key: value for key, value in said.items() if value is not None}

    async def work(client: "Client") -> dict[str, Any]:
        spec["credentialId"] = await _credential(client, credential)
        made: dict[str, Any] = await client.post("/api/models", spec)
        if default:
            await client.put("/api/models/default", {"modelId": made["id"]})
        return made

    made = as_user(url, email, password, work)
    tell(made, f"Added {safe(made['label'])} as [bold]{made['id']}[/]", as_json=as_json)


@models.command("test")
def try_model(model: ModelName, as_json: AsJson = False, url: Url = None) -> None:
    """Have a model answer a few tokens."""
    print_trial(run_work(_of_model(url, "POST", model, "test")), as_json=as_json)


@models.command("default")
def set_default(model: ModelName, as_json: AsJson = False, url: Url = None) -> None:
    """Have agents use a model unless told otherwise."""

    async def work() -> dict[str, Any]:
        async with connected(url) as client:
            body = {"modelId": await find_model(client, model)}
            return dict(await client.put("/api/models/default", body))

    tell(run_work(work()), f"{safe(model)} is the default.", as_json=as_json)


@models.command("remove")
def remove(model: ModelName, as_json: AsJson = False, url: Url = None) -> None:
    """Remove a model; agents cannot use it any more."""
    run_work(_of_model(url, "DELETE", model))
    tell({"id": model, "removed": True}, "Removed.", as_json=as_json)


async def find_model(client: "Client", wanted: str) -> str:
    """The id of a model that was named by its id, by its name at the provider, or by its label."""
    found = (await client.get("/api/models"))["data"]
    for name in ("id", "modelId", "label"):
        ids = [model["id"] for model in found if model.get(name) == wanted]
        if len(ids) == 1:
            return str(ids[0])
    return wanted


async def _of_model(url: str | None, method: str, model: str, *parts: str) -> dict[str, Any]:
    async with connected(url) as client:
        where = path("models", await find_model(client, model), *parts)
        return dict(await client.request(method, where, None, {}) or {})


async def _credential(client: "Client", wanted: str | None) -> str:
    """The id of a credential: the only one, unless one is named."""
    from appstrate.cli.client import ApiError

    found = (await client.get(path(CREDENTIALS)))["data"]
    named = [each["id"] for each in found if wanted in {None, each["id"], each["label"]}]
    if len(named) == 1:
        return str(named[0])
    if wanted is None and not found:
        raise ApiError("there is no credential for a provider yet: `credentials add` keeps one")
    ids = "\n".join(f"  {each['id']}  {each['providerId']} {each['label']}" for each in found)
    raise ApiError(f"say which credential with --credential:\n{ids}")


def _state(model: dict[str, Any]) -> str:
    if model["needs_reconnection"]:
        return "credential to be renewed"
    return "" if model["enabled"] else "disabled"
