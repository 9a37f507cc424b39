"""What clients see of credentials and models."""

from actors.ids import ModelId
from actors.models.providers import DEMO, PROVIDERS
from actors.models.records import Credential, Model, OrgModels, StoredCredential, StoredModel

DEMO_MODEL = ModelId(DEMO)


def credential_view(stored: StoredCredential) -> Credential:
    """A credential without its key."""
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


def listed(found: OrgModels) -> list[Model]:
    """The models of an organization, then the built-in one."""
    return [*(_model(m, found.default_id) for m in found.models), _demo(found.default_id)]


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
