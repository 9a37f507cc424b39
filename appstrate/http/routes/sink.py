"""The runs' own routes: signed by the run, not by a user."""

from typing import Literal

import msgspec
from aiohttp import web

from actors.packages import OpenRunBundle
from actors.runs import (
    FinalizeRun,
    Heartbeat,
    IngestEvent,
    IngestReply,
    ReadDefinition,
    RunEvent,
    SignedRequest,
)
from appstrate.http.call import Call, Media, Routes, Scope
from appstrate.http.client import client_key
from appstrate.http.files import blob_response
from appstrate.http.refusals import OF_RUNS

routes = Routes()


class Accepted(msgspec.Struct, kw_only=True):
    """It was taken."""

    ok: Literal[True] = True


@routes.add(
    "POST",
    "/api/runs/{run}/events",
    Scope.PUBLIC,
    takes=Media("application/json", RunEvent),
    of_runs=True,
    refuses=OF_RUNS,
)
async def ingest_event(call: Call) -> IngestReply:
    """Take one event."""
    return await call.at.run_sink.ask(IngestEvent(signed=await signed_request(call)))


@routes.add(
    "POST",
    "/api/runs/{run}/events/finalize",
    Scope.PUBLIC,
    takes=Media("application/json"),
    of_runs=True,
    refuses=OF_RUNS,
)
async def finalize(call: Call) -> Accepted:
    """Take a run's report of its end."""
    await call.at.run_sink.ask(FinalizeRun(signed=await signed_request(call)))
    return Accepted()


@routes.add(
    "POST",
    "/api/runs/{run}/events/heartbeat",
    Scope.PUBLIC,
    of_runs=True,
    refuses=OF_RUNS,
)
async def heartbeat(call: Call) -> Accepted:
    """Take a sign of life."""
    await call.at.run_sink.ask(Heartbeat(signed=await signed_request(call)))
    return Accepted()


@routes.add(
    "GET",
    "/api/runs/{run}/workspace",
    Scope.PUBLIC,
    answer=Media("application/zip"),
    of_runs=True,
    refuses={**OF_RUNS, 500: "bundle_integrity_mismatch"},
)
async def workspace(call: Call) -> web.StreamResponse:
    """The bundle of the run's agent and its skills."""
    signed = await signed_request(call)
    agent = await call.at.run_sink.ask(ReadDefinition(signed=signed))
    blob = await call.at.artifacts.ask(
        OpenRunBundle(manifest=agent.manifest, prompt=agent.prompt, parts=agent.parts)
    )
    return await blob_response(call.request, blob, {"Content-Type": "application/zip"})


async def signed_request(call: Call, *, with_body: bool = True) -> SignedRequest:
    """What a run says of itself; a body that is a file is not signed."""
    headers = call.request.headers
    return SignedRequest(
        run=call.run,
        message_id=call.header("webhook-id", 255) or "",
        timestamp=headers.get("webhook-timestamp", ""),
        signature=headers.get("webhook-signature", ""),
        body=await call.body() if with_body else b"",
        address=client_key(call.request),
    )
