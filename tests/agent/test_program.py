import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from actors.packages.bundle import write_bundle
from adapters.local.executor import LIBRARIES
from appstrate.agent.__main__ import brings_digests
from appstrate.agent.documents import Documents
from appstrate.agent.program import _prepare
from appstrate.agent.report import shorten
from appstrate.agent.settings import AssignmentError, read_settings
from appstrate.agent.sink import Sink
from appstrate.agent.workspace import BundleError, unpack_skills
from appstrate.tiers import AGENT_PROGRAM
from support.assignments import assignment
from support.packages import SKILL, agent_manifest, skill_manifest
from support.waiting import alive, eventually

COMMAND = [sys.executable, "-I", "-S", str(AGENT_PROGRAM), *LIBRARIES]


def start(workspace: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "WORKSPACE_DIR": str(workspace)},
    )


def test_every_problem_of_an_assignment_is_told_at_once() -> None:
    wrong = assignment(
        MODEL_API="telepathy",
        MODEL_BASE_URL="ftp://x",
        AGENT_INPUT="[]",
        AGENT_TIMEOUT_SECONDS="soon",
        APPSTRATE_SINK_SECRET="short",
        AGENT_PROMPT="",
    )
    with pytest.raises(AssignmentError) as caught:
        read_settings(wrong)

    for name in wrong.keys() & {
        *("MODEL_API", "MODEL_BASE_URL", "AGENT_INPUT", "AGENT_TIMEOUT_SECONDS"),
        *("APPSTRATE_SINK_SECRET", "AGENT_PROMPT"),
    }:
        assert name in str(caught.value)


def test_a_bad_assignment_ends_the_program_with_a_sentence(tmp_path: Path) -> None:
    process = start(tmp_path)
    _, said = process.communicate(json.dumps(assignment(MODEL_API="odd")).encode() + b"\n", 20)

    assert process.returncode == 1
    assert "MODEL_API" in json.loads(said)["msg"]


def test_a_workspace_that_cannot_be_set_up_is_told(tmp_path: Path) -> None:
    (tmp_path / ".git").write_text("in the way")
    settings = read_settings(assignment(WORKSPACE_DIR=str(tmp_path)))
    sink = Sink(settings)
    told = asyncio.run(_prepare(settings, sink, Documents(settings, sink, tmp_path), tmp_path))

    assert told is not None
    assert "workspace cannot be set up: File exists" in told


