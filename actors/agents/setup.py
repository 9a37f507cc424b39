"""What an application sets for one of its agents, and where it is kept."""

from typing import Any, Protocol

import msgspec

from actors.contract import Resource, spell
from actors.ids import ApplicationId, OrgId, PackageId

DIRECT = "none"
"""The proxy that is none: model calls and requests go out directly."""


class InputSettings(Resource, frozen=True, kw_only=True, rename=spell):
    """Input values for every run of an agent, and the fields that callers may not set."""

    values: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    locked_fields: list[str] = msgspec.field(default_factory=list[str])


class AgentSetup(msgspec.Struct, frozen=True, kw_only=True):
    """How an agent is set up in one application."""

    input: InputSettings = InputSettings()
    proxy_id: str | None = None


class AgentProxy(Resource, frozen=True, kw_only=True, rename=spell):
    """The outgoing proxy chosen for an agent, and the one its runs get; `none` is none."""

    proxy_id: str | None
    resolved: str | None


class SetupRecords(Protocol):
    """Where setups are kept. Each method is one transaction."""

    async def setup(
        self, org: OrgId, application: ApplicationId, package: PackageId
    ) -> AgentSetup | None:
        """How an agent is set up. None when the application sees no such agent."""
        ...

    async def set_input(
        self, org: OrgId, application: ApplicationId, package: PackageId, settings: InputSettings
    ) -> bool:
        """Keep input settings. False when the application sees no such agent."""
        ...

    async def set_proxy(
        self, org: OrgId, application: ApplicationId, package: PackageId, proxy: str | None
    ) -> bool:
        """Keep the choice of a proxy. False when the application sees no such agent."""
        ...
