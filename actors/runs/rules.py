"""Rules of launching: what input a run gets, and how long it may take. Pure."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from actors.documents import as_object
from actors.packages import Manifest
from actors.packages.manifest import effective_timeout, parameters
from actors.runtime import FieldProblem, Rejected
from actors.schemas import Schema, coerce, is_file_field


class RunLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds on every run (`PLATFORM_RUN_LIMITS`); seconds, counts, MiB and processors."""

    timeout_ceiling_seconds: Annotated[float, msgspec.Meta(gt=0)] = 1800
    per_org_global_rate_per_min: Annotated[int, msgspec.Meta(ge=1)] = 200
    max_concurrent_per_org: Annotated[int, msgspec.Meta(ge=1)] = 50
    max_pending_per_org: Annotated[int, msgspec.Meta(ge=1)] = 1000
    agent_memory_ceiling_mb: Annotated[int, msgspec.Meta(ge=1)] = 1536
    agent_cpu_ceiling: Annotated[float, msgspec.Meta(gt=0)] = 2


def run_timeout(manifest: Manifest, limits: RunLimits) -> float:
    """The budget of a run in seconds: the agent's own, lowered to the platform's ceiling."""
    return min(effective_timeout(manifest), limits.timeout_ceiling_seconds)


def resolve_input(manifest: Manifest, given: Mapping[str, Any]) -> dict[str, Any]:
    """The effective input: the schema's defaults, then what the caller gave, key by key.

    Refuses with `validation_failed`, naming every field that is wrong.
    """
    schema = parameters(manifest, "input")
    if schema is None:
        return dict(given)
    properties = as_object(schema.get("properties"))
    defaults = {
        name: as_object(field)["default"]
        for name, field in properties.items()
        if "default" in as_object(field)
    }
    values = coerce(defaults | dict(given), schema)
    # Whatever a file field holds is looked at where files are fetched.
    anything: dict[str, Any] = {}
    checked = {n: anything if is_file_field(as_object(f)) else f for n, f in properties.items()}
    problems = Schema(schema | {"properties": checked}).problems(values, under="input")
    if problems:
        raise _invalid_input(problems)
    return values


def _invalid_input(problems: list[FieldProblem]) -> Rejected:
    items = [msgspec.structs.replace(p, code="invalid_input") for p in problems]
    first = problems[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return Rejected(
        f"{first.field} {first.message}{more}",
        code="validation_failed",
        param=first.field,
        problems=items,
    )
