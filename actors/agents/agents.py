"""How an application has set its agents up."""

from typing import Any, TypeAlias, assert_never

from actors.accounts import Caller
from actors.agents.readiness import ConnectionReadiness, readiness
from actors.agents.rules import accept
from actors.agents.setup import DIRECT, AgentProxy, AgentSetup, InputSettings, SetupRecords
from actors.ids import PackageId
from actors.packages import AgentDetail, Packages, ShowPackage
from actors.runtime import Actor, Address, Lane, NotFound, Request


class ReadSetup(Request["Agents", AgentSetup], frozen=True, kw_only=True):
    """How an agent is set up in the caller's application."""

    caller: Caller
    package: PackageId


class SetInputSettings(Request["Agents", InputSettings], frozen=True, kw_only=True):
    """Set an agent's input values and the fields callers may not set; answers what is kept.

    Fields that its draft does not declare are left out.
    """

    caller: Caller
    package: PackageId
    settings: InputSettings


class ReadProxy(Request["Agents", AgentProxy], frozen=True, kw_only=True):
    """The proxy chosen for an agent."""

    caller: Caller
    package: PackageId


class SetProxy(Request["Agents", AgentProxy], frozen=True, kw_only=True):
    """Choose it: `none` for none, null for what the organization has."""

    caller: Caller
    package: PackageId
    proxy: str | None


class CheckReadiness(Request["Agents", ConnectionReadiness], frozen=True, kw_only=True):
    """Whether an agent's connections would keep it from running."""

    caller: Caller
    package: PackageId


AgentsMessage: TypeAlias = ReadSetup | SetInputSettings | ReadProxy | SetProxy | CheckReadiness


class Agents(Actor):
    """Keeps what an application sets for its agents, shipped ones included."""

    lanes = (Lane("agents", 32),)

    def __init__(self, records: SetupRecords, packages: Address[Packages]) -> None:
        super().__init__()
        self._records = records
        self._packages = packages

    async def receive(self, message: AgentsMessage) -> Any:
        match message:
            case ReadSetup():
                return await self._setup(message.caller, message.package)
            case SetInputSettings():
                return await self._set_input(message)
            case ReadProxy():
                return _proxy((await self._setup(message.caller, message.package)).proxy_id)
            case SetProxy():
                return await self._set_proxy(message)
            case CheckReadiness():
                detail = await self._detail(message.caller, message.package)
                return readiness([each["id"] for each in detail.dependencies["integrations"]])
            case _:
                assert_never(message)

    async def _setup(self, caller: Caller, package: PackageId) -> AgentSetup:
        found = await self._records.setup(*caller.tenant, package)
        if found is None:
            raise _no_agent(package)
        return found

    async def _set_input(self, message: SetInputSettings) -> InputSettings:
        detail = await self._detail(message.caller, message.package)
        accepted = accept(detail.input.schema, message.settings)
        if not await self._records.set_input(*message.caller.tenant, message.package, accepted):
            raise _no_agent(message.package)
        return accepted

    async def _set_proxy(self, message: SetProxy) -> AgentProxy:
        check_proxy(message.proxy)
        if not await self._records.set_proxy(
            *message.caller.tenant, message.package, message.proxy
        ):
            raise _no_agent(message.package)
        return _proxy(message.proxy)

    async def _detail(self, caller: Caller, package: PackageId) -> AgentDetail:
        found = await self._packages.ask(ShowPackage(caller=caller, type="agent", package=package))
        assert isinstance(found, AgentDetail)
        return found


def check_proxy(proxy: str | None) -> None:
    """Refuse a proxy there is not: this version knows none but `none`."""
    if proxy not in (None, DIRECT):
        raise NotFound(
            f"there is no proxy {proxy} in this organization: leave it out, or say none",
            param="proxyId",
        )


def _proxy(chosen: str | None) -> AgentProxy:
    return AgentProxy(proxy_id=chosen, resolved=None)


def _no_agent(package: PackageId) -> NotFound:
    return NotFound(f"there is no agent {package} in this application", code="agent_not_found")
