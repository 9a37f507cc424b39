"""The command line as somebody types it."""

import asyncio
import io
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from rich.console import Console

from appstrate.cli.access import write_private
from appstrate.cli.follow import print_line, print_result
from appstrate.cli.output import plain
from appstrate.cli.why import print_why
from support.api import PASSWORD, Api, new_owner
from support.fake_model import Say, fake_model
from support.packages import agent_archive, agent_manifest
from support.shell import Shell


def test_demo_starts_a_server_runs_an_agent_and_leaves_both(
    shell: Shell, demo: subprocess.CompletedProcess[str]
) -> None:
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "Started a server at http://127.0.0.1:" in demo.stdout
    assert "→ read" in demo.stdout
    assert "[demo model: scripted, no AI]" in demo.stdout
    assert "success" in demo.stdout
    assert "A schedule fired at" in demo.stdout
    result = demo.stdout[demo.stdout.index("\n{") : demo.stdout.index("\n}\n") + 2]
    assert json.loads(result)["words"] == 22
    kept = shell.folder / "data" / "cli.json"
    assert kept.stat().st_mode & 0o777 == 0o600

    again = shell("demo")
    assert again.returncode == 0
    assert "Found a server" in again.stdout


def test_the_demo_leaves_the_platform_to_whoever_claims_it(
    shell: Shell, demo: subprocess.CompletedProcess[str], tmp_path: Path
) -> None:
    assert re.search(
        r"open http://127.0.0.1:\d+/claim\?token=[\w-]{43}$", demo.stderr, re.MULTILINE
    )
    config = {"XDG_CONFIG_HOME": str(tmp_path)}
    who = ("--name", "Ada", "--email", "ada@example.com", "--password", PASSWORD)
    wrong = shell("claim", *who, "--token", "x" * 22, **config)
    claimed = shell("claim", *who, **config)
    again = shell("claim", *who, **config)

    assert (wrong.returncode, "this claim token is not valid" in wrong.stderr) == (1, True)
    assert claimed.returncode == 0, claimed.stderr
    assert "is yours: signed in as ada@example.com" in claimed.stdout
    run = shell("run", "@default/hello-world", "--version", "draft", "--model", "demo", **config)
    assert run.returncode == 0, run.stderr
    assert (again.returncode, "there is nothing to claim here" in again.stderr) == (1, True)
    assert "Nobody owns this platform" not in shell("demo").stderr


@pytest.mark.usefixtures("demo")
def test_an_agent_is_run_and_watched(shell: Shell) -> None:
    run = shell("run", "@appstrate/hello-world", "--model", "demo", "-i", "name=Ada")
    assert run.returncode == 0, run.stderr
    assert '"greeting": "Hello, Ada!"' in run.stdout
    assert "● Greeting Ada" in run.stdout

    for_programs = shell("run", "@appstrate/hello-world", "--json", "-i", '{"name": "Bob"}')
    document = json.loads(for_programs.stdout)
    assert document["result"]["output"]["greeting"] == "Hello, Bob!"
    logs = shell("logs", document["id"])
    assert "Greeting Bob" in logs.stdout
    followed = shell("logs", "-f", document["id"], "-v")
    assert "success" in followed.stdout
    lines = [
        json.loads(line)
        for line in shell("logs", document["id"], "--json").stdout.split("\n")
        if line
    ]
    assert lines[-1]["event"] == "run_completed"


@pytest.mark.usefixtures("demo")
def test_a_package_is_imported_and_run(shell: Shell) -> None:
    archive = shell.folder / "mine.afps"
    archive.write_bytes(agent_archive(agent_manifest("@mine/report")))
    imported = shell("packages", "import", str(archive))
    assert "Imported @mine/report 1.0.0 (agent)" in imported.stdout

    archive.write_bytes(b"no archive")
    refused = shell("packages", "import", str(archive))
    assert refused.returncode == 1
    assert "not a ZIP archive" in refused.stderr


