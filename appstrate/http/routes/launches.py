"""Launching runs: of agents that are installed, and of agents that come with their launch."""

from typing import Any, Literal

import msgspec

from actors.contract import spell
from actors.ids import ModelId, RunId
from actors.models import Generation
from actors.runs import Admit, CheckInline, InlineLaunch, PlanInline, PlanRun, Run, Wish
from appstrate.http.call import Call, Query, Routes, Scope
from appstrate.http.limits import Limit
from appstrate.http.refusals import OF_INLINE_RUNS, OF_LAUNCHES

routes = Routes()

VERSION = Query(
    "version",
    "`draft`, `published`, a version, a range or a tag; by default the version the application is "
    "pinned to, else the latest published one.",
)


class WishBody(msgspec.Struct, kw_only=True, rename=spell, forbid_unknown_fields=True):
    """What every run may be launched with."""

    input: dict[str, Any] | None = None
    model_id: str | None = None
    generation: Generation | None = None
    proxy_id: str | None = None
    connection_overrides: dict[str, str] | None = None


class RunBody(WishBody, kw_only=True, rename=spell, forbid_unknown_fields=True):
    """What a run of an installed agent may be launched with."""

    rerun_from: str | None = None
    dependency_overrides: dict[str, str] | None = None


class InlineBody(WishBody, kw_only=True, rename=spell, forbid_unknown_fields=True):
    """An agent, and what it is launched with."""

    manifest: dict[str, Any]
    prompt: str
    context_documents: list[str] | None = None


class Valid(msgspec.Struct, kw_only=True):
    """That nothing is wrong."""

    valid: Literal[True] = True


@routes.add(
    "POST",
    "/api/agents/{scope}/{name}/run",
    Scope.APPLICATION,
    "agents:run",
    body=RunBody,
    query=(VERSION,),
    status=201,
    limit=20,
    refuses=OF_LAUNCHES,
)
async def run_agent(call: Call, body: RunBody) -> Run:
    """Launch a run; the answer is the run as it is at once, pending."""
    wish = msgspec.structs.replace(
        _wish(call, body),
        rerun_from=RunId(body.rerun_from) if body.rerun_from else None,
        dependencies=body.dependency_overrides or {},
    )
    plan = await call.at.launcher.ask(
        PlanRun(caller=call.caller, package=call.package, version=call.query("version"), wish=wish)
    )
    return await call.at.run_manager.ask(Admit(plan=plan))


@routes.add(
    "POST",
    "/api/runs/inline",
    Scope.APPLICATION,
    "agents:run",
    body=InlineBody,
    status=201,
    limit=Limit(60, setting="inline"),
    refuses=OF_INLINE_RUNS,
)
async def run_inline(call: Call, body: InlineBody) -> Run:
    """Launch a run of an agent that is no package: its manifest and prompt are in the body."""
    plan = await call.at.launcher.ask(PlanInline(caller=call.caller, launch=_inline(call, body)))
    return await call.at.run_manager.ask(Admit(plan=plan))


@routes.add(
    "POST",
    "/api/runs/inline/validate",
    Scope.APPLICATION,
    "agents:run",
    body=InlineBody,
    refuses=OF_INLINE_RUNS,
)
async def validate_inline(call: Call, body: InlineBody) -> Valid:
    """Look at an inline run without launching it; refused with every problem at once."""
    await call.at.launcher.ask(CheckInline(caller=call.caller, launch=_inline(call, body)))
    return Valid()


def _inline(call: Call, body: InlineBody) -> InlineLaunch:
    return InlineLaunch(
        manifest=body.manifest,
        prompt=body.prompt,
        wish=_wish(call, body),
        documents=body.context_documents or [],
    )


def _wish(call: Call, body: WishBody) -> Wish:
    return Wish(
        input=body.input,
        model=ModelId(body.model_id) if body.model_id else None,
        generation=body.generation or Generation(),
        proxy=body.proxy_id,
        connections=body.connection_overrides or {},
        runner_name=call.header("X-Appstrate-Runner-Name", 120),
        runner_kind=call.header("X-Appstrate-Runner-Kind", 32),
    )
