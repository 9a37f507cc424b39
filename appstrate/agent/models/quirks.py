"""Where servers that speak chat completions differ, and what to give up when one objects. Pure."""

from dataclasses import dataclass, replace

from appstrate.agent.models.turn import Json
from appstrate.agent.settings import Settings

LIMITS = ("max_tokens", "max_completion_tokens")
UNKNOWN = ("unsupported", "not supported", "unrecognized", "unknown", "extra", "not permitted")


@dataclass(frozen=True, slots=True)
class Quirks:
    """How one server wants its requests.

    `limit` names the output limit, `effort` where the amount of thinking is said; `returned` are
    the fields of an answer that must come back with it; `answers_results` forbids a user's word
    right after results.
    """

    limit: str = "max_tokens"
    effort: str = "reasoning_effort"
    returned: tuple[str, ...] = ()
    developer: bool = False
    temperature: bool = True
    stream_options: bool = True
    answers_results: bool = False

    def thinks(self, level: str | None) -> Json:
        """The fields of a request that say how much to think."""
        if level is None:
            return {}
        match self.effort:
            case "reasoning_effort":
                return {"reasoning_effort": level}
            case "reasoning":
                return {"reasoning": {"effort": level}}
            case "thinking":
                return {"thinking": {"type": "disabled" if level == "none" else "enabled"}}
            case _:
                return {}

    def warm(self, *, thinking: bool) -> bool:
        """Whether a temperature may be said."""
        return self.temperature and not (self.developer and thinking)

    def conceded(self, said: str) -> "tuple[Quirks, str] | None":
        """The quirks without what a refusal objects to, and what that is."""
        said = said.lower()
        if self.limit and self.limit in said and any(word in said for word in UNKNOWN):
            other = next(name for name in LIMITS if name != self.limit)
            return replace(self, limit=other if other in said else ""), self.limit
        if self.stream_options and "stream_options" in said:
            return replace(self, stream_options=False), "stream_options"
        if self.temperature and "temperature" in said:
            return replace(self, temperature=False), "temperature"
        if self.developer and "developer" in said:
            return replace(self, developer=False), "the role developer"
        if self.effort and any(word in said for word in ("reasoning", "thinking")):
            return replace(self, effort=""), self.effort
        if self.returned and any(name in said for name in self.returned):
            return replace(self, returned=()), ", ".join(self.returned)
        return None


def quirks_of(settings: Settings) -> Quirks:
    """What is known of a server before it is asked."""
    if settings.model_api == "mistral-conversations":
        return BY_PROVIDER["mistral"]
    return BY_PROVIDER.get(settings.model_provider, Quirks())


BY_PROVIDER = {
    "openai": Quirks(limit="max_completion_tokens", developer=True),
    "mistral": Quirks(effort="", stream_options=False, answers_results=True),
    "openrouter": Quirks(effort="reasoning", returned=("reasoning_details",)),
    "deepseek": Quirks(effort="thinking", returned=("reasoning_content",)),
    "moonshot": Quirks(effort="thinking", returned=("reasoning_content",)),
    "zai": Quirks(effort="thinking", returned=("reasoning_content",)),
    "openai-compatible": Quirks(returned=("reasoning_content",)),
}
