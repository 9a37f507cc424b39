"""Runs that are executed elsewhere and recorded here."""

from typing import Any, Literal

import msgspec

from actors.contract import spell
from actors.ids import PackageId
from actors.runs import (
    Extended,
    ExtendSink,
    InlineLaunch,
    OpenRemote,
    PlanRemote,
    RemoteSink,
    Wish,
)
from actors.runtime import NotFound, Rejected
from appstrate.http.call import Call, Routes, Scope

routes = Routes()

SNAPSHOT_BYTES = 16 * 1024


class InlineSource(
    msgspec.Struct, kw_only=True, tag_field="kind", tag="inline", forbid_unknown_fields=True
):
    """An agent that comes with its launch."""

    manifest: dict[str, Any]
    prompt: str


class RegistrySource(
    msgspec.Struct,
    kw_only=True,
    tag_field="kind",
    tag="registry",
    rename=spell,
    forbid_unknown_fields=True,
):
    """An installed agent: its draft, or the published version that `spec` means."""

    package_id: str
    stage: Literal["draft", "published"] = "published"
    spec: str | None = None
    integrity: str | None = None


class SinkBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How long the sink stays open."""

    ttl_seconds: int | None = None


class RemoteBody(msgspec.Struct, kw_only=True, rename=spell, forbid_unknown_fields=True):
    """What is executed elsewhere, and what it was launched with."""

    source: InlineSource | RegistrySource
    application_id: str
    input: dict[str, Any] | None = None
    dependency_overrides: dict[str, str] | None = None
    context_snapshot: dict[str, Any] | None = None
    sink: SinkBody | None = None


class ExtendBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How long the sink stays open from now."""

    ttl_seconds: int


@routes.add(
    "POST",
    "/api/runs/remote",
    Scope.APPLICATION,
    "agents:run",
    body=RemoteBody,
    status=201,
    refuses={
        400: "invalid_inline_manifest empty_prompt missing_skill locked_input_field",
        403: "storage_limit_exceeded",
        404: "agent_not_found agent_not_installed_in_app no_published_version",
        409: "integrity_mismatch",
        412: "missing_integration_connection",
        413: "document_count_exceeded",
        422: "dependency_unresolved",
        429: "org_run_concurrency_exceeded org_run_rate_limited",
    },
)
async def open_remote(call: Call, body: RemoteBody) -> RemoteSink:
    """Record a run that is executed elsewhere; the answer tells where it sends its events.

    It stays pending until its first event. The secret is told once.
    """
    plan = await call.at.launcher.ask(_planning(call, body))
    ttl = body.sink.ttl_seconds if body.sink else None
    return await call.at.remote_runs.ask(OpenRemote(plan=plan, ttl=ttl))


@routes.add(
    "PATCH",
    "/api/runs/{run}/sink/extend",
    Scope.APPLICATION,
    "agents:run",
    body=ExtendBody,
    limit=30,
    refuses={410: "run_sink_closed run_sink_expired"},
)
async def extend_sink(call: Call, body: ExtendBody) -> Extended:
    """Keep the event sink of a run open for longer; that is a sign of life, too."""
    return await call.at.remote_runs.ask(
        ExtendSink(caller=call.caller, run=call.run, ttl=body.ttl_seconds)
    )


def _planning(call: Call, body: RemoteBody) -> PlanRemote:
    if body.application_id != call.caller.application:
        what = "this request acts in another application than applicationId"
        raise NotFound(what, param="applicationId")
    if len(msgspec.json.encode(body.context_snapshot)) > SNAPSHOT_BYTES:
        limit = f"contextSnapshot is larger than {SNAPSHOT_BYTES} bytes"
        raise Rejected(limit, code="validation_failed", param="contextSnapshot")
    wish = Wish(
        input=body.input,
        dependencies=body.dependency_overrides or {},
        runner_name=call.header("X-Appstrate-Runner-Name", 120),
        runner_kind=call.header("X-Appstrate-Runner-Kind", 32),
    )
    source = body.source
    if isinstance(source, InlineSource):
        launch = InlineLaunch(manifest=source.manifest, prompt=source.prompt, wish=wish)
        return PlanRemote(caller=call.caller, inline=launch, context=body.context_snapshot)
    return PlanRemote(
        caller=call.caller,
        package=PackageId(source.package_id),
        version="draft" if source.stage == "draft" else source.spec or "published",
        integrity=source.integrity,
        wish=wish,
        context=body.context_snapshot,
    )
