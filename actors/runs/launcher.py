"""Turns a wish to run an agent into a plan that needs no more questions."""

import asyncio
from collections.abc import Awaitable
from functools import partial
from typing import Any, TypeAlias, assert_never

from msgspec.structs import replace

from actors.accounts import Caller
from actors.agents import Agents, AgentSetup, ReadSetup
from actors.agents.agents import check_proxy
from actors.documents import as_object
from actors.files import RunFiles, TakeFiles, TakenFiles, wanted_files
from actors.ids import PackageId, new_run_id
from actors.models import ChooseModel, ChosenModel, Generation, Models
from actors.packages import (
    AgentDefinition,
    Manifest,
    Packages,
    ResolveAgent,
    ResolveInline,
    ShowVersion,
)
from actors.packages.manifest import integrations, parameters, runtime_tools
from actors.persistence import Persistence, ReadSlots, viewer_of
from actors.runs.inline import (
    InlineLaunch,
    InlineLimits,
    as_agent,
    check_inline,
    gathered,
    new_inline_name,
    refusal_of,
)
from actors.runs.input import replayed, resolve_input
from actors.runs.plan import InlineAgent, RunPlan
from actors.runs.prompt import render_prompt
from actors.runs.questions import Questions
from actors.runs.records import RunRecords
from actors.runs.rules import RunLimits, run_timeout
from actors.runs.wish import Wish, check_connections, check_wish
from actors.runtime import Actor, Address, Conflict, Lane, NotFound, Refusal, Rejected, Request


class PlanRun(Request["Launcher", RunPlan], frozen=True, kw_only=True):
    """Plan a run of an agent, or refuse with what stands in its way.

    `version` as in ResolveAgent.
    """

    caller: Caller
    package: PackageId
    version: str | None = None
    wish: Wish = Wish()


class PlanRuns(Request["Launcher", list[RunPlan | Refusal]], frozen=True, kw_only=True):
    """Plan several runs of one agent for one caller; each is a plan, or what stands in its way.

    What their plans have in common is looked up once.
    """

    caller: Caller
    package: PackageId
    version: str | None
    wishes: list[Wish]


class PlanInline(Request["Launcher", RunPlan], frozen=True, kw_only=True):
    """Plan a run of an agent that comes with its launch."""

    caller: Caller
    launch: InlineLaunch


class CheckInline(Request["Launcher", None], frozen=True, kw_only=True):
    """Whether such a run could be planned; refuses with everything that stands in its way."""

    caller: Caller
    launch: InlineLaunch


class PlanRemote(Request["Launcher", RunPlan], frozen=True, kw_only=True):
    """Plan a run that is executed elsewhere: of an inline agent, or of `package` as in PlanRun.

    `integrity` is what the published version must have.
    """

    caller: Caller
    inline: InlineLaunch | None = None
    package: PackageId | None = None
    version: str | None = None
    integrity: str | None = None
    wish: Wish = Wish()
    context: dict[str, Any] | None = None


LauncherMessage: TypeAlias = PlanRun | PlanRuns | PlanInline | CheckInline | PlanRemote