def test_a_slot_that_is_dropped_ends_quietly(tmp_path: Path) -> None:
    process = start(tmp_path)
    said, errors = process.communicate(b"", 20)

    assert (process.returncode, said, errors) == (0, b"", b"")


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_a_waiting_program_ends_with_its_parent() -> None:
    code = (
        "import subprocess, time\n"
        f"agent = subprocess.Popen({COMMAND!r}, stdin=subprocess.PIPE)\n"
        "time.sleep(0.5); print(agent.pid, flush=True); time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    agent = int(parent.stdout.readline())
    os.kill(parent.pid, signal.SIGKILL)
    parent.stdout.close()
    parent.wait()
    deadline = time.monotonic() + 10
    while alive(agent):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_program_ends_when_nobody_reads_it_any_more(tmp_path: Path) -> None:
    """Though its parent lives: it would try for minutes to reach a server that is gone."""
    task = json.dumps(assignment(WORKSPACE_DIR=str(tmp_path))).encode() + b"\n"
    with start(tmp_path) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        program.stdout.close()
        program.stdin.write(task)
        program.stdin.close()

        assert program.wait(20) == 1


def test_the_program_imports_nothing_of_the_server() -> None:
    root = str(AGENT_PROGRAM.parent.parent.parent)
    code = (
        f"import sys; sys.path[:0] = [{root!r}, *{LIBRARIES!r}]\n"
        "import appstrate.agent.program\n"
        "print('\\n'.join(sys.modules))"
    )
    found = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    packages = {name.partition(".")[0] for name in found}

    assert "h11" in packages
    assert not packages & {
        *("aiohttp", "msgspec", "structlog", "asyncpg", "pykka", "actors", "adapters"),
        *("jsonschema_rs", "multidict", "yarl"),
    }


def test_a_waiting_program_has_imported_all_it_needs_and_no_more() -> None:
    root = str(AGENT_PROGRAM.parent.parent.parent)
    code = (
        f"import sys; sys.path.insert(0, {root!r}); sys.argv[1:] = {LIBRARIES!r}\n"
        "from appstrate.agent.__main__ import prepare; prepare()\n"
        "import appstrate.agent.hardening, appstrate.agent.program\n"
        "print('\\n'.join(sys.modules))"
    )
    found = set(
        subprocess.run(
            [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
    )

    assert {"appstrate.agent.loop", "appstrate.agent.tools.search", "zipfile", "h11"} <= found
    assert not found & {"ssl", "_ssl", "uuid", "email", "http.client", "tempfile"}
    assert not brings_digests() or "_hashlib" not in found


def test_skills_are_unpacked_where_the_prompt_says(tmp_path: Path) -> None:
    files = {
        "manifest.json": json.dumps(skill_manifest()).encode(),
        "SKILL.md": SKILL.encode(),
        "scripts/run.sh": b"echo hi",
    }
    root = {"manifest.json": json.dumps(agent_manifest()).encode(), "prompt.md": b"x"}
    bundle = write_bundle(
        "@acme/report@1.0.0", {"@acme/report@1.0.0": root, "@acme/tone@1.0.0": files}
    )

    assert unpack_skills(bundle, tmp_path) == ["@acme/tone"]
    folder = tmp_path / ".pi/skills/@acme/tone"
    assert (folder / "SKILL.md").read_text() == SKILL
    assert (folder / "scripts/run.sh").exists()
    assert not (folder / "RECORD").exists()
    assert not (tmp_path / ".pi/skills/@acme/report").exists()


def test_a_bundle_that_would_leave_its_place_is_refused(tmp_path: Path) -> None:
    files = {"manifest.json": json.dumps(skill_manifest()).encode(), "../../evil": b"x"}
    bundle = write_bundle("@acme/report@1.0.0", {"@acme/tone@1.0.0": files})

    with pytest.raises(BundleError, match="unsafe path"):
        unpack_skills(bundle, tmp_path)
    with pytest.raises(BundleError):
        unpack_skills(b"no zip", tmp_path)


def test_long_things_are_shortened_for_the_log() -> None:
    assert shorten("ü" * 10, 5) == "üü…(truncated, 20 bytes)"
    assert shorten({"a": 1}, 100) == {"a": 1}
    cut = shorten({"a": "x" * 100}, 50)
    assert (cut["__truncated"], cut["bytes"], len(cut["preview"])) == (True, 109, 50)


@dataclass
class Platform:
    """What it was asked, and the calls its model makes in its first answer."""

    url: str = ""
    asked: list[str] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    calls: dict[str, Any] = field(
        default_factory=lambda: {"bash": {"command": "echo bash; sleep 600"}}
    )


@pytest.fixture
async def platform() -> AsyncIterator["Platform"]:
    """A platform and a model in one, with what they were asked, in order."""
    platform = Platform()

    async def take(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        platform.bodies.append(body)
        kind = body.get("status") or body.get("type") or ""
        platform.asked.append(f"{request.path} {kind}".strip())
        if not request.path.endswith("/chat/completions"):
            return web.json_response({"ok": True})
        delta: Any = {"content": "Done."}
        if len(body["messages"]) == 2:
            calls = [{"name": n, "arguments": json.dumps(a)} for n, a in platform.calls.items()]
            delta = {"tool_calls": [{"id": f["name"], "function": f} for f in calls]}
        event = {"choices": [{"delta": delta, "finish_reason": "stop"}]}
        return web.Response(
            body=b"data: " + json.dumps(event).encode() + b"\n\n", content_type="text/event-stream"
        )

    application = web.Application()
    application.router.add_post("/{tail:.*}", take)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    platform.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield platform
    await runner.cleanup()


def assigned(url: str, **variables: str) -> bytes:
    sink = f"{url}/events"
    told = assignment(
        MODEL_BASE_URL=f"{url}/v1",
        APPSTRATE_SINK_URL=sink,
        APPSTRATE_SINK_FINALIZE_URL=sink + "/end",
    )
    return json.dumps(told | variables).encode() + b"\n"


async def test_the_model_is_asked_before_anything_is_told(
    platform: Platform, tmp_path: Path
) -> None:
    process = start(tmp_path)
    line = assigned(platform.url, AGENT_TIMEOUT_SECONDS="1")
    _, errors = await asyncio.to_thread(process.communicate, line, 30)

    assert (process.returncode, errors) == (0, b"")
    assert platform.asked[0] == "/v1/chat/completions"
    assert platform.asked[1] == "/events appstrate.progress"
    assert platform.asked[-1] == "/events/end timeout"


async def test_what_is_to_be_kept_comes_with_the_report(platform: Platform, tmp_path: Path) -> None:
    platform.calls = {
        "note": {"content": "Ada likes tea"},
        "pin": {"key": "checkpoint", "content": [1], "scope": "shared"},
    }
    process = start(tmp_path)
    line = assigned(platform.url, RUNTIME_TOOLS_JSON='["note", "pin", "telepathy"]')
    await asyncio.to_thread(process.communicate, line, 30)
    report = platform.bodies[-1]

    assert process.returncode == 0
    assert report["status"] == "success"
    assert report["memories"] == [{"content": "Ada likes tea", "scope": "actor"}]
    assert report["pinned"] == {"checkpoint": {"content": [1], "scope": "shared"}}
    assert {"/events memory.added", "/events pinned.set"} <= set(platform.asked)
    told = [body.get("data", {}).get("message") for body in platform.bodies]
    assert "the runtime tool telepathy is not available here" in told
    sequences = [b["sequence"] for b in platform.bodies if "sequence" in b]
    assert sequences == list(range(1, len(sequences) + 1))


async def test_a_run_that_cannot_begin_says_so_and_ends_with_1(
    platform: Platform, tmp_path: Path
) -> None:
    (tmp_path / ".git").write_text("in the way")
    process = start(tmp_path)
    await asyncio.to_thread(process.communicate, assigned(platform.url), 30)

    assert process.returncode == 1
    assert platform.asked[-2:] == ["/events appstrate.error", "/events/end failed"]


async def test_a_program_that_is_told_to_stop_reports_nothing_and_leaves_nothing(
    platform: Platform, tmp_path: Path
) -> None:
    process = start(tmp_path)
    assert process.stdin is not None
    process.stdin.write(assigned(platform.url))
    process.stdin.flush()
    await eventually(lambda: any("progress" in line for line in platform.asked))
    await eventually(lambda: _children(process.pid))
    children = _children(process.pid)
    process.terminate()
    await asyncio.to_thread(process.communicate, None, 30)

    assert process.returncode == 1
    assert not any("/events/end" in line for line in platform.asked)
    assert not any(alive(pid) for pid in children)


def _children(pid: int) -> list[int]:
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
