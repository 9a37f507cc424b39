"""Agents: the list, and running one."""

from typing import Any, Literal

import msgspec

from actors.contract import spell
from actors.ids import ModelId
from actors.packages import AgentItem, ListAgents, ShowPackage
from actors.runs import Admit, PlanRun, Run, RunQuery
from appstrate.http.call import Call, Page, Query, Routes, Scope, number, page
from appstrate.http.routes.runs import OFFSET, list_page

routes = Routes()

VERSION = Query("version", "`draft`, `published` (the default), a version, a range or a tag.")


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """An object with nothing in it."""


class RunBody(msgspec.Struct, kw_only=True, rename=spell, forbid_unknown_fields=True):
    """What a run is launched with. The last five may be there, and change nothing yet."""

    input: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    model_id: str | None = None
    rerun_from: None = None
    generation: Nothing | None = None
    proxy_id: Literal["none"] | None = None
    connection_overrides: Nothing | None = None
    dependency_overrides: Nothing | None = None


@routes.add("GET", "/api/agents", Scope.APPLICATION)
async def list_agents(call: Call) -> Page[AgentItem]:
    """The agents the application sees."""
    return page(await call.at.packages.ask(ListAgents(caller=call.caller)))


@routes.add(
    "POST",
    "/api/agents/{scope}/{name}/run",
    Scope.APPLICATION,
    "agents:run",
    body=RunBody,
    query=(VERSION,),
    status=201,
)
async def run_agent(call: Call, body: RunBody) -> Run:
    """Launch a run; the answer is the run as it is at once, pending."""
    plan = await call.at.launcher.ask(
        PlanRun(
            caller=call.caller,
            package=call.package,
            version=call.query("version"),
            input=body.input,
            model=ModelId(body.model_id) if body.model_id else None,
            runner_name=call.header("X-Appstrate-Runner-Name", 120),
            runner_kind=call.header("X-Appstrate-Runner-Kind", 32),
        )
    )
    return await call.at.run_manager.ask(Admit(plan=plan))


@routes.add(
    "GET",
    "/api/agents/{scope}/{name}/runs",
    Scope.APPLICATION,
    query=(Query("limit", "Runs on a page.", number(100, 50)), OFFSET),
)
async def list_agent_runs(call: Call) -> Page[Run]:
    """The runs of one agent, newest first; those of a deleted agent are still there."""
    query = RunQuery(
        limit=call.number("limit", 50, most=100),
        offset=call.number("offset", 0, most=1_000_000, least=0),
        package=call.package,
    )
    found = await list_page(call, query)
    if found.total == 0:
        show = ShowPackage(caller=call.caller, type="agent", package=call.package)
        await call.at.packages.ask(show)
    return found
