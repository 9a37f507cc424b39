"""Sandboxes for tests: what this host allows, and programs that live in one."""

import os
import sys
from pathlib import Path

import pytest

import appstrate
from adapters.local.executor import LIBRARIES
from adapters.local.settings import LocalExecutorSettings
from adapters.local.trial import Found, find_sandbox
from appstrate.tiers import AGENT_PROGRAM

PARTS = (Path(appstrate.__file__), AGENT_PROGRAM.parent)
REQUIRED = os.environ.get("APPSTRATE_TEST_SERVICES") == "required"

# A program that hardens itself like an agent, then does what it is told.
PROGRAM = f"""
import json, os, sys, time
sys.path.insert(0, {str(Path(appstrate.__file__).parent.parent)!r})
from appstrate.agent.hardening import harden
walls = harden()
if "trial" in walls:
    print(json.dumps(walls))
    sys.exit()
os.chdir(os.environ["WORKSPACE_DIR"])
told = json.loads(sys.stdin.buffer.readline() or b"{{}}")
exec(told.get("CODE", ""))
"""


def found_on_this_host(root: Path, program: Path, mode: str = "auto") -> Found:
    """What the host allows for runs below `root`, which holds everything else to be hidden."""
    settings = LocalExecutorSettings(
        root=root / "runs",
        sandbox=mode,  # type: ignore[arg-type]
        hidden=(root,),
    )
    settings.root.mkdir(parents=True, exist_ok=True)
    return find_sandbox(settings, program, LIBRARIES, (*PARTS, program))


def need(found: Found, name: str) -> None:
    """Skip a test for want of a wall, or fail it where every wall is expected."""
    [wall] = [wall for wall in found.walls if wall.name == name]
    if wall.up:
        return
    why = f"no wall around {name}: {wall.how}"
    if REQUIRED and sys.platform == "linux" and (name != "user" or os.geteuid() == 0):
        pytest.fail(why)
    pytest.skip(why)
