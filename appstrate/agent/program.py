"""An agent's life: assignment, workspace, loop, report, exit."""

import asyncio
import json
import os
import signal
import stat
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from appstrate.agent.documents import Documents
from appstrate.agent.hardening import kill_descendants
from appstrate.agent.loop import Ending, Loop
from appstrate.agent.models.turn import Tool
from appstrate.agent.report import metric
from appstrate.agent.settings import AssignmentError, Settings, read_settings
from appstrate.agent.sink import Sink, SinkError
from appstrate.agent.toolbox import Toolbox
from appstrate.agent.tools.files import file_tools
from appstrate.agent.tools.memory import Memory, note_tool, pin_tool
from appstrate.agent.tools.past import past_tools
from appstrate.agent.tools.publish import publish_tool
from appstrate.agent.tools.runtime import Output, log_tool
from appstrate.agent.tools.search import search_tools
from appstrate.agent.tools.shell import shell_tool
from appstrate.agent.workspace import BundleError, unpack_skills

SECRETS = ("APPSTRATE_SINK_URL", "APPSTRATE_SINK_FINALIZE_URL", "APPSTRATE_SINK_SECRET")
# What the programs of a run find their way to the internet by.
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
PRINTED = 1
HERE = ("output", "log", "note", "pin", "publish_document")


