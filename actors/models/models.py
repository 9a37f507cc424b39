"""Which models an organization has, by which credentials, and which one a run gets."""

from datetime import UTC, datetime
from typing import Any, TypeAlias, assert_never

import msgspec

from actors.accounts import Caller
from actors.egress import Egress
from actors.ids import CredentialId, ModelId, OrgId, PackageId, new_uuid
from actors.models.choice import AgentModel, ChosenModel
from actors.models.providers import DEMO, PROVIDERS, endpoint
from actors.models.records import (
    Credential,
    CredentialSpec,
    Model,
    ModelRecords,
    ModelSpec,
    OrgModels,
    StoredCredential,
)
from actors.models.rules import check_key, check_model, invalid
from actors.models.views import DEMO_MODEL, credential_view, listed
from actors.runtime import Actor, Lane, NotFound, Rejected, Request
from actors.vault import Vault, VaultError


class CreateCredential(Request["Models", Credential], frozen=True, kw_only=True):
    """Keep a key for a provider, encrypted. It is never given back."""

    caller: Caller
    spec: CredentialSpec


class ListCredentials(Request["Models", list[Credential]], frozen=True, kw_only=True):
    """The caller's organization's credentials, oldest first."""

    caller: Caller


class CreateModel(Request["Models", Model], frozen=True, kw_only=True):
    """Add a model of a credential's provider. The first one becomes the default."""

    caller: Caller
    spec: ModelSpec


class ListModels(Request["Models", list[Model]], frozen=True, kw_only=True):
    """The caller's organization's models, oldest first, then the built-in ones."""

    caller: Caller


class SetDefaultModel(Request["Models", Model | None], frozen=True, kw_only=True):
    """Choose the organization's default, or clear it with None."""

    caller: Caller
    model: ModelId | None


class ChooseModel(Request["Models", ChosenModel], frozen=True, kw_only=True):
    """The model for a run: the one asked for, else the agent's, else the organization's default.

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


class ModelAccess(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach a model: for the proxy alone, never stored and never logged."""

    base_url: str
    api_key: str
    provider_id: str


class OpenModel(Request["Models", ModelAccess], frozen=True, kw_only=True):
    """Decrypt the access to a run's model. `org` and `credential` come from the run's plan."""

    org: OrgId
    provider_id: str
    credential: CredentialId | None


ModelsMessage: TypeAlias = (
    CreateCredential
    | ListCredentials
    | CreateModel
    | ListModels
    | SetDefaultModel
    | ChooseModel
    | ReadAgentModel
    | SetAgentModel
    | OpenModel
)


