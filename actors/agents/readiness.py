"""Whether an agent's integrations are connected, as the contract tells it. Pure.

This version connects none: an agent runs without the tools of its integrations, and says so.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from actors.contract import Resource, spell

NOT_ACTIVE = "integration_not_active"
DETAIL = "this version connects no integrations yet: the run goes on without its tools"


class Obstacle(Resource, frozen=True, kw_only=True, rename=spell):
    """What is wrong with one integration."""

    field: str
    code: str
    message: str


class Resolution(Resource, frozen=True, kw_only=True, rename=spell):
    """Which connection an integration would get."""

    status: str = "none"
    resolved_connection_id: str | None = msgspec.field(default=None, name="resolved_connection_id")
    resolved_missing_scopes: list[str] = msgspec.field(default_factory=list[str])
    resolved_owned_by_actor: bool | None = None
    admin_pinned_connection_id: str | None = msgspec.field(
        default=None, name="admin_pinned_connection_id"
    )
    member_pinned_connection_id: str | None = msgspec.field(
        default=None, name="member_pinned_connection_id"
    )
    org_default_connection_id: str | None = msgspec.field(
        default=None, name="org_default_connection_id"
    )
    org_default_enforced: bool = False
    can_add_connection: bool = False
    candidates: list[Any] = msgspec.field(default_factory=list[Any])


class ConnectionReadiness(Resource, frozen=True, kw_only=True, rename=spell):
    """Whether the connections of an agent keep it from running, and what is wrong with each."""

    blocks_run: bool
    errors: list[Obstacle]
    integrations: dict[str, Resolution]


def readiness(integrations: Sequence[str]) -> ConnectionReadiness:
    """The readiness of an agent with these integrations."""
    return ConnectionReadiness(
        blocks_run=False,
        errors=[
            Obstacle(field=f"integrations.{name}", code=NOT_ACTIVE, message=f"{name}: {DETAIL}")
            for name in integrations
        ],
        integrations={name: Resolution() for name in integrations},
    )