@pytest.mark.usefixtures("demo")
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["run", "@no/body"], 1, "there is no agent @no/body"),
        (["run", "hello-world"], 2, "write it as @scope/name"),
        (["run", "@a/b", "--file", "notes"], 2, "write name=path"),
        (["agents", "--url", "nowhere"], 1, "nowhere is no address of a server"),
        (["runs", "--json", "list"], 2, "write --json and --url after `list`"),
        (["run", "@appstrate/hello-world", "--version", "9.9.9"], 1, "no published version"),
        (["run", "@appstrate/hello-world", "-i", "name"], 2, "write name=value"),
        (["run", "@appstrate/hello-world", "-i", "@missing.json"], 2, "missing.json"),
        (["run", "@appstrate/hello-world", "-i", "{"], 2, "--input {"),
        (["run", "@appstrate/meeting-notes"], 1, "input.notes is required"),
        (["logs", "run_0"], 1, "there is no such run"),
        (["run", "@a/b", "--url", "http://127.0.0.1:9"], 1, "no API key for http://127.0.0.1:9"),
        (["nonsense"], 2, "No such command"),
    ],
)
def test_mistakes_are_told_in_a_sentence(
    shell: Shell,
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    said = shell(*arguments)

    assert said.returncode == code
    assert words in said.stderr
    assert "Traceback" not in said.stderr


def test_a_server_that_is_not_there_is_told(shell: Shell) -> None:
    said = shell(
        "run", "@a/b", APPSTRATE_URL="http://127.0.0.1:9", APPSTRATE_API_KEY="ask_" + "0" * 48
    )

    assert said.returncode == 1
    assert "is the server running?" in said.stderr


def test_a_server_that_was_stopped_is_still_the_one_that_is_meant(tmp_path: Path) -> None:
    shell = Shell(tmp_path, XDG_CONFIG_HOME=str(tmp_path / "config"))
    here, elsewhere = (
        {"url": f"http://127.0.0.1:{port}", "apiKey": "ask_" + "0" * 48} for port in (9, 10)
    )
    kept, login = tmp_path / "data/cli.json", tmp_path / "config/appstrate/cli.json"
    write_private(login, elsewhere)
    write_private(kept, here)
    os.utime(login, (1, 1))
    stopped = shell("runs")
    os.utime(kept, (0, 0))
    away = shell("runs")

    assert "cannot reach http://127.0.0.1:9 " in stopped.stderr
    assert "cannot reach http://127.0.0.1:10 " in away.stderr


@pytest.mark.usefixtures("demo")
def test_a_second_server_of_a_folder_names_the_first(shell: Shell) -> None:
    url = json.loads((shell.folder / "data" / "server.json").read_text())["url"]
    said = shell("serve", PORT=url.rpartition(":")[2])

    assert said.returncode == 1
    assert f"a server runs here already, at {url}: " in said.stderr
    assert " stop` stops it" in said.stderr


def test_a_host_that_is_elsewhere_is_told(tmp_path: Path) -> None:
    said = Shell(tmp_path)("serve", HOST="192.0.2.1", PORT="0")

    assert said.returncode == 1
    assert "set HOST to an address of this machine" in said.stderr


@pytest.mark.usefixtures("demo")
def test_the_readmes_agent_is_made_and_run_as_it_says(shell: Shell, tmp_path: Path) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    section = readme.partition("## An agent of your own")[2].partition("```sh\n")[2]
    (tmp_path / "appstrate").write_text(f'#!/bin/sh\nexec {sys.executable} -m appstrate "$@"\n')
    (tmp_path / "appstrate").chmod(0o755)
    typed = subprocess.run(
        ["sh", "-ec", section.partition("```")[0]],
        cwd=shell.folder,
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert typed.returncode == 0, typed.stderr
    assert "@me/my-agent 1.0.0 (agent) is good." in typed.stdout
    assert "success" in typed.stdout


@pytest.mark.usefixtures("demo")
def test_the_demos_key_is_for_its_own_server(shell: Shell) -> None:
    said = shell("run", "@a/b", APPSTRATE_URL="http://127.0.0.1:9")

    assert "no API key for http://127.0.0.1:9" in said.stderr


@pytest.mark.usefixtures("demo")
def test_signing_in_keeps_a_key_for_the_user(shell: Shell, tmp_path: Path) -> None:
    kept = json.loads((shell.folder / "data" / "cli.json").read_text())
    elsewhere = Shell(tmp_path, XDG_CONFIG_HOME=str(tmp_path / "config"))
    who = ("--url", kept["url"], "--email", kept["email"])
    wrong = elsewhere("login", *who, "--password", "wrong")
    assert (wrong.returncode, "wrong e-mail" in wrong.stderr) == (1, True)
    signed_in = elsewhere("login", *who, "--password", kept["password"])
    assert signed_in.returncode == 0, signed_in.stderr

    path = tmp_path / "config" / "appstrate" / "cli.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert "password" not in path.read_text()
    assert elsewhere("run", "@appstrate/hello-world", "--model", "demo").returncode == 0


@pytest.mark.usefixtures("demo")
def test_whoever_signed_in_last_is_meant(shell: Shell) -> None:
    """Also in the folder of the demo, whose own key is older."""
    first = json.loads((shell.folder / "data" / "cli.json").read_text())
    url = first["url"].replace("127.0.0.1", "localhost")

    async def sign_up() -> Api:
        api = await new_owner(first["url"])
        async with fake_model() as fake:
            await api.new_model(fake, fake.script("mine", Say("Hi.")), label="Mine")
        return api

    api = asyncio.run(sign_up())
    refused = shell("run", "@appstrate/hello-world", "--model", "Mine")
    assert "there is no model Mine" in refused.stderr
    signed_in = shell("login", "--url", url, "--email", api.email, "--password", PASSWORD)
    assert signed_in.returncode == 0, signed_in.stderr
    run = shell("run", "@appstrate/hello-world", "--model", "Mine", "--no-wait")
    again = shell("run", "@appstrate/hello-world", "--model", "mine", "--no-wait")
    (shell.folder / "config" / "appstrate" / "cli.json").unlink()

    assert run.returncode == again.returncode == 0, run.stderr + again.stderr


def test_the_demo_finds_its_server_whatever_others_call_it(tmp_path: Path) -> None:
    shells = [
        Shell(tmp_path / name, APP_URL="https://agents.example.com", HOST="127.0.0.1")
        for name in ("one", "two")
    ]
    for shell in shells:
        shell.folder.mkdir()
    try:
        with ThreadPoolExecutor() as both:
            demos = list(both.map(lambda shell: shell("demo"), shells))
    finally:
        stopped = [shell("stop").stdout for shell in shells]

    assert [demo.returncode for demo in demos] == [0, 0], demos
    assert stopped == ["Stopped.\n"] * 2


def test_what_a_tool_wrote_does_not_steer_the_terminal() -> None:
    assert plain("a\x1b[2Jb\x9bc\x07\nü\t😀") == "a\ufffd[2Jb\ufffdc\ufffd\nü\t😀"


def test_nor_do_a_tools_name_and_a_result() -> None:
    told = io.StringIO()
    console = Console(file=told, no_color=True)
    line = {"message": "", "level": "info", "event": "progress", "type": "progress"}
    call = {"toolCallId": "c", "tool": "x\x1b]0;owned\x07", "args": {}}
    print_line(console, line | {"data": call}, verbose=True)
    print_result(console, {"status": "success", "result": {"output": {"a": "\x9b2J"}}})

    assert "owned" in told.getvalue()
    assert not {"\x1b", "\x07", "\x9b"} & set(told.getvalue())


def test_the_version_is_told(tmp_path: Path) -> None:
    assert Shell(tmp_path)("--version").stdout.startswith("appstrate 0.")
    assert "Usage" in Shell(tmp_path)().stdout


@pytest.mark.usefixtures("demo")
def test_doctor_looks_at_everything(shell: Shell, tmp_path: Path) -> None:
    well = shell("doctor")
    assert well.returncode == 0, well.stdout
    assert "tier 0" in well.stdout
    assert "PostgreSQL) 18" in well.stdout
    assert "runs at http://127.0.0.1:" in well.stdout

    ill = Shell(tmp_path)("doctor", PORT="x", S3_BUCKET="b")
    assert ill.returncode == 1
    assert "PORT: must be a whole number" in ill.stdout
    assert "S3_BUCKET" in ill.stdout


def test_stopping_twice_is_no_mistake(tmp_path: Path) -> None:
    shell = Shell(tmp_path)

    assert "No server runs" in shell("stop").stdout


@pytest.mark.usefixtures("demo")
def test_runs_are_listed_explained_and_waited_for(shell: Shell) -> None:
    waited = shell("run", "@appstrate/hello-world", "--model", "demo", "-q", "-i", "name=Ada")
    assert waited.returncode == 0, waited.stderr
    assert json.loads(waited.stdout) == {"greeting": "Hello, Ada!"}
    [run] = json.loads(shell("runs", "list", "--limit", "1", "--json").stdout)["data"]
    listed = shell("runs", "list", "--status", "success", "--mine")
    assert run["id"] in listed.stdout
    assert "@appstrate/hello-world" in shell("runs").stdout
    _, narrow, more = shell("runs", "list", "--limit", "1", COLUMNS="80").stdout.splitlines()
    assert more == "… and more"
    assert narrow.startswith(run["id"])
    assert narrow.endswith(f"@appstrate/hello-world #{run['runNumber']}")

    why = shell("runs", "why", run["id"])
    assert why.returncode == 0, why.stderr
    assert "● the agent's program was started" in why.stdout
    assert "→ model request → 200 in" in why.stdout
    assert "The run succeeded." in why.stdout
    told = json.loads(shell("runs", "why", run["id"], "--json").stdout)
    assert told["cause"] == "succeeded"
    over = shell("runs", "cancel", run["id"])
    assert over.returncode == 1
    assert "has ended already" in over.stderr


def test_schedules_are_made_shown_and_paused(shell: Shell) -> None:
    agent = json.loads(shell("runs", "--json").stdout)["data"][0]
    name = f"{agent['agent_scope']}/{agent['agent_name']}"
    values = ("-i", json.dumps(agent["input"]))
    made = shell("schedules", "add", name, "0 7 * * MON", "-z", "Europe/Paris", *values)
    assert made.returncode == 0, made.stderr
    schedule = json.loads(shell("schedules", "list", "--json").stdout)["data"][-1]["id"]
    assert schedule in made.stdout

    assert "Europe/Paris" in shell("schedules").stdout
    assert len(shell("schedules", "preview", "@daily").stdout.splitlines()) == 6
    assert "run_" in shell("schedules", "run", schedule).stdout
    shell("schedules", "pause", schedule)
    assert "disabled" in shell("schedules").stdout
    assert "due " in shell("schedules", "resume", schedule).stdout
    wrong = shell("schedules", "preview", "0 0 30 2 *")
    assert wrong.returncode == 1
    assert "is never due" in wrong.stderr
    assert shell("schedules", "remove", schedule).stdout == "Removed.\n"
    assert shell("schedules", "fires", schedule).returncode == 1


@pytest.mark.usefixtures("demo")
def test_webhooks_are_made_tried_and_deleted(shell: Shell) -> None:
    wrong = shell("webhooks", "add", "http://example.com/hook")
    made = shell("webhooks", "add", "http://127.0.0.1:9/hook", "-e", "run.failed")
    assert made.returncode == 0, made.stderr
    webhook = json.loads(shell("webhooks", "list", "--json").stdout)["data"][0]["id"]
    tested = shell("webhooks", "test", webhook)
    told = json.loads(shell("webhooks", "deliveries", webhook, "--json").stdout)["data"]
    delivery = told[0]["id"]
    again = shell("webhooks", "redeliver", webhook, delivery)

    assert (wrong.returncode, "https" in wrong.stderr) == (1, True)
    assert webhook in made.stdout
    assert "whsec_" in made.stdout
    assert (tested.returncode, "ATTEMPT" in tested.stdout) == (1, True)
    assert "cannot be reached" in tested.stdout
    assert (again.returncode, "  2        " in again.stdout) == (1, True)
    assert shell("webhooks", "remove", webhook).stdout == "Removed.\n"
    assert "no webhooks" in shell("webhooks").stdout


def test_a_failure_is_printed_with_its_remedy() -> None:
    told = {
        "runId": "run_1",
        "status": "failed",
        "error": "the model API answered 401: no\x1b[2J",
        "summary": "The provider refused the credential.",
        "remedy": "Check the key.",
        "output": ["last words"],
        "phases": [{"name": "created", "at": "2026-01-01"}, {"name": "output", "at": None}],
        "timeline": [
            {"after": 0, "kind": "phase", "level": "info", "text": "the run was created"},
            {"after": 1500, "kind": "model", "level": "error", "text": "model request → 401"},
        ],
    }
    page = io.StringIO()
    print_why(Console(file=page, width=100), told)
    lines = page.getvalue().splitlines()

    assert lines[0] == "Run run_1: failed"
    assert lines[2].split() == ["1.500", "s", "→", "model", "request", "→", "401"]
    assert "  never reached: output" in lines
    assert "  last words" in lines
    assert lines[-1] == "What to do: Check the key."
    assert "\x1b" not in page.getvalue()
