"""Turns a wish to run an agent into a plan that needs no more questions."""

from typing import Any, assert_never

import msgspec

from actors.accounts import Caller
from actors.ids import ModelId, PackageId, new_run_id
from actors.models import ChooseModel, Models
from actors.packages import Packages, ResolveAgent
from actors.packages.manifest import parameters, runtime_tools
from actors.runs.plan import RunPlan
from actors.runs.prompt import render_prompt
from actors.runs.rules import RunLimits, resolve_input, run_timeout
from actors.runtime import Actor, Address, Lane, Rejected, Request


class PlanRun(Request["Launcher", RunPlan], frozen=True, kw_only=True):
    """Plan a run of an agent, or refuse with everything that stands in its way.

    `version` as in ResolveAgent; `model` None means the organization's default.
    """

    caller: Caller
    package: PackageId
    version: str | None = None
    input: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    model: ModelId | None = None
    runner_name: str | None = None
    runner_kind: str | None = None


class Launcher(Actor):
    """Asks packages and models; whatever launches a run asks here first."""

    lanes = (Lane("plans", 32),)

    def __init__(
        self, packages: Address[Packages], models: Address[Models], limits: RunLimits
    ) -> None:
        super().__init__()
        self._packages = packages
        self._models = models
        self._limits = limits

    async def receive(self, message: PlanRun) -> RunPlan:
        match message:
            case PlanRun():
                return await self._plan(message)
            case _:
                assert_never(message)

    async def _plan(self, message: PlanRun) -> RunPlan:
        caller = message.caller
        org, application = caller.tenant
        agent = await self._packages.ask(
            ResolveAgent(caller=caller, package=message.package, version=message.version)
        )
        values = resolve_input(agent.manifest, message.input)
        if not agent.prompt.strip():
            raise Rejected("the agent's prompt is empty", code="empty_prompt")
        choosing = ChooseModel(caller=caller, package=message.package, model=message.model)
        model = await self._models.ask(choosing)
        timeout = run_timeout(agent.manifest, self._limits)
        prompt = render_prompt(agent.prompt, agent.manifest, values, agent.skills, timeout)
        return RunPlan(
            run=new_run_id(),
            org=org,
            application=application,
            user=caller.user,
            api_key=caller.api_key,
            agent=agent,
            input=values,
            prompt=prompt,
            model=model,
            timeout=timeout,
            output_schema=parameters(agent.manifest, "output"),
            runtime_tools=runtime_tools(agent.manifest),
            runner_name=message.runner_name,
            runner_kind=message.runner_kind,
        )
