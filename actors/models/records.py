"""What models and their credentials are made of, and what is kept of them."""

from datetime import datetime
from typing import Any, Literal, Protocol, TypeAlias

import msgspec

from actors.contract import Resource, spell
from actors.ids import ApplicationId, CredentialId, ModelId, OrgId, PackageId, UserId
from actors.models.choice import AgentModel
from actors.models.prices import Cost

Source: TypeAlias = Literal["built-in", "custom"]


class CredentialSpec(msgspec.Struct, frozen=True, kw_only=True, rename=spell):
    """A key for a provider, as a client gives it."""

    provider_id: str
    api_key: str = ""
    label: str | None = None
    base_url_override: str | None = None


class CredentialChanges(msgspec.Struct, frozen=True, kw_only=True, rename=spell):
    """What to change of a credential; what is absent stays."""

    label: str | None = None
    api_key: str | None = None


class ModelSpec(msgspec.Struct, frozen=True, kw_only=True, rename=spell):
    """A model of a credential's provider, as a client gives it.

    What is null is what the catalogue knows. An `aliased` model keeps its provider and its real
    name from everybody who uses it; it needs a label.
    """

    model_id: str
    credential_id: CredentialId
    label: str | None = None
    input: list[Literal["text", "image"]] | None = None
    context_window: int | None = None
    max_tokens: int | None = None
    reasoning: bool | None = None
    cost: Cost | None = None
    aliased: bool = False
    enabled: bool = True


class ModelChanges(msgspec.Struct, frozen=True, kw_only=True, rename=spell):
    """What to change of a model: what is absent stays, null is what the catalogue knows."""

    model_id: str | msgspec.UnsetType = msgspec.UNSET
    credential_id: CredentialId | msgspec.UnsetType = msgspec.UNSET
    label: str | msgspec.UnsetType = msgspec.UNSET
    input: list[Literal["text", "image"]] | msgspec.UnsetType | None = msgspec.UNSET
    context_window: int | msgspec.UnsetType | None = msgspec.UNSET
    max_tokens: int | msgspec.UnsetType | None = msgspec.UNSET
    reasoning: bool | msgspec.UnsetType | None = msgspec.UNSET
    cost: Cost | msgspec.UnsetType | None = msgspec.UNSET
    aliased: bool | msgspec.UnsetType = msgspec.UNSET
    enabled: bool | msgspec.UnsetType = msgspec.UNSET


class Credential(Resource, frozen=True, kw_only=True, rename=spell):
    """Access to a provider, without its key. The models it was seen to have, when it was asked."""

    id: CredentialId
    label: str
    provider_id: str
    api_shape: str
    base_url: str
    source: Source = "custom"
    auth_mode: Literal["api_key"] = "api_key"
    needs_reconnection: bool = False
    available_model_ids: list[str] | None = msgspec.field(default=None, name="available_model_ids")
    created_by: UserId | None
    created_at: datetime | None
    updated_at: datetime | None


class Model(Resource, frozen=True, kw_only=True, rename=spell):
    """A model an organization may run agents with."""

    id: ModelId
    label: str
    api_shape: str
    provider_id: str | None
    provider_name: str | None
    base_url: str | None
    model_id: str | None
    enabled: bool = True
    is_default: bool = msgspec.field(name="is_default")
    needs_reconnection: bool = False
    aliased: bool = False
    icon_url: str | None = None
    source: Source
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
    """A credential as it is kept; its key is sealed. A built-in one has no organization."""

    id: CredentialId
    org_id: OrgId | None = None
    label: str
    provider_id: str
    credentials_encrypted: str
    base_url_override: str | None = None
    available_model_ids: list[str] | None = None
    created_by: UserId | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


class StoredModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model as it is kept, with the credential it uses. A built-in one has no organization."""

    id: ModelId
    org_id: OrgId | None = None
    label: str
    model_id: str
    credential: StoredCredential
    input: list[Literal["text", "image"]] | None = None
    context_window: int | None = None
    max_tokens: int | None = None
    reasoning: bool | None = None
    cost: Cost | None = None
    aliased: bool = False
    enabled: bool = True
    icon_url: str | None = None
    created_by: UserId | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def source(self) -> Source:
        """Where it comes from: the operator, or an organization."""
        return "built-in" if self.org_id is None else "custom"


class BuiltIn(msgspec.Struct, frozen=True, kw_only=True):
    """What every organization has: models of the operator's keys, and which is the last resort."""

    credentials: list[StoredCredential]
    models: list[StoredModel]
    default_id: ModelId | None = None


class OrgModels(msgspec.Struct, frozen=True, kw_only=True):
    """The models of an organization, oldest first, and which is its default."""

    models: list[StoredModel]
    default_id: ModelId | None


class CredentialRecords(Protocol):
    """Where credentials are kept. Each method is one transaction."""

    async def add(self, credential: StoredCredential) -> None:
        """Store a credential."""
        ...

    async def all(self, org: OrgId) -> list[StoredCredential]:
        """The credentials of an organization, oldest first."""
        ...

    async def find(self, org: OrgId, credential: CredentialId) -> StoredCredential | None:
        """One credential of an organization."""
        ...

    async def update(self, credential: StoredCredential) -> bool:
        """Write label, key and available models anew. False when it is gone."""
        ...

    async def delete(
        self, org: OrgId, credential: CredentialId
    ) -> Literal["deleted", "missing", "in use"]:
        """Delete a credential no model uses."""
        ...


class ModelRecords(Protocol):
    """Where models are kept. Each method is one transaction."""

    async def add(self, org: OrgId, user: UserId, model: ModelId, spec: ModelSpec) -> bool:
        """Store a model; the first one of an organization without a default becomes it.

        False when the organization has no such credential. The label defaults to the model's id.
        """
        ...

    async def seed(
        self, org: OrgId, user: UserId, credential: CredentialId, models: dict[ModelId, ModelSpec]
    ) -> tuple[list[ModelId], bool]:
        """Store several models of a credential, unless it has any: then none.

        Answers with what was stored, and whether the first of them became the default.
        """
        ...

    async def write(self, org: OrgId, model: ModelId, spec: ModelSpec) -> bool:
        """Write a model anew. False when it is gone, or its credential is no such one."""
        ...

    async def delete(self, org: OrgId, model: ModelId) -> bool:
        """Delete a model, and every pointer to it. False when there is none."""
        ...

    async def all(self, org: OrgId) -> OrgModels:
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