def run_assignment() -> None:
    """Wait for an assignment, carry it out, and leave. Never returns."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    variables = _variables()
    began = time.monotonic()
    try:
        settings = read_settings(variables)
    except AssignmentError as error:
        _fatal(str(error))
    for name in (*SECRETS, "MODEL_API_KEY"):
        os.environ.pop(name, None)
    os.environ.update({name: variables[name] for name in PROXIES if name in variables})
    asyncio.run(_live(settings, began))


async def _live(settings: Settings, began: float) -> NoReturn:
    _end_with_server()
    code = await _carry_out(settings, began)
    kill_descendants()
    # Nothing is left to be cleaned up that the end of the process does not clean up sooner, and
    # nothing that still runs here is worth waiting for.
    os._exit(code)


def _end_with_server() -> None:
    """End when nobody reads any more what this process prints, for then the server is gone.

    The kernel tells the end of a parent only to who had asked for it before, and walls stand
    between the two.
    """
    if stat.S_ISFIFO(os.fstat(PRINTED).st_mode):
        asyncio.get_running_loop().add_reader(PRINTED, _stop, 0, None)


def _variables() -> dict[str, str]:
    variables = dict(os.environ)
    if "AGENT_RUN_ID" not in variables:
        line = sys.stdin.buffer.readline()
        if not line.strip():
            os._exit(0)  # the slot was dropped before it was given a run
        variables |= json.loads(line)
    return variables


async def _carry_out(settings: Settings, began: float) -> int:
    workspace = Path(settings.workspace)
    os.chdir(workspace)
    sink = Sink(settings)
    sink.progress(f"runtime starting ({_since(began)}ms cold start)", {"boot": True})
    if settings.skills or settings.documents:
        sink.start()
    documents = Documents(settings, sink, workspace)
    problem = await _prepare(settings, sink, documents, workspace)
    memory = Memory()
    if problem is not None:
        sink.start()
        sink.emit("appstrate.error", {"message": problem})
        report: dict[str, Any] = {"status": "failed", "error": {"message": problem}}
    else:
        took = _since(began)
        ready = {"boot": True, "bundleLoaded": settings.skills > 0, "bootDurationMs": took}
        sink.progress(f"runtime ready in {took}ms", ready)
        report = await _run_loop(settings, sink, workspace, memory, documents)
        report |= await _sweep(sink, documents)
    report |= {"memories": memory.notes, "pinned": memory.pinned, "logs": []}
    report["durationMs"] = _since(began)
    try:
        await sink.finalize(report)
    except SinkError as error:
        _tell(str(error))
        return 1
    return 0 if problem is None else 1


async def _prepare(
    settings: Settings, sink: Sink, documents: Documents, workspace: Path
) -> str | None:
    """Set the workspace up; a sentence when that is impossible."""
    try:
        git = workspace / ".git"
        git.mkdir(exist_ok=True)
        (git / "HEAD").write_text("ref: refs/heads/main\n")
        if settings.documents and (files := await documents.fetch()):
            sink.progress("documents fetched", {"boot": True, "documents": files})
        if not settings.skills:
            return None
        response, bundle = await sink.get("/workspace")
        if response.status != 200:
            return f"the run's bundle was refused: {response.status} {bundle[:300]!r}"
        names = await asyncio.to_thread(unpack_skills, bundle, workspace)
    except (SinkError, BundleError) as error:
        return str(error)
    except OSError as error:
        return f"the run's workspace cannot be set up: {error.strerror}"
    sink.progress("bundle loaded", {"boot": True, "skills": names})
    return None


async def _sweep(sink: Sink, documents: Documents) -> dict[str, Any]:
    """Publish what the run has left; it never fails a run."""
    try:
        artifacts = await documents.sweep()
    except Exception as error:  # noqa: BLE001 - whatever a workspace has in store
        sink.progress(f"the outputs were not published: {error}", level="warn")
        return {}
    return {} if artifacts is None else {"artifacts": artifacts}


async def _run_loop(
    settings: Settings, sink: Sink, workspace: Path, memory: Memory, documents: Documents
) -> dict[str, Any]:
    loop = Loop(settings, sink, _toolbox(settings, sink, workspace, memory, documents))
    working = asyncio.ensure_future(loop.run())
    # After the loop's own task: the model is asked before anything is told.
    sink.start()
    closing = asyncio.ensure_future(sink.closed.wait())
    await asyncio.wait(
        (working, closing), timeout=settings.timeout, return_when=asyncio.FIRST_COMPLETED
    )
    closing.cancel()
    if working.done():
        return _report(working, loop, settings, sink)
    asking = loop.asking
    working.cancel()
    await asyncio.wait((working,), timeout=1)
    if sink.closed.is_set():
        kill_descendants()
        if sink.lost is None:
            os._exit(0)  # the platform has ended the run: there is nobody to report to
        _tell(sink.lost)
        os._exit(1)
    if asking:
        told = f"time is up; {loop.model_name} was asked {time.monotonic() - asking:.0f} s ago"
        sink.progress(told, {"event": "timeout_while_asking"}, "warn")
    message = f"Run timed out after {settings.timeout:g}s"
    error = {"code": "timeout", "message": message}
    return {"status": "timeout", "error": error, "output": loop.output} | metric(
        loop.tokens, settings.model_cost
    )


def _toolbox(
    settings: Settings, sink: Sink, workspace: Path, memory: Memory, documents: Documents
) -> Toolbox:
    chosen = settings.runtime_tools
    for name in chosen:
        if name not in HERE:
            sink.progress(f"the runtime tool {name} is not available here", level="warn")
    tools: list[Tool] = [
        *file_tools(workspace, sees="image" in settings.model_input),
        shell_tool(workspace),
        *search_tools(workspace),
        *past_tools(settings, sink),
    ]
    if "log" in chosen:
        tools.append(log_tool(sink))
    if "note" in chosen:
        tools.append(note_tool(sink, memory))
    if "pin" in chosen:
        tools.append(pin_tool(sink, memory))
    if "publish_document" in chosen:
        tools.append(publish_tool(documents, workspace))
    output = Output(settings.output_schema, sink) if "output" in chosen else None
    return Toolbox(tools, output, sink, settings.tool_result_limit)


def _report(
    working: asyncio.Future[Ending], loop: Loop, settings: Settings, sink: Sink
) -> dict[str, Any]:
    totals = metric(loop.tokens, settings.model_cost)
    if (crash := working.exception()) is not None:
        message = f"The agent failed: {type(crash).__name__}: {crash}"
        _tell(message)
        sink.emit("appstrate.error", {"message": message})
        return {"error": {"message": message}, "output": loop.output} | totals
    ending = working.result()
    if ending.error is not None:
        error = {"code": "adapter_error", "message": ending.error}
        return {"status": "failed", "error": error, "output": ending.output} | totals
    return {"status": "success", "output": ending.output} | totals


def _since(began: float) -> int:
    return int((time.monotonic() - began) * 1000)


def _stop(_number: int, _frame: object) -> None:
    """The server is stopping the run, or is gone: leave nothing behind, report nothing."""
    kill_descendants()
    os._exit(1)


def _tell(message: str) -> None:
    told = {
        "level": "error",
        "time": datetime.now(UTC).isoformat(),
        "component": "agent",
        "msg": message,
    }
    print(json.dumps(told), file=sys.stderr, flush=True)


def _fatal(message: str) -> NoReturn:
    _tell(f"the assignment cannot be used: {message}")
    os._exit(1)
