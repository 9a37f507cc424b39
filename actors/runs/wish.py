"""What somebody who launches a run may wish for, and which wishes cannot be. Pure."""

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from actors.ids import ModelId, RunId
from actors.models import Generation
from actors.runtime import FieldProblem, Rejected


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a launch asks for beside its agent. `input` None means that none was given.

    `rerun_from` takes the input of an earlier run of the same agent. A `model` of None is the
    agent's or the organization's. `dependencies` replaces the ranges of skills: a range, a tag, a
    version or `draft`. `documents` are the URIs of further ones to be read. The runner's name and
    kind are recorded as they are.
    """

    input: dict[str, Any] | None = None
    rerun_from: RunId | None = None
    model: ModelId | None = None
    generation: Generation = Generation()
    proxy: str | None = None
    connections: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    dependencies: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    documents: list[str] = msgspec.field(default_factory=list[str])
    runner_name: str | None = None
    runner_kind: str | None = None


def check_wish(wish: Wish) -> None:
    """Refuse a wish that contradicts itself."""
    if wish.rerun_from is not None and wish.input is not None:
        raise Rejected(
            "give either input or rerun_from: a rerun takes the input of the earlier run",
            param="rerun_from",
        )


def check_connections(wanted: Mapping[str, str], declared: Collection[str]) -> None:
    """Refuse connections for integrations the agent does not have, and those there are not."""
    unknown = [name for name in wanted if name not in declared]
    if unknown:
        has = ", ".join(declared) or "none"
        problems = [
            FieldProblem(
                field=f"connection_overrides.{name}",
                code="invalid_key",
                message=f"is no integration of this agent, which has: {has}",
            )
            for name in unknown
        ]
        first = problems[0]
        raise Rejected(
            f"{first.field} {first.message}",
            code="validation_failed",
            param=first.field,
            problems=problems,
        )
    if wanted:
        problems = [
            FieldProblem(
                field=f"integrations.{name}",
                code="override_connection_unavailable",
                message=f"there is no connection {connection}: this version connects none yet",
            )
            for name, connection in wanted.items()
        ]
        raise Rejected(
            f"{problems[0].field}: {problems[0].message}; leave connection_overrides out",
            code="missing_integration_connection",
            problems=problems,
        )
