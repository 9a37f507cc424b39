import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from actors.packages.bundle import write_bundle
from adapters.local.executor import LIBRARIES
from appstrate.agent.program import _prepare
from appstrate.agent.report import shorten
from appstrate.agent.settings import AssignmentError, read_settings
from appstrate.agent.sink import Sink
from appstrate.agent.workspace import BundleError, unpack_skills
from appstrate.tiers import AGENT_PROGRAM
from support.assignments import assignment
from support.packages import SKILL, agent_manifest, skill_manifest
from support.waiting import alive

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
    told = asyncio.run(_prepare(settings, Sink(settings), tmp_path))

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
