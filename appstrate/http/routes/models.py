"""Model providers, credentials and models."""

from typing import Any

import msgspec
from aiohttp import web

from actors.contract import spell
from actors.ids import CredentialId, ModelId
from actors.models import (
    DEMO,
    PROVIDERS,
    Cost,
    CreateCredential,
    CreateModel,
    Credential,
    ListCredentials,
    ListModels,
    Model,
    SetDefaultModel,
)
from appstrate.http.call import Call, Page, Routes, Scope, page

routes = Routes()

CREDENTIALS = "/api/model-provider-credentials"


class CredentialBody(msgspec.Struct, kw_only=True, rename=spell):
    """A key for a provider."""

    provider_id: str
    api_key: str = ""
    label: str | None = None
    base_url_override: str | None = None


class ModelBody(msgspec.Struct, kw_only=True, rename=spell):
    """A model of a credential's provider."""

    model_id: str
    credential_id: str
    label: str | None = None
    input: list[str] | None = None
    context_window: int | None = None
    max_tokens: int | None = None
    reasoning: bool | None = None
    cost: Cost | None = None


class DefaultBody(msgspec.Struct, kw_only=True, rename=spell):
    """Which model is the default; null for none."""

    model_id: str | None


@routes.add("GET", f"{CREDENTIALS}/registry", Scope.ORGANIZATION, "model-provider-credentials:read")
async def list_providers(_: Call) -> Page:
    """The providers there can be credentials for."""
    return page([provider for provider in PROVIDERS.values() if provider.provider_id != DEMO])


@routes.add("GET", CREDENTIALS, Scope.ORGANIZATION, "model-provider-credentials:read")
async def list_credentials(call: Call) -> Page:
    """The credentials of the organization, without their keys."""
    return page(await call.at.models.ask(ListCredentials(caller=call.caller)))


@routes.add(
    "POST",
    CREDENTIALS,
    Scope.ORGANIZATION,
    "model-provider-credentials:write",
    body=CredentialBody,
    status=201,
)
async def create_credential(call: Call, body: CredentialBody) -> Credential:
    """Keep a key, encrypted; it is never given back."""
    message = CreateCredential(
        caller=call.caller,
        provider_id=body.provider_id,
        api_key=body.api_key,
        label=body.label,
        base_url_override=body.base_url_override,
    )
    return await call.at.models.ask(message)


@routes.add("GET", "/api/models", Scope.ORGANIZATION, "models:read")
async def list_models(call: Call) -> Page:
    """The organization's models and the built-in ones."""
    return page(await call.at.models.ask(ListModels(caller=call.caller)))


@routes.add("POST", "/api/models", Scope.ORGANIZATION, "models:write", body=ModelBody, status=201)
async def create_model(call: Call, body: ModelBody) -> Model:
    """Add a model; the first one becomes the default."""
    message = CreateModel(
        caller=call.caller,
        model_id=body.model_id,
        credential_id=CredentialId(body.credential_id),
        label=body.label,
        input=body.input,
        context_window=body.context_window,
        max_tokens=body.max_tokens,
        reasoning=body.reasoning,
        cost=body.cost,
    )
    return await call.at.models.ask(message)


@routes.add("PUT", "/api/models/default", Scope.ORGANIZATION, "models:write", body=DefaultBody)
async def set_default(call: Call, body: DefaultBody) -> Any:
    """Choose the default model, or clear it."""
    wanted = ModelId(body.model_id) if body.model_id else None
    model = await call.at.models.ask(SetDefaultModel(caller=call.caller, model=wanted))
    return model if model is not None else web.Response(status=204)
