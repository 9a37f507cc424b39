"""What an agent process is told, as the run protocol spells it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

API_SHAPES = (
    "openai-completions",
    "openai-responses",
    "anthropic-messages",
    "mistral-conversations",
    "google-generative-ai",
)
UNSPOKEN = (
    "openai-codex-responses",
    "google-vertex",
    "azure-openai-responses",
    "bedrock-converse-stream",
)
LEVELS = ("off", "minimal", "low", "medium", "high", "xhigh", "max")


class AssignmentError(Exception):
    """The assignment cannot be used; the message lists every problem."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """An assignment. Costs are US dollars per million tokens, times are seconds."""

    run: str
    prompt: str
    input: dict[str, Any]
    timeout: float | None
    workspace: str
    runtime_tools: list[str]
    skills: int
    output_schema: dict[str, Any] | None
    model_api: str
    model_id: str
    model_provider: str
    model_base_url: str
    model_api_key: str
    model_max_tokens: int
    model_max_tokens_given: bool
    model_temperature: float | None
    model_context_window: int
    model_input: list[str]
    model_reasoning: bool | None
    model_reasoning_level: str
    model_reasoning_level_map: dict[str, Any]
    compaction: bool
    model_cost: dict[str, float]
    model_retries: int
    sink_url: str
    sink_finalize_url: str
    sink_secret: str
    tool_result_limit: int
    documents: int
    document_bytes: int
    heartbeat: float = 15.0
    platform_url: str


class _Reader:
    """Reads variables and gathers problems; an empty value counts as absent."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self.problems: list[str] = []

    def text(self, name: str, default: str | None = None) -> str:
        value = self._variables.get(name) or default
        if value is None:
            self.problems.append(f"{name} is required")
        return value or ""

    def url(self, name: str) -> str:
        value = self.text(name)
        if value and (urlsplit(value).scheme != "http" or not urlsplit(value).hostname):
            self.problems.append(f"{name} must be an http URL")
        return value.rstrip("/")

    def number(self, name: str, least: float | None = None) -> float | None:
        """A positive number, or one that is `least` or more."""
        value = self._variables.get(name)
        if not value:
            return None
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if number < least if least is not None else number <= 0:
            wanted = "a positive number" if least is None else f"{least:g} or more"
            self.problems.append(f"{name} must be {wanted}")
            return None
        return number

    def json(self, name: str, kind: type) -> Any:
        value = self._variables.get(name)
        if not value:
            return kind()
        try:
            parsed = json.loads(value)
        except ValueError:
            parsed = None
        if not isinstance(parsed, kind):
            self.problems.append(f"{name} must be a JSON {kind.__name__}")
            return kind()
        return parsed


def read_settings(variables: Mapping[str, str]) -> Settings:
    """Read an assignment; raises `AssignmentError` with all that is wrong with it."""
    read = _Reader(variables)
    max_tokens = read.number("MODEL_MAX_TOKENS")
    settings = Settings(
        run=read.text("AGENT_RUN_ID"),
        prompt=read.text("AGENT_PROMPT"),
        input=read.json("AGENT_INPUT", dict),
        timeout=read.number("AGENT_TIMEOUT_SECONDS"),
        workspace=read.text("WORKSPACE_DIR", "/workspace"),
        runtime_tools=read.json("RUNTIME_TOOLS_JSON", list),
        skills=int(read.number("AGENT_SKILLS") or 0) if variables.get("AGENT_SKILLS") != "0" else 0,
        output_schema=read.json("OUTPUT_SCHEMA", dict) or None,
        model_api=read.text("MODEL_API"),
        model_id=read.text("MODEL_ID"),
        model_provider=read.text("MODEL_PROVIDER", "unknown"),
        model_base_url=read.url("MODEL_BASE_URL"),
        model_api_key=read.text("MODEL_API_KEY", "none"),
        model_max_tokens=int(max_tokens or 16_384),
        model_max_tokens_given=max_tokens is not None,
        model_temperature=read.number("MODEL_TEMPERATURE", least=0),
        model_context_window=int(read.number("MODEL_CONTEXT_WINDOW") or 128_000),
        model_input=read.json("MODEL_INPUT", list) or ["text"],
        model_reasoning={"true": True, "false": False}.get(variables.get("MODEL_REASONING", "")),
        model_reasoning_level=variables.get("MODEL_REASONING_LEVEL", ""),
        model_reasoning_level_map=read.json("MODEL_REASONING_LEVEL_MAP", dict),
        compaction=variables.get("MODEL_COMPACTION_ENABLED") != "false",
        model_cost=read.json("MODEL_COST", dict),
        model_retries=0 if variables.get("MODEL_RETRY_ENABLED") == "false" else 4,
        sink_url=read.url("APPSTRATE_SINK_URL"),
        sink_finalize_url=read.url("APPSTRATE_SINK_FINALIZE_URL"),
        sink_secret=read.text("APPSTRATE_SINK_SECRET"),
        tool_result_limit=int(read.number("TOOL_RESULT_BYTE_LIMIT") or 2048),
        # Who does not tell how many there are is asked for them.
        documents=int(variables.get("AGENT_DOCUMENTS") != "0"),
        document_bytes=int(read.number("DOCUMENT_MAX_FILE_BYTES") or 100 * 2**20),
        heartbeat=read.number("RUN_HEARTBEAT_INTERVAL_SECONDS") or 15.0,
        platform_url=read.url("PLATFORM_API_URL") if variables.get("PLATFORM_API_URL") else "",
    )
    read.problems += _problems(settings)
    if read.problems:
        raise AssignmentError("; ".join(read.problems))
    return settings


def _problems(settings: Settings) -> list[str]:
    problems: list[str] = []
    shape, known = settings.model_api, ", ".join(API_SHAPES)
    if shape in UNSPOKEN:
        problems.append(
            f"MODEL_API {shape} is not spoken here: reach this model through a provider of one of "
            f"the kinds {known}"
        )
    elif shape and shape not in API_SHAPES:
        problems.append(f"MODEL_API must be one of {known}")
    if settings.model_reasoning_level not in ("", *LEVELS):
        problems.append(f"MODEL_REASONING_LEVEL must be one of {', '.join(LEVELS)}")
    if settings.model_temperature is not None and settings.model_temperature > 1:
        problems.append("MODEL_TEMPERATURE must be from 0 to 1")
    if 0 < len(settings.sink_secret) < 16:
        problems.append("APPSTRATE_SINK_SECRET must have at least 16 characters")
    return problems
