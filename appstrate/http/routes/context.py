"""What whoever calls finds here, in one answer."""

from typing import Any

import msgspec

from actors.accounts import (
    ListOrganizations,
    Organization,
    Profile,
    ReadProfile,
)
from actors.contract import spell
from actors.packages import AgentItem, ListAgents, ListPackages, PackageItem
from actors.runs import ListRuns, Run, RunQuery
from actors.runtime import NotFound
from appstrate.http.call import Call, Routes, Scope

routes = Routes()

MOST_AGENTS = 15
RECENT_RUNS = 10


class Context(msgspec.Struct, kw_only=True, rename=spell):
    """Who calls, in which organization, and what there is for them in the application."""

    user: Profile
    org: Organization
    connections: list[dict[str, Any]]
    recent_runs: list[Run]
    agents: list[AgentItem]
    skills: list[PackageItem]


@routes.add("GET", "/api/me/context", Scope.APPLICATION)
async def show_context(call: Call) -> Context:
    """The caller, their organization, their last 10 runs, up to 15 agents, and the skills.

    A key's user is who made it; when it acts for an end user the runs are that one's. Skills are
    for those who may read them. `connections` is empty, because integrations are not connected
    here yet.
    """
    caller, at = call.caller, call.at
    skills: list[PackageItem] = []
    if "skills:read" in caller.permissions:
        skills = await at.packages.ask(ListPackages(caller=caller, type="skill", active=True))
    query = RunQuery(limit=RECENT_RUNS, user=caller.user)
    return Context(
        user=await at.accounts.ask(ReadProfile(caller=caller)),
        org=await _organization(call),
        connections=[],
        recent_runs=(await at.run_log.ask(ListRuns(caller=caller, query=query))).runs,
        agents=(await at.packages.ask(ListAgents(caller=caller)))[:MOST_AGENTS],
        skills=skills,
    )


async def _organization(call: Call) -> Organization:
    found = await call.at.organizations.ask(ListOrganizations(caller=call.caller))
    for organization in found:
        if organization.id == call.caller.org:
            return organization
    raise NotFound("you are no member of this organization any more")
