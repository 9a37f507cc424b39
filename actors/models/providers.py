"""The providers of models this platform speaks to."""

from typing import Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec

from actors.contract import Resource, spell
from actors.models.catalogue import CATALOGUE, CatalogueModel

ApiShape: TypeAlias = Literal["openai-completions", "openai-responses", "anthropic-messages"]
SHAPES: tuple[ApiShape, ...] = ("openai-completions", "openai-responses", "anthropic-messages")

# What clients call the protocols of two providers, which are reached through their
# OpenAI-compatible endpoints.
OwnShape: TypeAlias = Literal["google-generative-ai", "mistral-conversations"]

DEMO = "demo"


class Provider(Resource, frozen=True, kw_only=True, rename=spell):
    """A provider. `needs_key` is false where a server is happy without."""

    provider_id: str
    display_name: str
    icon_url: str | None = None
    description: str
    docs_url: str | None = None
    api_shape: ApiShape | OwnShape
    default_base_url: str
    base_url_overridable: bool = False
    auth_mode: Literal["api_key"] = "api_key"
    featured: bool = False
    models: list[CatalogueModel] = msgspec.field(default_factory=list[CatalogueModel])
    needs_key: bool = True

    @property
    def wire(self) -> ApiShape:
        """The protocol a run speaks to it."""
        return wire(self.api_shape)


def wire(shape: str) -> ApiShape:
    """The protocol that is spoken where a client names `shape`."""
    for each in SHAPES:
        if each == shape:
            return each
    return "openai-completions"


def _provider(
    name: str,
    display: str,
    url: str,
    docs: str,
    shape: ApiShape | OwnShape = "openai-completions",
    *,
    overridable: bool = False,
    featured: bool = False,
) -> Provider:
    return Provider(
        provider_id=name,
        display_name=display,
        description=f"Models of {display}, with a key of your own",
        docs_url=docs,
        api_shape=shape,
        default_base_url=url,
        base_url_overridable=overridable,
        featured=featured,
        models=CATALOGUE.get(name, []),
    )


_LOCAL = Provider(
    provider_id="openai-compatible",
    display_name="OpenAI-compatible server",
    description="Ollama, llama.cpp, vLLM, LM Studio: whatever speaks /chat/completions",
    api_shape="openai-completions",
    default_base_url="http://localhost:11434",
    base_url_overridable=True,
    featured=True,
    needs_key=False,
)
_DEMO = Provider(
    provider_id=DEMO,
    display_name="Demo (scripted, no AI)",
    description="Follows a script; needs no key, thinks nothing, and says so",
    api_shape="openai-completions",
    default_base_url="",
    needs_key=False,
)
_GOOGLE = "https://generativelanguage.googleapis.com/v1beta/openai"

PROVIDERS = {
    provider.provider_id: provider
    for provider in (
        _LOCAL,
        _provider(
            *("openai", "OpenAI", "https://api.openai.com/v1", "https://platform.openai.com/docs"),
            overridable=True,
            featured=True,
        ),
        # The same provider and models by its other protocol, which carries a model's thoughts from
        # one turn to the next; not every server that copies the first one speaks it.
        msgspec.structs.replace(
            _provider(
                *("openai-responses", "OpenAI (responses)", "https://api.openai.com/v1"),
                "https://platform.openai.com/docs/api-reference/responses",
                "openai-responses",
                overridable=True,
            ),
            models=CATALOGUE.get("openai", []),
        ),
        _provider(
            *("anthropic", "Anthropic", "https://api.anthropic.com", "https://docs.anthropic.com"),
            "anthropic-messages",
            overridable=True,
            featured=True,
        ),
        _provider(
            *("google-ai", "Google AI", _GOOGLE, "https://ai.google.dev/gemini-api/docs"),
            "google-generative-ai",
            featured=True,
        ),
        _provider(
            *("mistral", "Mistral", "https://api.mistral.ai/v1", "https://docs.mistral.ai"),
            "mistral-conversations",
            featured=True,
        ),
        _provider(
            *("groq", "Groq", "https://api.groq.com/openai/v1", "https://console.groq.com/docs"),
        ),
        _provider(
            *("openrouter", "OpenRouter", "https://openrouter.ai/api/v1"),
            "https://openrouter.ai/docs",
            featured=True,
        ),
        _provider(
            *("deepseek", "DeepSeek", "https://api.deepseek.com/v1"),
            "https://api-docs.deepseek.com",
        ),
        _provider("xai", "xAI", "https://api.x.ai/v1", "https://docs.x.ai"),
        _provider(
            *("together-ai", "Together AI", "https://api.together.xyz/v1"),
            "https://docs.together.ai",
        ),
        _provider(
            *("fireworks-ai", "Fireworks AI", "https://api.fireworks.ai/inference/v1"),
            "https://docs.fireworks.ai",
        ),
        _provider(
            *("cerebras", "Cerebras", "https://api.cerebras.ai/v1"),
            "https://inference-docs.cerebras.ai",
        ),
        _provider(
            *("moonshot", "Moonshot AI", "https://api.moonshot.ai/v1"),
            "https://platform.moonshot.ai/docs",
        ),
        _provider("zai", "Z.ai", "https://api.z.ai/api/paas/v4", "https://docs.z.ai"),
        _provider(
            *("opencode-go", "OpenCode Go", "https://opencode.ai/zen/go/v1"),
            "https://opencode.ai/docs/go",
        ),
        _DEMO,
    )
}


def endpoint(shape: ApiShape, base_url: str) -> str:
    """The base URL to which a run's request paths are appended.

    Those of OpenAI live under `/v1` by convention; a base URL without any path gets it, so that
    `http://localhost:11434` means what its owner means.
    """
    base = base_url.rstrip("/")
    if shape == "anthropic-messages":
        return base.removesuffix("/v1")
    if base and not urlsplit(base).path:
        return f"{base}/v1"
    return base
