"""Which models an organization has, by which credentials, and which one a run gets."""

import re
from datetime import UTC, datetime
from typing import Any, TypeAlias, assert_never

import msgspec

from actors.accounts import Caller
from actors.egress import Egress
from actors.ids import CredentialId, ModelId, OrgId, new_uuid
from actors.models.providers import DEMO, PROVIDERS, ApiShape, Provider, endpoint
from actors.models.records import (
    Cost,
    Credential,
    Model,
    ModelRecords,
    NewModel,
    OrgModels,
    StoredCredential,
    StoredModel,
)
from actors.runtime import Actor, FieldProblem, Lane, NotFound, Rejected, Request
from actors.vault import Vault

DEMO_MODEL = ModelId(DEMO)
UNSENDABLE = re.compile(r"[^\x21-\x7e]")


class CreateCredential(Request["Models", Credential], frozen=True, kw_only=True):
    """Keep a key for a provider, encrypted. It is never given back."""

    caller: Caller
    provider_id: str
    api_key: str = ""
    label: str | None = None
    base_url_override: str | None = None


class ListCredentials(Request["Models", list[Credential]], frozen=True, kw_only=True):
    """The caller's organization's credentials, oldest first."""

    caller: Caller


class CreateModel(Request["Models", Model], frozen=True, kw_only=True):
    """Add a model of a credential's provider. The first one becomes the default."""

    caller: Caller
    model_id: str
    credential_id: CredentialId
    label: str | None = None
    input: list[str] | None = None
    context_window: int | None = None
    max_tokens: int | None = None
    reasoning: bool | None = None
    cost: Cost | None = None


class ListModels(Request["Models", list[Model]], frozen=True, kw_only=True):
    """The caller's organization's models, oldest first, then the built-in ones."""

    caller: Caller


class SetDefaultModel(Request["Models", Model | None], frozen=True, kw_only=True):
    """Choose the organization's default, or clear it with None."""

    caller: Caller
    model: ModelId | None


class ChosenModel(msgspec.Struct, frozen=True, kw_only=True):
    """The model of a run, frozen at launch; it holds no secret."""

    id: ModelId
    label: str
    source: str
    provider_id: str
    api_shape: ApiShape
    model_id: str
    credential_id: CredentialId | None
    input: list[str] | None = None
    context_window: int | None = None
    max_tokens: int | None = None
    reasoning: bool | None = None
    cost: Cost | None = None


class ChooseModel(Request["Models", ChosenModel], frozen=True, kw_only=True):
    """The model for a run: the one asked for, else the organization's default.

    Refuses an unknown id with `NotFound`, none at all with `model_not_configured`, and a
    credential without the key its provider needs with `model_credential_missing`.
    """

    caller: Caller
    model: ModelId | None = None


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
                return [_credential(c) for c in await self._records.credentials(_org(message))]
            case CreateModel():
                return await self._create_model(message)
            case ListModels():
                return _listed(await self._records.models(_org(message)))
            case SetDefaultModel():
                return await self._set_default(message)
            case ChooseModel():
                return await self._choose(message)
            case OpenModel():
                return await self._open(message)
            case _:
                assert_never(message)

    async def _create_credential(self, message: CreateCredential) -> Credential:
        provider = PROVIDERS.get(message.provider_id)
        if provider is None or provider.provider_id == DEMO:
            known = ", ".join(name for name in PROVIDERS if name != DEMO)
            raise _invalid("providerId", f"must be one of {known}")
        key = message.api_key.strip()
        if provider.needs_key and not key:
            raise _invalid("apiKey", f"is required for {provider.display_name}", "required")
        if UNSENDABLE.search(key) or len(key) > 4096:
            raise _invalid("apiKey", "has characters that no key has: was it copied whole?")
        if message.base_url_override is not None:
            if not provider.base_url_overridable:
                raise _invalid("baseUrlOverride", f"cannot be set for {provider.display_name}")
            self._egress.check_url(message.base_url_override, "baseUrlOverride")
        elif not self._egress.allows_name(_host(provider)):
            self._egress.check_url(provider.default_base_url, "baseUrlOverride")
        now = datetime.now(UTC)
        stored = StoredCredential(
            id=CredentialId(new_uuid()),
            org_id=_org(message),
            label=(message.label or provider.display_name).strip()[:100],
            provider_id=provider.provider_id,
            credentials_encrypted=self._vault.seal(key),
            base_url_override=message.base_url_override,
            created_by=message.caller.user,
            created_at=now,
            updated_at=now,
        )
        await self._records.add_credential(stored)
        return _credential(stored)

    async def _create_model(self, message: CreateModel) -> Model:
        _check_model(message)
        new = NewModel(
            id=ModelId(new_uuid()),
            org_id=_org(message),
            label=(message.label or message.model_id).strip()[:100],
            model_id=message.model_id.strip(),
            credential_id=message.credential_id,
            input=message.input,
            context_window=message.context_window,
            max_tokens=message.max_tokens,
            reasoning=message.reasoning,
            cost=message.cost,
            created_by=message.caller.user,
        )
        if not await self._records.add_model(new):
            raise NotFound("there is no such credential in this organization", param="credentialId")
        return _named(await self._records.models(new.org_id), new.id)

    async def _set_default(self, message: SetDefaultModel) -> Model | None:
        org = _org(message)
        chosen = None
        if message.model is not None:
            chosen = _named(await self._records.models(org), message.model)
            chosen = msgspec.structs.replace(chosen, is_default=True)
        await self._records.set_default(org, message.model)
        return chosen

    async def _choose(self, message: ChooseModel) -> ChosenModel:
        found = await self._records.models(_org(message))
        wanted = message.model or found.default_id
        if wanted is None:
            raise Rejected(
                "no model is configured: add one with POST /api/models, choose a default, or run "
                'with "modelId": "demo" to try the scripted demo model',
                code="model_not_configured",
            )
        if wanted == DEMO_MODEL:
            return _DEMO_CHOICE
        stored = next((m for m in found.models if m.id == wanted), None)
        if stored is None or not stored.enabled:
            raise NotFound(f"there is no model {wanted} in this organization", param="modelId")
        provider = PROVIDERS[stored.credential.provider_id]
        if provider.needs_key and not self._vault.open(stored.credential.credentials_encrypted):
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
                    api_key=self._vault.open(stored.credentials_encrypted),
                    provider_id=provider.provider_id,
                )
        raise NotFound("the credential of this run's model was deleted")


