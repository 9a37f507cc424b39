"""The files of a run, for the run itself: what it reads, and what it publishes."""

import msgspec
from aiohttp import web

from actors.files import (
    UNKNOWN_MIME,
    ListInputs,
    OpenInput,
    PublishedDocument,
    PublishOutput,
    decode_name,
    read_mime,
)
from actors.runs import VerifyRun
from actors.runtime import Rejected
from appstrate.http.call import Call, Media, Routes, Scope
from appstrate.http.codec import json_response
from appstrate.http.files import blob_response, raw_body
from appstrate.http.refusals import OF_RUNS
from appstrate.http.routes.sink import signed_request

routes = Routes()

DOCUMENTS = "/api/runs/{run}/documents"


class RunDocument(msgspec.Struct, kw_only=True):
    """A file of a run's input: what it is called, what the run calls it, its size in bytes."""

    name: str
    workspace_name: str
    size: int


class RunDocuments(msgspec.Struct, kw_only=True):
    """The files of a run's input, in its order."""

    documents: list[RunDocument]


@routes.add(
    "GET",
    DOCUMENTS,
    Scope.PUBLIC,
    of_runs=True,
    refuses=OF_RUNS,
)
async def list_run_documents(call: Call) -> RunDocuments:
    """The files a run reads. Signed by the run."""
    known = await call.at.run_sink.ask(VerifyRun(signed=await signed_request(call)))
    files = await call.at.run_files.ask(ListInputs(run=known.run))
    told = [RunDocument(name=f.name, workspace_name=f.workspace_name, size=f.size) for f in files]
    return RunDocuments(documents=told)


@routes.add(
    "GET",
    f"{DOCUMENTS}/{{file}}",
    Scope.PUBLIC,
    answer=Media("*/*"),
    of_runs=True,
    refuses=OF_RUNS,
)
async def read_run_document(call: Call) -> web.StreamResponse:
    """One of them, by its name in the workspace. Signed by the run."""
    known = await call.at.run_sink.ask(VerifyRun(signed=await signed_request(call)))
    opening = OpenInput(run=known.run, name=call.request.match_info["file"])
    blob = await call.at.run_files.ask(opening)
    return await blob_response(call.request, blob, {"Content-Type": UNKNOWN_MIME})


@routes.add(
    "POST",
    DOCUMENTS,
    Scope.PUBLIC,
    takes=Media(UNKNOWN_MIME),
    answer=Media("application/json", PublishedDocument),
    status=201,
    also=(200,),
    of_runs=True,
    refuses={
        **OF_RUNS,
        403: "storage_limit_exceeded",
        409: "message_replayed run_not_running",
        413: "document_count_exceeded",
        503: "disk_full",
    },
)
async def publish_document(call: Call) -> web.Response:
    """Keep a file the run has made; 200 when it has published the same before.

    Signed by the run over an empty body, each message id once. `X-Document-Name` is
    percent-encoded; `X-Document-Presentation` may be `primary`.
    """
    signed = await signed_request(call, with_body=False)
    known = await call.at.run_sink.ask(VerifyRun(signed=signed))
    headers = call.request.headers
    presentation = headers.get("X-Document-Presentation", "")
    if presentation not in ("", "primary"):
        told = "X-Document-Presentation must be primary"
        raise Rejected(told, param="X-Document-Presentation")
    publishing = PublishOutput(
        run=known.run,
        org=known.org,
        application=known.application,
        package=known.package,
        message_id=signed.message_id,
        name=decode_name(headers.get("X-Document-Name", ""), "X-Document-Name"),
        mime=read_mime(headers.get("Content-Type", "")) or UNKNOWN_MIME,
        primary=presentation == "primary",
        body=raw_body(call),
        size=call.request.content_length,
    )
    made = await call.at.run_files.ask(publishing)
    return json_response(made.document, 201 if made.new else 200)
