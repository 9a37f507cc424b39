"""What is known of providers' models: sizes, abilities, prices.

The facts are in `catalogue.json`, one line per model, in the order in which they are offered.
Prices are US dollars per million tokens, of November 2026, at the highest rate where a provider's
depend on the hour. Two public price lists were compared, and agree, except for some models of
DeepSeek and OpenRouter. A model that is not here can be used all the same: what it costs is then
what an organization says.
"""

from pathlib import Path
from typing import Literal

import msgspec

from actors.contract import Resource, spell
from actors.models.prices import Cost


class _Entry(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    id: str
    label: str
    input: list[Literal["text", "image"]]
    reasoning: bool
    cost: Cost
    context_window: int | None = None
    max_tokens: int | None = None
    featured: bool = False


class CatalogueModel(Resource, frozen=True, kw_only=True, rename=spell):
    """A model as the registry shows it; `capabilities` are its modalities, and reasoning."""

    id: str
    label: str
    context_window: int | None
    max_tokens: int | None
    capabilities: list[str]
    cost: Cost
    featured: bool

    @property
    def input(self) -> list[str]:
        """The modalities it takes."""
        return [each for each in self.capabilities if each != "reasoning"]

    @property
    def reasoning(self) -> bool:
        """Whether it can be told how much to think."""
        return "reasoning" in self.capabilities


def _read() -> dict[str, list[CatalogueModel]]:
    content = Path(__file__).with_name("catalogue.json").read_bytes()
    found = msgspec.json.decode(content, type=dict[str, list[_Entry]])
    return {provider: [_shown(entry) for entry in entries] for provider, entries in found.items()}


def _shown(entry: _Entry) -> CatalogueModel:
    return CatalogueModel(
        id=entry.id,
        label=entry.label,
        context_window=entry.context_window,
        max_tokens=entry.max_tokens,
        capabilities=[*entry.input, *(["reasoning"] if entry.reasoning else [])],
        cost=entry.cost,
        featured=entry.featured,
    )


CATALOGUE = _read()


def known(provider: str, model: str) -> CatalogueModel | None:
    """What is known of a provider's model."""
    return next((each for each in CATALOGUE.get(provider, []) if each.id == model), None)
