"""Agents: the list, and running one."""

from typing import Any

import msgspec

from actors.agents import (
    AgentProxy,
    CheckReadiness,
    ConnectionReadiness,
    InputSettings,
    ReadProxy,
    SetInputSettings,
    SetProxy,
)
from actors.contract import spell
from actors.packages import AgentItem, ListAgents, ShowPackage
from actors.runs import DeleteRuns, Run, RunQuery
from appstrate.http.call import Call, Page, Query, Routes, Scope, number, page
from appstrate.http.routes.runs import MOST_OFFSET, OFFSET, list_page

routes = Routes()


class SettingsBody(msgspec.Struct, kw_only=True, rename=spell, forbid_unknown_fields=True):
    """Input values for every run, and the fields callers may not set."""

    values: dict[str, Any]
    locked_fields: list[str]


class Deleted(msgspec.Struct, kw_only=True):
    """How many were deleted."""

    deleted_count: int


class ProxyBody(msgspec.Struct, kw_only=True, rename=spell, forbid_unknown_fields=True):
    """A proxy, `none` for none, or null for what the organization has."""

    proxy_id: str | None


@routes.add("GET", "/api/agents", Scope.APPLICATION)
async def list_agents(call: Call) -> Page[AgentItem]:
    """The agents the application sees."""
    return page(await call.at.packages.ask(ListAgents(caller=call.caller)))


@routes.add(
    "GET",
    "/api/agents/{scope}/{name}/runs",
    Scope.APPLICATION,
    query=(Query("limit", "Runs on a page.", number(100, 50)), OFFSET),
)
async def list_agent_runs(call: Call) -> Page[Run]:
    """The runs of one agent, newest first, also when it is not installed any more.

    Those of an agent that was deleted are found among all runs, under its name.
    """
    query = RunQuery(
        limit=call.number("limit", 50, most=100),
        offset=call.number("offset", 0, most=MOST_OFFSET, least=0),
        package=call.package,
    )
    found = await list_page(call, query)
    if found.total == 0:
        await _check_agent(call)
    return found


@routes.add(
    "DELETE",
    "/api/agents/{scope}/{name}/runs",
    Scope.APPLICATION,
    "runs:delete",
    refuses={409: "run_in_progress document_in_use"},
)
async def delete_agent_runs(call: Call) -> Deleted:
    """Delete every run of an agent, with their logs; refused while one of them is active."""
    message = DeleteRuns(caller=call.caller, package=call.package)
    deleted = await call.at.run_manager.ask(message, within=60)
    if deleted == 0:
        await _check_agent(call)
    return Deleted(deleted_count=deleted)


async def _check_agent(call: Call) -> None:
    show = ShowPackage(caller=call.caller, type="agent", package=call.package)
    await call.at.packages.ask(show)


@routes.add(
    "PUT",
    "/api/agents/{scope}/{name}/input-settings",
    Scope.APPLICATION,
    "agents:configure",
    body=SettingsBody,
    refuses={400: "locked_required_field_empty"},
)
async def set_input_settings(call: Call, body: SettingsBody) -> InputSettings:
    """Set the input values of an agent's runs, and lock fields; answers what is kept.

    A caller of a run overrides values, but may not name a locked field. Values of fields that the
    agent does not declare are left out.
    """
    settings = InputSettings(values=body.values, locked_fields=body.locked_fields)
    return await call.at.agents.ask(
        SetInputSettings(caller=call.caller, package=call.package, settings=settings)
    )


@routes.add("GET", "/api/agents/{scope}/{name}/proxy", Scope.APPLICATION, "agents:read")
async def read_proxy(call: Call) -> AgentProxy:
    """The proxy chosen for an agent, and the one its runs get."""
    return await call.at.agents.ask(ReadProxy(caller=call.caller, package=call.package))


@routes.add(
    "PUT",
    "/api/agents/{scope}/{name}/proxy",
    Scope.APPLICATION,
    "agents:configure",
    body=ProxyBody,
)
async def set_proxy(call: Call, body: ProxyBody) -> AgentProxy:
    """Choose the proxy of an agent."""
    return await call.at.agents.ask(
        SetProxy(caller=call.caller, package=call.package, proxy=body.proxy_id)
    )


@routes.add(
    "GET",
    "/api/agents/{scope}/{name}/connection-readiness",
    Scope.APPLICATION,
    "integrations:read",
)
async def check_readiness(call: Call) -> ConnectionReadiness:
    """Whether the connections of an agent would keep it from running."""
    return await call.at.agents.ask(CheckReadiness(caller=call.caller, package=call.package))
