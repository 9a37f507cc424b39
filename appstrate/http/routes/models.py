"""Models, and the one of an agent."""

import msgspec
from aiohttp import web

from actors.contract import spell
from actors.ids import CredentialId, ModelId
from actors.models import (
    AgentModel,
    CreateModel,
    DeleteModel,
    Generation,
    ListModels,
    Model,
    ModelChanges,
    ModelSpec,
    ModelTrialSpec,
    ReadAgentModel,
    Seeded,
    SeedModels,
    SetAgentModel,
    SetDefaultModel,
    TestModel,
    Trial,
    UpdateModel,
)
from appstrate.http.call import Call, Page, Routes, Scope, page

routes = Routes()


class AgentModelBody(msgspec.Struct, kw_only=True, rename=spell, forbid_unknown_fields=True):
    """The model of an agent; null for the organization's default."""

    model_id: str | None
    generation: Generation = Generation()


class SeedBody(msgspec.Struct, kw_only=True, rename="camel"):
    """Which models of the catalogue to add for a credential."""

    credential_id: str
    model_ids: list[str]


class DefaultBody(msgspec.Struct, kw_only=True, rename=spell):
    """Which model is the default; null for none."""

    model_id: str | None


@routes.add("GET", "/api/models", Scope.ORGANIZATION, "models:read")
async def list_models(call: Call) -> Page[Model]:
    """The organization's models and the built-in ones."""
    return page(await call.at.models.ask(ListModels(caller=call.caller)))


@routes.add(
    "POST",
    "/api/models",
    Scope.ORGANIZATION,
    "models:write",
    body=ModelSpec,
    status=201,
    refuses={404: "not_found"},
)
async def create_model(call: Call, body: ModelSpec) -> Model:
    """Add a model; the first one becomes the default."""
    return await call.at.models.ask(CreateModel(caller=call.caller, spec=body))


@routes.add(
    "POST",
    "/api/models/seed",
    Scope.ORGANIZATION,
    "models:write",
    body=SeedBody,
    status=201,
    refuses={404: "not_found"},
)
async def seed_models(call: Call, body: SeedBody) -> Seeded:
    """Add models of the catalogue for a credential that has none yet."""
    credential = CredentialId(body.credential_id)
    asking = SeedModels(caller=call.caller, credential=credential, models=body.model_ids)
    return await call.at.models.ask(asking)


@routes.add(
    "POST",
    "/api/models/test",
    Scope.ORGANIZATION,
    "models:write",
    body=ModelTrialSpec,
    limit=5,
    audit=False,
    refuses={404: "not_found"},
)
async def try_model(call: Call, body: ModelTrialSpec) -> Trial:
    """Have a model answer a few tokens before it is added; 200 also when it does not."""
    return await call.at.models.ask(TestModel(caller=call.caller, tried=body))


@routes.add(
    "PUT",
    "/api/models/default",
    Scope.ORGANIZATION,
    "models:write",
    body=DefaultBody,
    answer=Model,
    also=(204,),
    refuses={404: "not_found"},
)
async def set_default(call: Call, body: DefaultBody) -> Model | web.Response:
    """Choose the default model, or clear it."""
    wanted = ModelId(body.model_id) if body.model_id else None
    model = await call.at.models.ask(SetDefaultModel(caller=call.caller, model=wanted))
    return model if model is not None else web.Response(status=204)


@routes.add(
    "PUT",
    "/api/models/{model}",
    Scope.ORGANIZATION,
    "models:write",
    body=ModelChanges,
    refuses={403: "operation_not_allowed"},
)
async def update_model(call: Call, body: ModelChanges) -> Model:
    """Change a model; what is absent stays, null is what the catalogue knows."""
    asking = UpdateModel(caller=call.caller, model=_model(call), changes=body)
    return await call.at.models.ask(asking)


@routes.add(
    "DELETE",
    "/api/models/{model}",
    Scope.ORGANIZATION,
    "models:delete",
    status=204,
    refuses={403: "operation_not_allowed"},
)
async def delete_model(call: Call) -> None:
    """Delete a model, and every choice of it."""
    await call.at.models.ask(DeleteModel(caller=call.caller, model=_model(call)))


@routes.add(
    "POST", "/api/models/{model}/test", Scope.ORGANIZATION, "models:write", limit=5, audit=False
)
async def test_model(call: Call) -> Trial:
    """Have a model answer a few tokens; 200 also when it does not."""
    return await call.at.models.ask(TestModel(caller=call.caller, tried=_model(call)))


def _model(call: Call) -> ModelId:
    return ModelId(call.request.match_info["model"])


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
