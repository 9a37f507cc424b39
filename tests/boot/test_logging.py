"""What stands in the log, and what never does."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from appstrate.http.routes import every_route
from appstrate.logging import scrubbed
from support.api import Api, new_owner
from support.processes import ServerProcess

PROGRAM = """
import logging, sys
import structlog
from actors.runtime import Context, current_context
from appstrate.logging import configure_logging
configure_logging("info", readable=sys.argv[1] == "pretty")
log = structlog.get_logger("t")
current_context.set(Context(request_id="req_1", run="run_1", actor="sink", message="Ingest"))
log.info("hello", url="/api/x?token=SECRET&b=SECRET", parts=[{"k": "ask_" + "f" * 48}])
try:
    raise ValueError("GET https://h/p?key=SECRET failed with Bearer SECRETSECRET")
except ValueError:
    log.exception("broken", path="/invite/SECRET/accept")
logging.getLogger("aiohttp").error("cannot %s", "/api/y?token=SECRET")
"""


def told(mode: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, mode], capture_output=True, text=True, check=True
    )
    return done.stderr


@pytest.mark.parametrize("mode", ["pretty", "json"])
def test_no_line_holds_a_secret_however_it_came_there(mode: str) -> None:
    text = told(mode)

    assert "hello" in text
    assert "ValueError" in text
    assert "cannot /api/y?…" in text
    assert "SECRET" not in text
    assert "ffff" not in text


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_log_that_takes_no_more_ends_nobody() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", f"{PROGRAM}\nprint('went on')", "json"],
            stdout=subprocess.PIPE,
            stderr=full,
            text=True,
            check=False,
        )

    assert done.stdout == "went on\n"


def test_lines_tell_the_request_the_run_and_the_actor() -> None:
    line: dict[str, Any] = json.loads(told("json").splitlines()[0])

    assert {name: line[name] for name in ("request_id", "run", "actor", "message")} == {
        "request_id": "req_1",
        "run": "run_1",
        "actor": "sink",
        "message": "Ingest",
    }


@pytest.mark.parametrize(
    "text", ["GET /api/agents 200", "what is it? a question", "12 of 30 runs", "see /docs"]
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert scrubbed(text) == text


def test_a_line_of_slashes_comes_to_an_end() -> None:
    """Anybody may ask for such a path, and everybody waits while it is written down."""
    program = "from appstrate.logging import scrubbed; scrubbed('/' * 200_000 + ' /a?b')"

    subprocess.run([sys.executable, "-c", program], timeout=30, check=True)


async def test_the_log_tells_of_sign_ins_and_never_of_tokens(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data", LOG_LEVEL="debug")
    await server.start()
    try:
        owner = await new_owner(server.url)
        key = (await owner.with_key()).headers["Authorization"].removeprefix("Bearer ")
        guest = Api(server.url)
        await guest.get(f"/api/realtime/runs/run_none?token={key}")
        await guest.get("/api/nothing?token=swordfish")
        for route in every_route():
            path = re.sub(r"\{\w+[^/]*\}", "none", route.path)
            await guest.request(route.method, f"{path}?token=swordfish&t=swordfish")
        await guest.get("/invite/swordfish/info")
        await guest.get("/api/agents", headers={"Authorization": "Bearer swordfish"})
        body = {"email": owner.email, "password": "swordfish"}
        assert (await guest.post("/api/auth/sign-in/email", body)).status == 401
    finally:
        await server.stop()

    lines = server.log()
    assert "/api/realtime/runs/run_none" in lines
    assert '"run": "run_none"' in lines
    assert '"path": "/claim"' in lines
    signed = [json.loads(line) for line in lines.splitlines() if '"accounts"' in line]
    told = [each for each in signed if each["event"] in ("signed in", "sign-in refused")]
    assert [each["event"] for each in told] == ["signed in", "sign-in refused"]
    assert len({(each["user"], each["ip"]) for each in told}) == 1
    assert "swordfish" not in lines
    assert key not in lines
