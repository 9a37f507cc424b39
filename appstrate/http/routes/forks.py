"""Copies of packages, and the skills of an agent."""

from typing import Annotated

import msgspec

from actors.contract import spell
from actors.ids import PackageId
from actors.packages import AgentDetail, ChooseSkills, ForkPackage, PackageDetail, ShowPackage
from appstrate.http.call import Call, Routes, Scope

routes = Routes()

SLUG = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"


class ForkBody(msgspec.Struct, kw_only=True):
    """The name of the copy; by default that of the original."""

    name: Annotated[str, msgspec.Meta(pattern=SLUG, max_length=100)] | None = None


class SkillsBody(msgspec.Struct, kw_only=True, rename=spell):
    """The skills an agent is to have."""

    skill_ids: Annotated[list[str], msgspec.Meta(max_length=50)] = msgspec.field(name="skillIds")


@routes.add(
    "POST",
    "/api/packages/{scope}/{name}/fork",
    Scope.APPLICATION,
    "agents:write",
    body=ForkBody,
    status=201,
    refuses={400: "name_collision"},
)
async def fork_package(call: Call, body: ForkBody) -> AgentDetail | PackageDetail:
    """Copy the latest published version into the organization's own scope."""
    made = await call.at.publisher.ask(
        ForkPackage(caller=call.caller, package=call.package, name=body.name)
    )
    return await call.at.packages.ask(ShowPackage(caller=call.caller, package=made))


@routes.add(
    "PUT",
    "/api/agents/{scope}/{name}/skills",
    Scope.APPLICATION,
    "agents:write",
    body=SkillsBody,
    refuses={400: "missing_skill", 403: "operation_not_allowed", 409: "conflict"},
)
async def choose_skills(call: Call, body: SkillsBody) -> AgentDetail | PackageDetail:
    """Choose the skills of an agent; this changes its draft."""
    skills = [PackageId(skill) for skill in body.skill_ids]
    await call.at.curator.ask(ChooseSkills(caller=call.caller, package=call.package, skills=skills))
    return await call.at.packages.ask(
        ShowPackage(caller=call.caller, type="agent", package=call.package)
    )
