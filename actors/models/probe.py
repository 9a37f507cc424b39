"""Trying a provider out: with a key, with a model."""

from typing import Protocol

import msgspec

from actors.contract import Resource, spell
from actors.models.providers import ApiShape


class ModelAccess(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach a provider: for proxy and probe alone, never stored and never logged."""

    base_url: str
    api_key: str
    provider_id: str
    api_shape: ApiShape


class Trial(Resource, frozen=True, kw_only=True, rename=spell, omit_defaults=True):
    """How a test went: milliseconds, and what went wrong in a word and in a sentence."""

    ok: bool = msgspec.field()
    latency: int = msgspec.field()
    error: str | None = None
    message: str | None = None
    status: int | None = None


class ModelProbe(Protocol):
    """Asks providers. Nothing here raises for what a provider answers, or does not."""

    async def list_models(self, access: ModelAccess) -> tuple[Trial, list[str]]:
        """Whether the key is taken, and the ids of the models it opens."""
        ...

    async def complete(self, access: ModelAccess, model: str) -> Trial:
        """Whether a model answers a request of a few tokens."""
        ...
