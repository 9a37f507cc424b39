"""The providers of models this platform speaks to."""

from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec

from actors.contract import Resource, spell

ApiShape: TypeAlias = Literal["openai-completions", "anthropic-messages"]

DEMO = "demo"


class Provider(Resource, frozen=True, kw_only=True, rename=spell):
    """A provider. `needs_key` is false where a server is happy without."""

    provider_id: str
    display_name: str
    icon_url: str | None = None
    description: str
    docs_url: str | None = None
    api_shape: ApiShape
    default_base_url: str
    base_url_overridable: bool = False
    auth_mode: Literal["api_key"] = "api_key"
    featured: bool = True
    models: list[dict[str, Any]] = msgspec.field(default_factory=list[dict[str, Any]])
    needs_key: bool = True


PROVIDERS = {
    provider.provider_id: provider
    for provider in (
        Provider(
            provider_id="openai-compatible",
            display_name="OpenAI-compatible server",
            description="Ollama, llama.cpp, vLLM, LM Studio: whatever speaks /chat/completions",
            api_shape="openai-completions",
            default_base_url="http://localhost:11434",
            base_url_overridable=True,
            needs_key=False,
        ),
        Provider(
            provider_id="openai",
            display_name="OpenAI",
            description="Models of OpenAI, by chat completions",
            docs_url="https://platform.openai.com/docs",
            api_shape="openai-completions",
            default_base_url="https://api.openai.com/v1",
            base_url_overridable=True,
        ),
        Provider(
            provider_id="anthropic",
            display_name="Anthropic",
            description="Claude models, by the messages API",
            docs_url="https://docs.anthropic.com",
            api_shape="anthropic-messages",
            default_base_url="https://api.anthropic.com",
            base_url_overridable=True,
        ),
        Provider(
            provider_id=DEMO,
            display_name="Demo (scripted, no AI)",
            description="Follows a script; needs no key, thinks nothing, and says so",
            api_shape="openai-completions",
            default_base_url="",
            featured=False,
            needs_key=False,
        ),
    )
}


def endpoint(provider: Provider, override: str | None) -> str:
    """The base URL to which a run's request paths are appended.

    Chat completions live under `/v1` by convention; a base URL without any path gets it, so that
    `http://localhost:11434` means what its owner means.
    """
    base = (override or provider.default_base_url).rstrip("/")
    if provider.api_shape == "openai-completions" and base and not urlsplit(base).path:
        return f"{base}/v1"
    if provider.api_shape == "anthropic-messages":
        return base.removesuffix("/v1")
    return base
