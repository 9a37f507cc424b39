"""Every route is sent what nobody would think of, by schemathesis, from the API document.

Nothing may break (5xx), and no answer may have a status, a content type or a shape that the
document does not tell. Paths name things that exist, so that requests reach what is behind them.
"""

import asyncio
import sys
from pathlib import Path

import pytest

from appstrate.boot import Server
from support.api import Api, Json, new_owner
from support.fake_model import FakeModel
from support.foreign import IN_PATH, Things, new_things

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "unsupported_method",
)
# A stream has no end, and who signs out is not heard any more.
LEFT_OUT = "^/api/(realtime/|auth/sign-out$)"
OPTIONS = (
    *("--seed", "1", "--no-color", "--no-shrink", "--continue-on-failure"),
    *("--suppress-health-check", "all", "--generation-database", "none"),
    *("--request-timeout", "30", "--warnings", "off", "--checks", ",".join(CHECKS)),
    *("--exclude-path-regex", LEFT_OUT),
)


# What it learns from answers are real ids: it would soon delete the organization it asks about.
ALONE = """
[phases.coverage.extra-data-sources]
responses = false
[phases.fuzzing.extra-data-sources]
responses = false
"""


def configuration(document: Json, things: Things) -> str:
    """What stands for the variables of each path; what is deleted is made up, and not there."""
    parts = [ALONE]
    for path, by_method in document["paths"].items():
        for method, operation in by_method.items():
            names = [each["name"] for each in operation["parameters"] if each.get("in") == "path"]
            if not names or method == "delete":
                continue
            parts.append(f'[[operations]]\ninclude-name = "{method.upper()} {path}"')
            parts.append("[operations.parameters]")
            parts += [f'"path.{name}" = "{IN_PATH[name](things, path)}"' for name in names]
    return "\n".join(parts)


async def run(folder: Path, url: str, headers: dict[str, str], *options: str) -> str:
    """The report of a run; empty when nothing was found."""
    named = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml"),
        *("run", f"{url}/api/openapi.json", *OPTIONS, *options, *named),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await program.communicate()
    return "" if program.returncode == 0 else output.decode()


def credentials_of(owner: Api) -> dict[str, str]:
    cookies = "; ".join(f"{cookie.key}={cookie.value}" for cookie in owner.jar)
    return {"Cookie": cookies} | owner.headers


@pytest.fixture
async def things(server: Server, fake: FakeModel, tmp_path: Path) -> Things:
    found = await new_things(await new_owner(server.url), fake)
    document = (await found.owner.get("/api/openapi.json")).json
    (tmp_path / "schemathesis.toml").write_text(configuration(document, found))
    return found


async def test_nothing_a_session_sends_is_answered_otherwise_than_told(
    things: Things, server: Server, tmp_path: Path
) -> None:
    options = ("--phases", "coverage")
    report = await run(tmp_path, server.url, credentials_of(things.owner), *options)

    assert not report, report
    assert (await things.owner.get(f"/api/orgs/{things.owner.org['id']}")).status == 200
    assert (await things.owner.get(f"/api/runs/{things.run}")).status == 200


async def test_nothing_a_key_sends_is_answered_otherwise_than_told(
    things: Things, server: Server, tmp_path: Path
) -> None:
    key = await things.owner.with_key()
    options = ("--phases", "fuzzing", "--max-examples", "3")
    report = await run(tmp_path, server.url, key.headers, *options)

    assert not report, report
