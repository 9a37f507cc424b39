"""Which models an organization has, and which one a run gets."""

from typing import Any, TypeAlias, assert_never

import msgspec

from actors.accounts import Caller
from actors.contract import spell
from actors.ids import CredentialId, ModelId, OrgId, PackageId, new_uuid
from actors.models.choice import AgentModel, ChosenModel
from actors.models.credentials import Credentials, FindCredential, OpenModel
from actors.models.probe import ModelProbe, Trial
from actors.models.providers import DEMO, PROVIDERS
from actors.models.records import (
    BuiltIn,
    Model,
    ModelChanges,
    ModelRecords,
    ModelSpec,
    OrgModels,
    StoredModel,
)
from actors.models.rules import changed, check_model, check_seed, check_sendable, label_of
from actors.models.views import chosen, listed
from actors.runtime import Actor, Address, Lane, NotFound, Rejected, Request


class CreateModel(Request["Models", Model], frozen=True, kw_only=True):
    """Add a model of a credential's provider. The first one becomes the default."""

    caller: Caller
    spec: ModelSpec


class Seeded(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How many models were added, which, and whether the first of them became the default."""

    created: int
    ids: list[ModelId]
    promoted_default: bool


class SeedModels(Request["Models", Seeded], frozen=True, kw_only=True):
    """Add models of the catalogue for a new credential; does nothing when it has any already."""

    caller: Caller
    credential: CredentialId
    models: list[str]


class ListModels(Request["Models", list[Model]], frozen=True, kw_only=True):
    """The caller's organization's models, oldest first, then the built-in ones."""

    caller: Caller


class UpdateModel(Request["Models", Model], frozen=True, kw_only=True):
    """Change a model; a built-in one is refused with `operation_not_allowed`."""

    caller: Caller
    model: ModelId
    changes: ModelChanges


class DeleteModel(Request["Models", None], frozen=True, kw_only=True):
    """Delete a model and every choice of it; runs under way keep what they were launched with."""

    caller: Caller
    model: ModelId


class SetDefaultModel(Request["Models", Model | None], frozen=True, kw_only=True):
    """Choose the organization's default, or clear it with None."""

    caller: Caller
    model: ModelId | None


class ModelTrialSpec(msgspec.Struct, frozen=True, kw_only=True, rename=spell):
    """A model to be tried before it is added; `api_key` instead of the credential's."""

    credential_id: CredentialId
    model_id: str
    api_key: str | None = None
    existing_model_id: ModelId | None = None


class TestModel(Request["Models", Trial], frozen=True, kw_only=True):
    """Have a model answer a few tokens: one of the organization's, or one in a spec."""

    caller: Caller
    tried: ModelId | ModelTrialSpec


class ChooseModel(Request["Models", ChosenModel], frozen=True, kw_only=True):
    """The model for a run: the one asked for, else the agent's, the organization's default, or the
    built-in default.

    Refuses an unknown id with `NotFound`, none at all with `model_not_configured`, and a
    credential without the key its provider needs with `model_credential_missing`. A choice or a
    default that is gone or disabled counts as none. `package` is the agent to be run.
    """

    caller: Caller
    package: PackageId | None = None
    model: ModelId | None = None


class ReadAgentModel(Request["Models", AgentModel], frozen=True, kw_only=True):
    """The model and generation chosen for an agent in the caller's application."""

    caller: Caller
    package: PackageId


class SetAgentModel(Request["Models", AgentModel], frozen=True, kw_only=True):
    """Choose them; refuses a model the organization does not have with `NotFound`."""

    caller: Caller
    package: PackageId
    choice: AgentModel


ModelsMessage: TypeAlias = (
    CreateModel
    | SeedModels
    | ListModels
    | UpdateModel
    | DeleteModel
    | SetDefaultModel
    | TestModel
    | ChooseModel
    | ReadAgentModel
    | SetAgentModel
)


class Models(Actor):
    """Keeps models, and chooses among them."""

    lanes = (Lane("trials", 8, (TestModel,)), Lane("models", 32))

    def __init__(
        self,
        records: ModelRecords,
        credentials: Address[Credentials],
        probe: ModelProbe,
        built_in: BuiltIn,
    ) -> None:
        super().__init__()
        self._records = records
        self._credentials = credentials
        self._probe = probe
        self._built_in = built_in

    async def receive(self, message: ModelsMessage) -> Any:
        match message:
            case CreateModel():
                return await self._create(message)
            case SeedModels():
                return await self._seed(message)
            case ListModels():
                found = await self._records.all(message.caller.organization)
                return listed(found, self._built_in)
            case UpdateModel():
                return await self._update(message)
            case DeleteModel():
                return await self._delete(message)
            case SetDefaultModel():
                return await self._set_default(message)
            case TestModel():
                return await self._test(message)
            case ChooseModel():
                return await self._choose(message)
            case ReadAgentModel():
                return await self._agent_model(message.caller, message.package)
            case SetAgentModel():
                return await self._set_agent_model(message)
            case _:
                assert_never(message)

    async def _create(self, message: CreateModel) -> Model:
        org, model = message.caller.organization, ModelId(new_uuid())
        check_model(message.spec)
        spec = await self._labelled(org, message.spec)
        if not await self._records.add(org, message.caller.user, model, spec):
            raise _no_credential()
        return self._named(await self._records.all(org), model)

    async def _labelled(self, org: OrgId, spec: ModelSpec) -> ModelSpec:
        """The spec with a label, of a credential that is the organization's own."""
        finding = FindCredential(org=org, credential=spec.credential_id)
        credential = await self._credentials.ask(finding)
        label = label_of(spec, credential.provider_id)
        return msgspec.structs.replace(spec, label=label, model_id=spec.model_id.strip())

    async def _seed(self, message: SeedModels) -> Seeded:
        org, user = message.caller.organization, message.caller.user
        finding = FindCredential(org=org, credential=message.credential)
        credential = await self._credentials.ask(finding)
        specs = [
            msgspec.structs.replace(spec, label=label_of(spec, credential.provider_id))
            for spec in check_seed(credential, message.models)
        ]
        wanted = {ModelId(new_uuid()): spec for spec in specs}
        added, promoted = await self._records.seed(org, user, message.credential, wanted)
        return Seeded(created=len(added), ids=added, promoted_default=promoted)

    async def _update(self, message: UpdateModel) -> Model:
        org = message.caller.organization
        stored = await self._own(org, message.model)
        spec = changed(stored, message.changes)
        check_model(spec)
        spec = await self._labelled(org, spec)
        if not await self._records.write(org, message.model, spec):
            raise _no_credential()
        return self._named(await self._records.all(org), message.model)

    async def _delete(self, message: DeleteModel) -> None:
        self._refuse_built_in(message.model)
        if not await self._records.delete(message.caller.organization, message.model):
            raise _no_model(message.model)

    async def _set_default(self, message: SetDefaultModel) -> Model | None:
        org = message.caller.organization
        found = None
        if message.model is not None:
            found = self._named(await self._records.all(org), message.model)
            found = msgspec.structs.replace(found, is_default=True)
        await self._records.set_default(org, message.model)
        return found

    async def _test(self, message: TestModel) -> Trial:
        org, tried = message.caller.organization, message.tried
        if isinstance(tried, ModelTrialSpec):
            credential, model, key = tried.credential_id, tried.model_id.strip(), tried.api_key
            check_sendable((key or "").strip())
        else:
            found = await self._records.all(org)
            stored = next((m for m in self._every(found) if m.id == tried), None)
            if stored is None:
                raise _no_model(tried)
            credential, model, key = stored.credential.id, stored.model_id, None
        if credential == DEMO:
            return Trial(ok=True, latency=0)
        opening = OpenModel(org=org, credential=credential, api_key=(key or "").strip() or None)
        return await self._probe.complete(await self._credentials.ask(opening), model)

    async def _agent_model(self, caller: Caller, package: PackageId) -> AgentModel:
        found = await self._records.agent_model(*caller.tenant, package)
        if found is None:
            raise _no_agent(package)
        return found

    async def _set_agent_model(self, message: SetAgentModel) -> AgentModel:
        org, application = message.caller.tenant
        if message.choice.model_id is not None:
            self._named(await self._records.all(org), message.choice.model_id)
        choosing = (org, application, message.package, message.choice)
        if not await self._records.set_agent_model(*choosing):
            raise _no_agent(message.package)
        return message.choice

    async def _choose(self, message: ChooseModel) -> ChosenModel:
        org = message.caller.organization
        found = await self._records.all(org)
        choice = AgentModel()
        if message.package is not None:
            tenant = message.caller.tenant
            choice = await self._records.agent_model(*tenant, message.package) or choice
        usable = {each.id: each for each in self._every(found) if each.enabled}
        if message.model is not None and message.model not in usable:
            raise _no_model(message.model)
        cascade = (message.model, choice.model_id, found.default_id, self._built_in.default_id)
        stored = next((usable[m] for m in cascade if m is not None and m in usable), None)
        if stored is None:
            raise Rejected(
                "no model is configured: add one with POST /api/models, choose a default, or run "
                'with "modelId": "demo" to try the scripted demo model',
                code="model_not_configured",
            )
        await self._check_key(org, stored)
        return chosen(stored, choice)

    async def _check_key(self, org: OrgId, stored: StoredModel) -> None:
        provider = PROVIDERS[stored.credential.provider_id]
        if not provider.needs_key:
            return
        access = await self._credentials.ask(OpenModel(org=org, credential=stored.credential.id))
        if not access.api_key:
            what = f"the credential {stored.credential.label} has no key"
            raise Rejected(what, code="model_credential_missing")

    def _every(self, found: OrgModels) -> list[StoredModel]:
        return [*found.models, *self._built_in.models]

    def _named(self, found: OrgModels, wanted: ModelId) -> Model:
        for model in listed(found, self._built_in):
            if model.id == wanted:
                return model
        raise _no_model(wanted)

    async def _own(self, org: OrgId, model: ModelId) -> StoredModel:
        self._refuse_built_in(model)
        for each in (await self._records.all(org)).models:
            if each.id == model:
                return each
        raise _no_model(model)

    def _refuse_built_in(self, model: ModelId) -> None:
        if any(each.id == model for each in self._built_in.models):
            what = "a built-in model cannot be changed: it is the operator's"
            raise Rejected(what, code="operation_not_allowed")


def _no_agent(package: PackageId) -> NotFound:
    return NotFound(f"there is no agent {package} in this application", code="agent_not_found")


def _no_model(model: ModelId) -> NotFound:
    return NotFound(f"there is no model {model} in this organization", param="modelId")


def _no_credential() -> NotFound:
    return NotFound("there is no such credential in this organization", param="credentialId")
