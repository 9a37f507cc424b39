"""What clients see of credentials and models, and what a run does. Pure."""

import msgspec

from actors.ids import ModelId
from actors.models.catalogue import known
from actors.models.choice import AgentModel, ChosenModel
from actors.models.providers import DEMO, PROVIDERS
from actors.models.records import (
    BuiltIn,
    Credential,
    Model,
    OrgModels,
    StoredCredential,
    StoredModel,
)


def credential_view(stored: StoredCredential) -> Credential:
    """A credential without its key."""
    provider = PROVIDERS[stored.provider_id]
    return Credential(
        id=stored.id,
        label=stored.label,
        provider_id=stored.provider_id,
        api_shape=provider.api_shape,
        base_url=stored.base_url_override or provider.default_base_url,
        source="built-in" if stored.org_id is None else "custom",
        available_model_ids=stored.available_model_ids,
        created_by=stored.created_by,
        created_at=stored.created_at,
        updated_at=stored.updated_at,
    )


def listed(found: OrgModels, built_in: BuiltIn) -> list[Model]:
    """The models of an organization, then the built-in ones."""
    default = found.default_id or built_in.default_id
    return [model_view(m, default) for m in (*found.models, *built_in.models)]


def model_view(stored: StoredModel, default: ModelId | None) -> Model:
    """A model; what would tell who stands behind an alias is null."""
    provider = PROVIDERS[stored.credential.provider_id]
    found = complete(stored)
    seen = Model(
        id=stored.id,
        label=stored.label,
        api_shape=provider.api_shape,
        provider_id=provider.provider_id,
        provider_name=provider.display_name,
        base_url=stored.credential.base_url_override or provider.default_base_url,
        model_id=stored.model_id,
        enabled=stored.enabled,
        is_default=stored.id == default,
        aliased=stored.aliased,
        icon_url=stored.icon_url,
        source=stored.source,
        credential_id=None if provider.provider_id == DEMO else stored.credential.id,
        input=list[str](found.input) if found.input else None,
        context_window=found.context_window,
        max_tokens=found.max_tokens,
        reasoning=found.reasoning,
        cost=found.cost,
        created_by=stored.created_by,
        created_at=stored.created_at,
        updated_at=stored.updated_at,
    )
    if not stored.aliased:
        return seen
    return msgspec.structs.replace(
        seen,
        api_shape=provider.wire,
        provider_id=None,
        provider_name=None,
        base_url=None,
        model_id=None,
        credential_id=None,
    )


def complete(stored: StoredModel) -> StoredModel:
    """A model with what the catalogue knows where its owner has said nothing."""
    found = known(stored.credential.provider_id, stored.model_id)
    if found is None:
        return stored
    window, most = stored.context_window, stored.max_tokens or found.max_tokens
    window = window or found.context_window
    if most is not None and window is not None and most >= window:
        most = None
    return msgspec.structs.replace(
        stored,
        input=stored.input or msgspec.convert(found.input, type=list),
        context_window=window,
        max_tokens=most,
        reasoning=found.reasoning if stored.reasoning is None else stored.reasoning,
        cost=stored.cost or found.cost,
    )


def chosen(stored: StoredModel, choice: AgentModel) -> ChosenModel:
    """A model as a run gets it."""
    provider = PROVIDERS[stored.credential.provider_id]
    full = complete(stored)
    return ChosenModel(
        id=stored.id,
        label=stored.label,
        source="system" if stored.org_id is None else "org",
        provider_id=provider.provider_id,
        api_shape=provider.wire,
        model_id=stored.model_id,
        aliased=stored.aliased,
        credential_id=None if provider.provider_id == DEMO else stored.credential.id,
        input=list[str](full.input) if full.input else None,
        context_window=full.context_window,
        max_tokens=full.max_tokens,
        reasoning=full.reasoning,
        cost=full.cost,
        generation=choice.generation,
    )
