"""What a run's program is told: the environment of the run protocol."""

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import msgspec

from actors.runs.plan import RunPlan
from actors.runs.signing import RunSecrets

Environment = Callable[[RunPlan, str], Mapping[str, str]]
"""From a plan and its signing secret to the environment of its program."""


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run reaches the platform, the model proxy and the forward proxy. Known once the
    ports are bound.
    """

    platform_url: str
    proxy_url: str
    public_url: str
    egress_url: str

    @property
    def ports(self) -> list[int]:
        """All that a run has to connect to."""
        urls = map(urlsplit, (self.platform_url, self.proxy_url, self.egress_url))
        return sorted({url.port or 80 for url in urls})


def environment(
    plan: RunPlan,
    secret: str,
    *,
    places: Places,
    secrets: RunSecrets,
    tool_result_bytes: int,
    document_bytes: int,
    heartbeat_seconds: float,
) -> dict[str, str]:
    """The environment of a run. The model key is not in it: its place is taken by a token."""
    sink = f"{places.platform_url}/api/runs/{plan.run}/events"
    model = plan.model
    assert model is not None, "a remote run is not executed here"
    temperature = model.generation.temperature
    told = {
        "AGENT_RUN_ID": plan.run,
        "AGENT_PROMPT": plan.prompt,
        "AGENT_INPUT": _json(plan.input),
        "AGENT_TIMEOUT_SECONDS": f"{plan.timeout:g}",
        "RUNTIME_TOOLS_JSON": _json(plan.runtime_tools),
        "AGENT_SKILLS": str(len(plan.agent.parts)),
        "AGENT_DOCUMENTS": str(len(plan.files)),
        "DOCUMENT_MAX_FILE_BYTES": str(document_bytes),
        "MODEL_API": model.api_shape,
        "MODEL_ID": model.public_id,
        # A provider would tell who stands behind an alias.
        "MODEL_PROVIDER": "" if model.aliased else model.provider_id,
        "MODEL_BASE_URL": f"{places.proxy_url}/llm",
        "MODEL_API_KEY": secrets.token(plan.run),
        "APPSTRATE_SINK_URL": sink,
        "APPSTRATE_SINK_FINALIZE_URL": f"{sink}/finalize",
        "APPSTRATE_SINK_SECRET": secret,
        "TOOL_RESULT_BYTE_LIMIT": str(tool_result_bytes),
        "RUN_HEARTBEAT_INTERVAL_SECONDS": f"{heartbeat_seconds:g}",
    }
    optional = {
        "OUTPUT_SCHEMA": None if plan.output_schema is None else _json(plan.output_schema),
        "MODEL_INPUT": None if model.input is None else _json(model.input),
        "MODEL_CONTEXT_WINDOW": None if not model.context_window else str(model.context_window),
        "MODEL_MAX_TOKENS": None if not model.max_tokens else str(model.max_tokens),
        "MODEL_REASONING": None if model.reasoning is None else _json(model.reasoning),
        "MODEL_COST": None if model.cost is None else _json(model.cost),
        "MODEL_TEMPERATURE": None if temperature is None else f"{temperature:g}",
        "MODEL_REASONING_LEVEL": model.generation.reasoning_level,
    }
    if plan.inline is None:
        told["PLATFORM_API_URL"] = places.platform_url
    told |= _proxies(places.egress_url, plan.run, secrets.egress_token(plan.run))
    return told | {name: value for name, value in optional.items() if value is not None}


def _proxies(url: str, user: str, password: str) -> dict[str, str]:
    """What tells programs of a proxy, in both spellings that are in use."""
    scheme, _, place = url.partition("://")
    full = f"{scheme}://{user}:{password}@{place}"
    told = {"HTTP_PROXY": full, "HTTPS_PROXY": full, "NO_PROXY": "localhost,127.0.0.1,::1"}
    return told | {name.lower(): value for name, value in told.items()}


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