class Launcher(Actor):
    """Asks packages, agents' setups and models; whatever launches a run asks here first."""

    lanes = (Lane("plans", 32),)

    def __init__(
        self,
        packages: Address[Packages],
        agents: Address[Agents],
        models: Address[Models],
        records: RunRecords,
        *,
        persistence: Address[Persistence],
        files: Address[RunFiles],
        limits: RunLimits,
        inline_limits: InlineLimits,
    ) -> None:
        super().__init__()
        self._packages = packages
        self._agents = agents
        self._models = models
        self._records = records
        self._persistence = persistence
        self._files = files
        self._limits = limits
        self._inline_limits = inline_limits

    async def receive(self, message: LauncherMessage) -> Any:
        match message:
            case PlanRun():
                return await self._plan(message, Questions())
            case PlanRuns():
                return await self._plan_all(message)
            case PlanInline():
                return await self._plan_inline(message)
            case PlanRemote():
                return await self._plan_remote(message)
            case CheckInline():
                return await self._check_inline(message)
            case _:
                assert_never(message)

    async def _plan_all(self, message: PlanRuns) -> list[RunPlan | Refusal]:
        questions = Questions()
        found: list[RunPlan | Refusal] = []
        for wish in message.wishes:
            planning = PlanRun(
                caller=message.caller,
                package=message.package,
                version=message.version,
                wish=wish,
            )
            try:
                found.append(await self._plan(planning, questions))
            except Refusal as refusal:
                found.append(refusal)
        return found

    async def _plan(self, message: PlanRun, questions: Questions, *, here: bool = True) -> RunPlan:
        caller, package, wish = message.caller, message.package, message.wish
        check_wish(wish)
        resolving = ResolveAgent(
            caller=caller, package=package, version=message.version, overrides=wish.dependencies
        )
        agent = await questions.ask(self._packages, resolving)
        setup = await questions.ask(self._agents, ReadSetup(caller=caller, package=package))
        if wish.rerun_from is not None:
            wish = await self._rerun(message, setup)
        return await self._complete(questions, caller, agent, wish, setup=setup, here=here)

    async def _rerun(self, message: PlanRun, setup: AgentSetup) -> Wish:
        """The wish with the input of the run it wants once more."""
        earlier = message.wish.rerun_from
        assert earlier is not None
        run = await self._records.run(*message.caller.tenant, earlier)
        if run is None or not message.caller.sees(run.end_user_id):
            raise NotFound(f"there is no run {earlier} in this application", param="rerun_from")
        if run.package_id != message.package:
            raise Conflict(
                f"{earlier} was a run of {run.agent_scope}/{run.agent_name}: "
                "only a run of the same agent can be run again",
                code="rerun_agent_mismatch",
                param="rerun_from",
            )
        return replace(message.wish, input=replayed(run.input, setup.input))

    async def _plan_inline(self, message: PlanInline, *, here: bool = True) -> RunPlan:
        launch = message.launch
        check_inline(launch, self._inline_limits)
        agent = await self._resolve_inline(message.caller, launch)
        wish = replace(launch.wish, documents=launch.documents)
        plan = await self._complete(
            Questions(), message.caller, agent, wish, setup=AgentSetup(), here=here
        )
        return replace(plan, inline=InlineAgent(manifest=launch.manifest, prompt=launch.prompt))

    async def _plan_remote(self, message: PlanRemote) -> RunPlan:
        caller, package = message.caller, message.package
        remote = partial(replace, origin="remote", context_snapshot=message.context)
        if package is None:
            assert message.inline is not None
            return remote(
                await self._plan_inline(
                    PlanInline(caller=caller, launch=message.inline), here=False
                )
            )
        planning = PlanRun(
            caller=caller, package=package, version=message.version, wish=message.wish
        )
        plan = await self._plan(planning, Questions(), here=False)
        if message.integrity is not None:
            await self._check_integrity(caller, plan.agent, message.integrity)
        return remote(plan)

    async def _check_integrity(
        self, caller: Caller, agent: AgentDefinition, integrity: str
    ) -> None:
        asking = ShowVersion(
            caller=caller, type="agent", package=agent.package, query=agent.version_ref
        )
        found = await self._packages.ask(asking)
        if found.integrity != integrity:
            raise Conflict(
                f"{agent.package}@{found.version} has the integrity {found.integrity} here",
                code="integrity_mismatch",
                param="source.integrity",
            )

    async def _resolve_inline(self, caller: Caller, launch: InlineLaunch) -> AgentDefinition:
        manifest = as_agent(launch.manifest, new_inline_name())
        return await self._packages.ask(
            ResolveInline(caller=caller, manifest=manifest, prompt=launch.prompt)
        )

    async def _check_inline(self, message: CheckInline) -> None:
        """Everything that a plan would be refused for, as far as one does not need the other."""
        caller, launch = message.caller, message.launch
        wish = replace(launch.wish, documents=launch.documents)
        check_inline(launch, self._inline_limits)
        declared = integrations(launch.manifest)
        found = [
            refusal_of(partial(resolve_input, launch.manifest, wish.input or {})),
            refusal_of(partial(check_connections, wish.connections, declared)),
            refusal_of(partial(check_proxy, wish.proxy)),
        ]
        found += await asyncio.gather(
            _refusal(self._resolve_inline(caller, launch)),
            _refusal(self._models.ask(ChooseModel(caller=caller, model=wish.model))),
            _refusal(
                self._files.ask(replace(_files(caller, launch.manifest, wish), check_only=True))
            ),
        )
        if refusals := [refusal for refusal in found if refusal is not None]:
            raise gathered(refusals)

    async def _complete(
        self,
        questions: Questions,
        caller: Caller,
        agent: AgentDefinition,
        wish: Wish,
        *,
        setup: AgentSetup,
        here: bool,
    ) -> RunPlan:
        """The plan of a run with everything decided; one that is not executed here has no model."""
        org, application = caller.tenant
        values = resolve_input(agent.manifest, wish.input or {}, setup.input)
        if not agent.prompt.strip():
            raise Rejected("the agent's prompt is empty", code="empty_prompt")
        check_proxy(wish.proxy)
        check_connections(wish.connections, integrations(agent.manifest))
        model = await self._model(questions, caller, agent, wish) if here else None
        viewer = viewer_of(caller, agent.package)
        slots = await questions.ask(self._persistence, ReadSlots(viewer=viewer))
        timeout = run_timeout(agent.manifest, self._limits)
        # Last, because their bytes are stored: nothing of what is asked for is refused after this.
        taken = await self._take(_files(caller, agent.manifest, replace(wish, input=values)))
        return RunPlan(
            run=new_run_id(),
            org=org,
            application=application,
            user=caller.user if caller.end_user is None else None,
            end_user=caller.end_user,
            api_key=caller.api_key,
            agent=agent,
            input=taken.values,
            files=taken.files,
            prompt=render_prompt(agent, taken.values, taken.files, timeout, slots=slots),
            model=model,
            timeout=timeout,
            output_schema=parameters(agent.manifest, "output"),
            runtime_tools=runtime_tools(agent.manifest),
            runner_name=wish.runner_name,
            runner_kind=wish.runner_kind,
            generation_override=None if wish.generation == Generation() else wish.generation,
            connection_overrides=wish.connections or None,
            dependency_overrides=wish.dependencies or None,
        )

    async def _model(
        self, questions: Questions, caller: Caller, agent: AgentDefinition, wish: Wish
    ) -> ChosenModel:
        choosing = ChooseModel(caller=caller, package=agent.package, model=wish.model)
        model = await questions.ask(self._models, choosing)
        return replace(model, generation=wish.generation.over(model.generation))

    async def _take(self, taking: TakeFiles) -> TakenFiles:
        if not wanted_files(taking.parameters, taking.values, taking.extra):
            return TakenFiles(values=taking.values)
        return await self._files.ask(taking)


def _files(caller: Caller, manifest: Manifest, wish: Wish) -> TakeFiles:
    return TakeFiles(
        caller=caller,
        parameters=as_object(manifest.get("input")),
        values=wish.input or {},
        extra=wish.documents,
    )


async def _refusal(work: Awaitable[object]) -> Refusal | None:
    try:
        await work
    except Refusal as refusal:
        return refusal
    return None