class Models(Actor):
    """Keeps credentials and models. Keys are sealed before they reach the records."""

    lanes = (Lane("models", 32),)

    def __init__(self, records: ModelRecords, vault: Vault, egress: Egress) -> None:
        super().__init__()
        self._records = records
        self._vault = vault
        self._egress = egress

    async def receive(self, message: ModelsMessage) -> Any:
        match message:
            case CreateCredential():
                return await self._create_credential(message)
            case ListCredentials():
                return [credential_view(c) for c in await self._records.credentials(_org(message))]
            case CreateModel():
                return await self._create_model(message)
            case ListModels():
                return listed(await self._records.models(_org(message)))
            case SetDefaultModel():
                return await self._set_default(message)
            case ChooseModel():
                return await self._choose(message)
            case ReadAgentModel():
                return await self._agent_model(message.caller, message.package)
            case SetAgentModel():
                return await self._set_agent_model(message)
            case OpenModel():
                return await self._open(message)
            case _:
                assert_never(message)

    async def _create_credential(self, message: CreateCredential) -> Credential:
        spec = message.spec
        provider = PROVIDERS.get(spec.provider_id)
        if provider is None or provider.provider_id == DEMO:
            known = ", ".join(name for name in PROVIDERS if name != DEMO)
            raise invalid("providerId", f"must be one of {known}")
        key = spec.api_key.strip()
        check_key(provider, key)
        if spec.base_url_override is not None and not provider.base_url_overridable:
            raise invalid("baseUrlOverride", f"cannot be set for {provider.display_name}")
        url = spec.base_url_override or provider.default_base_url
        self._egress.check_url(url, "baseUrlOverride")
        now = datetime.now(UTC)
        stored = StoredCredential(
            id=CredentialId(new_uuid()),
            org_id=_org(message),
            label=(spec.label or provider.display_name).strip()[:100],
            provider_id=provider.provider_id,
            credentials_encrypted=self._vault.seal(key),
            base_url_override=spec.base_url_override,
            created_by=message.caller.user,
            created_at=now,
            updated_at=now,
        )
        await self._records.add_credential(stored)
        return credential_view(stored)

    async def _create_model(self, message: CreateModel) -> Model:
        check_model(message.spec)
        org, model = _org(message), ModelId(new_uuid())
        if not await self._records.add_model(org, message.caller.user, model, message.spec):
            raise NotFound("there is no such credential in this organization", param="credentialId")
        return _named(await self._records.models(org), model)

    async def _set_default(self, message: SetDefaultModel) -> Model | None:
        org = _org(message)
        chosen = None
        if message.model is not None:
            chosen = _named(await self._records.models(org), message.model)
            chosen = msgspec.structs.replace(chosen, is_default=True)
        await self._records.set_default(org, message.model)
        return chosen

    async def _agent_model(self, caller: Caller, package: PackageId) -> AgentModel:
        found = await self._records.agent_model(*caller.tenant, package)
        if found is None:
            raise _no_agent(package)
        return found

    async def _set_agent_model(self, message: SetAgentModel) -> AgentModel:
        org, application = message.caller.tenant
        if message.choice.model_id is not None:
            _named(await self._records.models(org), message.choice.model_id)
        chosen = (org, application, message.package, message.choice)
        if not await self._records.set_agent_model(*chosen):
            raise _no_agent(message.package)
        return message.choice

    async def _choose(self, message: ChooseModel) -> ChosenModel:
        found = await self._records.models(_org(message))
        choice = AgentModel()
        if message.package is not None:
            tenant = message.caller.tenant
            choice = await self._records.agent_model(*tenant, message.package) or choice
        if message.model is not None:
            chosen = self._chosen(found, message.model)
            if chosen is None:
                why = f"there is no model {message.model} in this organization"
                raise NotFound(why, param="modelId")
            return msgspec.structs.replace(chosen, generation=choice.generation)
        for wanted in (choice.model_id, found.default_id):
            chosen = self._chosen(found, wanted)
            if chosen is not None:
                return msgspec.structs.replace(chosen, generation=choice.generation)
        raise Rejected(
            "no model is configured: add one with POST /api/models, choose a default, or run "
            'with "modelId": "demo" to try the scripted demo model',
            code="model_not_configured",
        )

    def _chosen(self, found: OrgModels, wanted: ModelId | None) -> ChosenModel | None:
        if wanted == DEMO_MODEL:
            return _DEMO_CHOICE
        stored = next((m for m in found.models if m.id == wanted), None)
        if stored is None or not stored.enabled:
            return None
        provider = PROVIDERS[stored.credential.provider_id]
        if provider.needs_key and not self._unsealed(stored.credential.credentials_encrypted):
            raise Rejected(
                f"the credential {stored.credential.label} has no key",
                code="model_credential_missing",
            )
        return ChosenModel(
            id=stored.id,
            label=stored.label,
            source="org",
            provider_id=provider.provider_id,
            api_shape=provider.api_shape,
            model_id=stored.model_id,
            credential_id=stored.credential.id,
            input=stored.input,
            context_window=stored.context_window,
            max_tokens=stored.max_tokens,
            reasoning=stored.reasoning,
            cost=stored.cost,
        )

    async def _open(self, message: OpenModel) -> ModelAccess:
        for stored in await self._records.credentials(message.org):
            if stored.id == message.credential:
                provider = PROVIDERS[stored.provider_id]
                return ModelAccess(
                    base_url=endpoint(provider, stored.base_url_override),
                    api_key=self._unsealed(stored.credentials_encrypted),
                    provider_id=provider.provider_id,
                )
        raise NotFound("the credential of this run's model was deleted")

    def _unsealed(self, sealed: str) -> str:
        try:
            return self._vault.open(sealed)
        except VaultError as error:
            what = f"the model's credential cannot be used: {error}"
            raise Rejected(what, code="model_credential_missing") from None


_DEMO_CHOICE = ChosenModel(
    id=DEMO_MODEL,
    label=PROVIDERS[DEMO].display_name,
    source="system",
    provider_id=DEMO,
    api_shape="openai-completions",
    model_id=DEMO,
    credential_id=None,
)


def _no_agent(package: PackageId) -> NotFound:
    return NotFound(f"there is no agent {package} in this application", code="agent_not_found")


def _org(message: Any) -> OrgId:
    org: OrgId | None = message.caller.org
    assert org is not None
    return org


def _named(found: OrgModels, wanted: ModelId) -> Model:
    for model in listed(found):
        if model.id == wanted:
            return model
    raise NotFound(f"there is no model {wanted} in this organization", param="modelId")
