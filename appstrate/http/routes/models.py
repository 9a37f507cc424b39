"""Model providers, credentials and models."""

import msgspec
from aiohttp import web

from actors.contract import spell
from actors.ids import ModelId
from actors.models import (
    DEMO,
    PROVIDERS,
    AgentModel,
    CreateCredential,
    CreateModel,
    Credential,
    CredentialSpec,
    Generation,
    ListCredentials,
    ListModels,
    Model,
    ModelSpec,
    Provider,
    ReadAgentModel,
    SetAgentModel,
    SetDefaultModel,
)
from appstrate.http.call import Call, Page, Routes, Scope, page

routes = Routes()

CREDENTIALS = "/api/model-provider-credentials"


class AgentModelBody(msgspec.Struct, kw_only=True, rename=spell, forbid_unknown_fields=True):
    """The model of an agent; null for the organization's default."""

    model_id: str | None
    generation: Generation = Generation()


class DefaultBody(msgspec.Struct, kw_only=True, rename=spell):
    """Which model is the default; null for none."""

    model_id: str | None


@routes.add("GET", f"{CREDENTIALS}/registry", Scope.ORGANIZATION, "model-provider-credentials:read")
async def list_providers(_: Call) -> Page[Provider]:
    """The providers there can be credentials for."""
    return page([provider for provider in PROVIDERS.values() if provider.provider_id != DEMO])


@routes.add("GET", CREDENTIALS, Scope.ORGANIZATION, "model-provider-credentials:read")
async def list_credentials(call: Call) -> Page[Credential]:
    """The credentials of the organization, without their keys."""
    return page(await call.at.models.ask(ListCredentials(caller=call.caller)))


@routes.add(
    "POST",
    CREDENTIALS,
    Scope.ORGANIZATION,
    "model-provider-credentials:write",
    body=CredentialSpec,
    status=201,
)
async def create_credential(call: Call, body: CredentialSpec) -> Credential:
    """Keep a key, encrypted; it is never given back."""
    return await call.at.models.ask(CreateCredential(caller=call.caller, spec=body))


@routes.add("GET", "/api/models", Scope.ORGANIZATION, "models:read")
async def list_models(call: Call) -> Page[Model]:
    """The organization's models and the built-in ones."""
    return page(await call.at.models.ask(ListModels(caller=call.caller)))


@routes.add("POST", "/api/models", Scope.ORGANIZATION, "models:write", body=ModelSpec, status=201)
async def create_model(call: Call, body: ModelSpec) -> Model:
    """Add a model; the first one becomes the default."""
    return await call.at.models.ask(CreateModel(caller=call.caller, spec=body))


@routes.add(
    "PUT",
    "/api/models/default",
    Scope.ORGANIZATION,
    "models:write",
    body=DefaultBody,
    answer=Model,
    also=(204,),
)
async def set_default(call: Call, body: DefaultBody) -> Model | web.Response:
    """Choose the default model, or clear it."""
    wanted = ModelId(body.model_id) if body.model_id else None
    model = await call.at.models.ask(SetDefaultModel(caller=call.caller, model=wanted))
    return model if model is not None else web.Response(status=204)


@routes.add("GET", "/api/agents/{scope}/{name}/model", Scope.APPLICATION, "agents:read")
async def read_agent_model(call: Call) -> AgentModel:
    """The model and generation chosen for an agent."""
    return await call.at.models.ask(ReadAgentModel(caller=call.caller, package=call.package))


@routes.add(
    "PUT",
    "/api/agents/{scope}/{name}/model",
    Scope.APPLICATION,
    "agents:configure",
    body=AgentModelBody,
)
async def set_agent_model(call: Call, body: AgentModelBody) -> AgentModel:
    """Choose a model and a generation for an agent; null leaves either to others."""
    wanted = ModelId(body.model_id) if body.model_id else None
    choice = AgentModel(model_id=wanted, generation=body.generation)
    asking = SetAgentModel(caller=call.caller, package=call.package, choice=choice)
    return await call.at.models.ask(asking)
