"""What models and their credentials are made of, and what is kept of them."""

from datetime import datetime
from typing import Any, Literal, Protocol

import msgspec

from actors.contract import Resource, spell
from actors.ids import ApplicationId, CredentialId, ModelId, OrgId, PackageId, UserId
from actors.models.choice import AgentModel
from actors.models.prices import Cost


class CredentialSpec(msgspec.Struct, frozen=True, kw_only=True, rename=spell):
    """A key for a provider, as a client gives it."""

    provider_id: str
    api_key: str = ""
    label: str | None = None
    base_url_override: str | None = None


class ModelSpec(msgspec.Struct, frozen=True, kw_only=True, rename=spell):
    """A model of a credential's provider, as a client gives it."""

    model_id: str
    credential_id: CredentialId
    label: str | None = None
    input: list[str] | None = None
    context_window: int | None = None
    max_tokens: int | None = None
    reasoning: bool | None = None
    cost: Cost | None = None


class Credential(Resource, frozen=True, kw_only=True, rename=spell):
    """Access to a provider, without its key."""

    id: CredentialId
    label: str
    provider_id: str
    api_shape: str
    base_url: str
    source: Literal["built-in", "custom"] = "custom"
    auth_mode: Literal["api_key"] = "api_key"
    needs_reconnection: bool = False
    available_model_ids: list[str] | None = msgspec.field(default=None, name="available_model_ids")
    created_by: UserId | None
    created_at: datetime
    updated_at: datetime


class Model(Resource, frozen=True, kw_only=True, rename=spell):
    """A model an organization may run agents with."""

    id: ModelId
    label: str
    api_shape: str
    provider_id: str
    provider_name: str
    base_url: str
    model_id: str
    enabled: bool = True
    is_default: bool = msgspec.field(name="is_default")
    needs_reconnection: bool = False
    aliased: bool = False
    icon_url: str | None = None
    source: Literal["built-in", "custom"]
    credential_id: CredentialId | None
    input: list[str] | None
    context_window: int | None
    max_tokens: int | None
    reasoning: bool | None
    cost: Cost | None
    generation: dict[str, Any] | None = None
    created_by: UserId | None
    created_at: datetime | None
    updated_at: datetime | None


class StoredCredential(msgspec.Struct, frozen=True, kw_only=True):
    """A credential as it is kept; its key is sealed."""

    id: CredentialId
    org_id: OrgId
    label: str
    provider_id: str
    credentials_encrypted: str
    base_url_override: str | None
    created_by: UserId | None
    created_at: datetime
    updated_at: datetime


class StoredModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model as it is kept, with the credential it uses."""

    id: ModelId
    org_id: OrgId
    label: str
    model_id: str
    credential: StoredCredential
    input: list[str] | None
    context_window: int | None
    max_tokens: int | None
    reasoning: bool | None
    cost: Cost | None
    enabled: bool
    created_by: UserId | None
    created_at: datetime
    updated_at: datetime


class OrgModels(msgspec.Struct, frozen=True, kw_only=True):
    """The models of an organization, oldest first, and which is its default."""

    models: list[StoredModel]
    default_id: ModelId | None


class ModelRecords(Protocol):
    """Where models are kept. Each method is one transaction."""

    async def add_credential(self, credential: StoredCredential) -> None:
        """Store a credential."""
        ...

    async def credentials(self, org: OrgId) -> list[StoredCredential]:
        """The credentials of an organization, oldest first."""
        ...

    async def add_model(self, org: OrgId, user: UserId, model: ModelId, spec: ModelSpec) -> bool:
        """Store a model; the first one of an organization without a default becomes it.

        False when the organization has no such credential. The label defaults to the model's id.
        """
        ...

    async def models(self, org: OrgId) -> OrgModels:
        """Every model of an organization."""
        ...

    async def set_default(self, org: OrgId, model: ModelId | None) -> None:
        """Choose or clear the default of an organization."""
        ...

    async def agent_model(
        self, org: OrgId, application: ApplicationId, package: PackageId
    ) -> AgentModel | None:
        """What was chosen for an agent. None when the application sees no such agent."""
        ...

    async def set_agent_model(
        self, org: OrgId, application: ApplicationId, package: PackageId, choice: AgentModel
    ) -> bool:
        """Keep a choice. False when the application sees no such agent."""
        ...
