"""Model providers, and keys for them."""

from typing import Any

from aiohttp import web

from actors.ids import CredentialId
from actors.models import (
    DEMO,
    PROVIDERS,
    CreateCredential,
    Credential,
    CredentialChanges,
    CredentialSpec,
    DeleteCredential,
    ListCredentials,
    Provider,
    RefreshModels,
    TestCredential,
    Trial,
    TrialSpec,
    UpdateCredential,
)
from appstrate.http.call import Call, Page, Query, Routes, Scope, page
from appstrate.http.codec import json_response

routes = Routes()

PATH = "/api/model-provider-credentials"
READ, WRITE, DELETE = (f"model-provider-credentials:{a}" for a in ("read", "write", "delete"))
FIELDS = Query("fields", "The fields of a provider to answer with, separated by commas.")


@routes.add(
    "GET",
    f"{PATH}/registry",
    Scope.ORGANIZATION,
    READ,
    query=(FIELDS,),
    answer=Page[Provider],
)
async def list_providers(call: Call) -> Page[Provider] | web.Response:
    """The providers there can be credentials for, and what is known of their models."""
    found = [provider for provider in PROVIDERS.values() if provider.provider_id != DEMO]
    wanted = call.query("fields")
    if wanted is None:
        return page(found)
    return json_response(page([_only(each, wanted.split(",")) for each in found]))


def _only(provider: Provider, wanted: list[str]) -> dict[str, Any]:
    names = zip(Provider.__struct_fields__, Provider.__struct_encode_fields__, strict=True)
    return {shown: getattr(provider, name) for name, shown in names if shown in wanted}


@routes.add("GET", PATH, Scope.ORGANIZATION, READ)
async def list_credentials(call: Call) -> Page[Credential]:
    """The credentials of the organization and the built-in ones, without their keys."""
    return page(await call.at.credentials.ask(ListCredentials(caller=call.caller)))


@routes.add(
    "POST",
    PATH,
    Scope.ORGANIZATION,
    WRITE,
    body=CredentialSpec,
    status=201,
    refuses={400: "blocked_url"},
)
async def create_credential(call: Call, body: CredentialSpec) -> Credential:
    """Keep a key, encrypted; it is never given back."""
    return await call.at.credentials.ask(CreateCredential(caller=call.caller, spec=body))


@routes.add(
    "POST",
    f"{PATH}/test",
    Scope.ORGANIZATION,
    WRITE,
    body=TrialSpec,
    limit=5,
    audit=False,
    refuses={400: "blocked_url", 403: "operation_not_allowed", 404: "not_found"},
)
async def test_key(call: Call, body: TrialSpec) -> Trial:
    """Ask a provider whether it takes a key; 200 also when it does not."""
    return await call.at.credentials.ask(TestCredential(caller=call.caller, tried=body))


@routes.add(
    "PUT",
    f"{PATH}/{{credential}}",
    Scope.ORGANIZATION,
    WRITE,
    body=CredentialChanges,
    refuses={403: "operation_not_allowed"},
)
async def update_credential(call: Call, body: CredentialChanges) -> Credential:
    """Rename a credential, or give it another key."""
    asking = UpdateCredential(caller=call.caller, credential=_credential(call), changes=body)
    return await call.at.credentials.ask(asking)


@routes.add(
    "DELETE",
    f"{PATH}/{{credential}}",
    Scope.ORGANIZATION,
    DELETE,
    status=204,
    refuses={403: "operation_not_allowed", 409: "credential_in_use"},
)
async def delete_credential(call: Call) -> None:
    """Forget a key; refused while a model uses it."""
    asking = DeleteCredential(caller=call.caller, credential=_credential(call))
    await call.at.credentials.ask(asking)


@routes.add("POST", f"{PATH}/{{credential}}/test", Scope.ORGANIZATION, WRITE, limit=5, audit=False)
async def test_credential(call: Call) -> Trial:
    """Ask the provider whether it takes the kept key; 200 also when it does not."""
    asking = TestCredential(caller=call.caller, tried=_credential(call))
    return await call.at.credentials.ask(asking)


@routes.add(
    "POST",
    f"{PATH}/{{credential}}/refresh-models",
    Scope.ORGANIZATION,
    WRITE,
    limit=6,
    refuses={403: "operation_not_allowed", 502: "bad_gateway"},
)
async def refresh_models(call: Call) -> Credential:
    """Ask the provider which models the key opens; 502 when it does not tell."""
    asking = RefreshModels(caller=call.caller, credential=_credential(call))
    return await call.at.credentials.ask(asking)


def _credential(call: Call) -> CredentialId:
    return CredentialId(call.request.match_info["credential"])
