"""Which model a run gets, and how it is asked to generate. Pure."""

from typing import Annotated, Literal, TypeAlias

import msgspec

from actors.contract import Resource, spell
from actors.ids import CredentialId, ModelId
from actors.models.prices import Cost
from actors.models.providers import ApiShape

ReasoningLevel: TypeAlias = Literal["off", "minimal", "low", "medium", "high", "xhigh", "max"]


class Generation(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """How a model is asked to generate; what is null is left to the model."""

    temperature: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    reasoning_level: ReasoningLevel | None = None

    def over(self, other: "Generation") -> "Generation":
        """This one, and where it is silent the other."""
        temperature = other.temperature if self.temperature is None else self.temperature
        level = self.reasoning_level or other.reasoning_level
        return Generation(temperature=temperature, reasoning_level=level)


class AgentModel(Resource, frozen=True, kw_only=True, rename=spell):
    """The choice made for one agent in one application; null leaves it to the organization."""

    model_id: ModelId | None = None
    generation: Generation = Generation()


class ChosenModel(msgspec.Struct, frozen=True, kw_only=True):
    """The model of a run, frozen at launch; it holds no secret.

    `generation` is what was chosen for the agent; a launch may put its own over it. `source` is
    `org` or `system`; `cost` has the rates the run is priced by.
    """

    id: ModelId
    label: str
    source: str
    provider_id: str
    api_shape: ApiShape
    model_id: str
    aliased: bool = False
    credential_id: CredentialId | None
    input: list[str] | None = None
    context_window: int | None = None
    max_tokens: int | None = None
    reasoning: bool | None = None
    cost: Cost | None = None
    generation: Generation = Generation()

    @property
    def public_id(self) -> str:
        """What the run calls its model: an alias hides the real name."""
        return self.id if self.aliased else self.model_id

    @property
    def org_credential(self) -> CredentialId | None:
        """The credential, if it is one of the organization's."""
        return self.credential_id if self.source == "org" else None