_DEMO_CHOICE = ChosenModel(
    id=DEMO_MODEL,
    label=PROVIDERS[DEMO].display_name,
    source="system",
    provider_id=DEMO,
    api_shape="openai-completions",
    model_id=DEMO,
    credential_id=None,
)


def _org(message: Any) -> OrgId:
    org: OrgId | None = message.caller.org
    assert org is not None
    return org


def _host(provider: Provider) -> str:
    return provider.default_base_url.partition("://")[2].partition("/")[0].partition(":")[0]


def _credential(stored: StoredCredential) -> Credential:
    provider = PROVIDERS[stored.provider_id]
    return Credential(
        id=stored.id,
        label=stored.label,
        provider_id=stored.provider_id,
        api_shape=provider.api_shape,
        base_url=stored.base_url_override or provider.default_base_url,
        created_by=stored.created_by,
        created_at=stored.created_at,
        updated_at=stored.updated_at,
    )


def _listed(found: OrgModels) -> list[Model]:
    return [*(_model(m, found.default_id) for m in found.models), _demo(found.default_id)]


def _named(found: OrgModels, wanted: ModelId) -> Model:
    for model in _listed(found):
        if model.id == wanted:
            return model
    raise NotFound(f"there is no model {wanted} in this organization", param="modelId")


def _model(stored: StoredModel, default: ModelId | None) -> Model:
    provider = PROVIDERS[stored.credential.provider_id]
    return Model(
        id=stored.id,
        label=stored.label,
        api_shape=provider.api_shape,
        provider_id=provider.provider_id,
        provider_name=provider.display_name,
        base_url=stored.credential.base_url_override or provider.default_base_url,
        model_id=stored.model_id,
        enabled=stored.enabled,
        is_default=stored.id == default,
        source="custom",
        credential_id=stored.credential.id,
        input=stored.input,
        context_window=stored.context_window,
        max_tokens=stored.max_tokens,
        reasoning=stored.reasoning,
        cost=stored.cost,
        created_by=stored.created_by,
        created_at=stored.created_at,
        updated_at=stored.updated_at,
    )


def _demo(default: ModelId | None) -> Model:
    provider = PROVIDERS[DEMO]
    return Model(
        id=DEMO_MODEL,
        label=provider.display_name,
        api_shape=provider.api_shape,
        provider_id=DEMO,
        provider_name=provider.display_name,
        base_url="",
        model_id=DEMO,
        is_default=default == DEMO_MODEL,
        source="built-in",
        credential_id=None,
        input=["text"],
        context_window=None,
        max_tokens=None,
        reasoning=False,
        cost=None,
        created_by=None,
        created_at=None,
        updated_at=None,
    )


def _check_model(message: CreateModel) -> None:
    if not 1 <= len(message.model_id.strip()) <= 200:
        raise _invalid("modelId", "must have 1 to 200 characters")
    window, limit = message.context_window, message.max_tokens
    for field, value in (("contextWindow", window), ("maxTokens", limit)):
        if value is not None and not 0 < value <= 100_000_000:
            raise _invalid(field, "must be a positive number of tokens", "out_of_range")
    if window is not None and limit is not None and limit >= window:
        raise _invalid("maxTokens", "must be less than contextWindow", "out_of_range")
    rates = msgspec.structs.asdict(message.cost) if message.cost else {}
    if any(rate is not None and rate < 0 for rate in rates.values()):
        raise _invalid("cost", "rates cannot be negative", "out_of_range")


def _invalid(field: str, problem: str, code: str = "invalid_value") -> Rejected:
    return Rejected(
        f"{field} {problem}",
        code="validation_failed",
        problems=[FieldProblem(field=field, code=code, message=problem)],
    )
