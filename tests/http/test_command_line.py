"""The command line at the real application: what each command does, and how it answers programs."""

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from appstrate.boot import Server
from appstrate.cli import output, terminal
from appstrate.cli.commands import app
from appstrate.cli.terminal import Waiting
from support.api import Api
from support.fake_model import Fail, FakeModel, Say
from support.files import FILE_INPUT
from support.packages import agent_manifest, typed_agent_manifest
from support.typing_commands import Keyboard

# They serve until they are stopped, or go on at a terminal.
FOR_PEOPLE = {"demo", "serve"}


def commands() -> dict[str, Any]:
    """Every command there is, by what one types for it."""

    def within(command: Any, name: str) -> dict[str, Any]:
        if not hasattr(command, "commands"):
            return {name: command}
        found: dict[str, Any] = {}
        for each in command.commands.values():
            found |= within(each, f"{name} {each.name}".strip())
        return found

    return within(typer.main.get_command(app), "")


COMMANDS = commands()
LISTS = sorted(name.split()[0] for name in COMMANDS if name.endswith(" list"))


@pytest.fixture
async def typed(server: Server, owner: Api, tmp_path: Path) -> Keyboard:
    keyboard = Keyboard(tmp_path, server.url)
    await keyboard.sign_in(owner)
    return keyboard


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_and_answers_programs(name: str) -> None:
    command = COMMANDS[name]
    said = CliRunner().invoke(app, [*name.split(), "--help"])

    assert said.exit_code == 0
    assert command.help
    options = {option for parameter in command.params for option in parameter.opts}
    assert "--json" in options or name in FOR_PEOPLE
    assert all(p.help for p in command.params if p.name != "help")
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    assert all(str(p.metavar).isupper() for p in arguments)


@pytest.mark.parametrize("subject", LISTS)
async def test_lists_are_the_apis_pages_for_programs(subject: str, typed: Keyboard) -> None:
    said = await typed(subject, "--json")
    if subject == "jobs":  # for administrators of the platform alone
        assert (said.exit_code, said.stdout) == (1, "")
        return
    page = json.loads(said.stdout)

    assert (page["object"], page["hasMore"]) == ("list", False)
    assert await typed.told(subject) == await typed.told(subject, "list")
    assert page == await typed.json(subject, "list")


async def test_an_input_is_what_the_agent_takes(
    typed: Keyboard, owner: Api, fake: FakeModel
) -> None:
    await owner.new_model(fake, fake.script("hi", Say("Hi.")), label="Mine")
    name = f"{owner.scope}/pages"
    manifest = typed_agent_manifest(name)
    await owner.post("/api/packages/agents", {"manifest": manifest, "content": "Do it."})
    (typed.folder / "input.json").write_text('{"topic": "bees", "pages": 1}')
    file = f"@{typed.folder / 'input.json'}"
    run = await typed.json("run", name, "-i", file, "-i", "pages=3", "--no-wait", "--model", "Mine")
    said = await typed("run", name, "-i", "-", "--no-wait", "-q", typed='{"topic": "ants"}')
    shown = await typed.json("runs", "show", said.stdout.strip())
    wrong = await typed("run", name, "-i", "topic=bees", "-i", "pages=many", "--no-wait")

    assert run["input"] == {"topic": "bees", "pages": 3}
    assert shown["input"] == {"topic": "ants", "pages": 1}
    assert (wrong.exit_code, "input.pages" in wrong.stderr) == (1, True)


async def test_a_name_the_agent_does_not_know_is_told(typed: Keyboard, owner: Api) -> None:
    fields = {"topic": {"type": "string"}, "pages": {"type": ["integer", "null"]}}
    agent = await owner.new_agent(
        "knows", input={"schema": {"type": "object", "properties": fields}}
    )
    shown = ("run", agent, "--model", "demo", "--no-wait")
    said = await typed(*shown, "-i", "topic=bees", "-i", "pges=3")
    file = await typed(*shown, "-i", "topic=bees", "--file", f"topic={__file__}")

    assert said.exit_code == 0
    assert "knows no input pges: it takes topic, pages" in said.stderr
    assert (file.exit_code, "takes no file as topic" in file.stderr) == (2, True)
    assert "pages (integer or null)" in await typed.told("agents", "show", agent)


async def test_files_go_in_and_documents_come_out(
    typed: Keyboard, owner: Api, fake: FakeModel
) -> None:
    wrote = Say(calls={"write": {"path": "outputs/sum.txt", "content": "42"}})
    done = Say(calls={"output": {"data": {}}})
    await owner.new_model(fake, fake.script(f"sums-{owner.org['slug']}", wrote, done))
    agent = await owner.new_agent("sums", runtime_tools=["output"], **FILE_INPUT)
    for name in ("a.csv", "b.bin"):
        (typed.folder / name).write_text("1,2\n")
    files = (
        "--file",
        f"report={typed.folder / 'a.csv'}",
        "--file",
        f"extras={typed.folder / 'b.bin'}",
    )
    run = await typed.json("run", agent, *files)
    page = await typed.json("documents")
    [out] = [each for each in page["data"] if each["purpose"] == "agent_output"]
    target = typed.folder / "kept.txt"
    fetched = await typed.told("documents", "get", out["id"], "-o", target)
    again = await typed("documents", "get", out["id"], "-o", target)
    printed = await typed.told("documents", "get", out["id"], "-o", "-")

    assert run["input"]["report"].startswith("document://")
    assert len(run["input"]["extras"]) == 1
    assert "sum.txt" in await typed.told("documents", "list", "--run", run["id"], "--outputs")
    assert (target.read_text(), printed) == ("42", "42")
    assert "2 B" in fetched
    assert (again.exit_code, "is there already" in again.stderr) == (1, True)
    assert {path.name for path in typed.folder.iterdir()} >= {"kept.txt"}
    assert not list(typed.folder.glob(".*unfinished"))


async def test_a_run_that_fails_fails_the_command_and_says_why(
    typed: Keyboard, owner: Api, fake: FakeModel
) -> None:
    await owner.new_model(fake, fake.script(f"no-{owner.org['slug']}", Fail(401)))
    agent = await owner.new_agent("fails")
    said = await typed("run", agent)
    quiet = await typed("run", agent, "-q")
    for_programs = await typed("run", agent, "--json")

    assert [each.exit_code for each in (said, quiet, for_programs)] == [1, 1, 1]
    assert "What to do: " in said.stdout
    assert (quiet.stdout, "What to do: " in quiet.stderr) == ("", True)
    assert json.loads(for_programs.stdout)["status"] == "failed"
    assert "What to do: " in for_programs.stderr
    page = await typed.json("runs", "list", "--agent", agent)
    assert [run["status"] for run in page["data"]] == ["failed"] * 3
    gone = page["data"][0]["id"]
    assert await typed.told("runs", "delete", gone) == "Deleted.\n"
    assert (await typed("runs", "show", gone)).exit_code == 1


async def test_a_model_is_added_tried_chosen_and_removed(typed: Keyboard, fake: FakeModel) -> None:
    name = fake.script("typed", Say("Yes."), Say("Yes."))
    none = await typed("models", "add", name)
    provider = ("credentials", "add", "openai-compatible", "--label", "mine")
    kept = await typed.json(*provider, "--base-url", fake.url, APPSTRATE_PROVIDER_KEY="sk-1")
    made = await typed.json("models", "add", name, "--label", "Mine")
    tried = await typed("models", "test", "Mine")
    refused = await typed("credentials", "remove", kept["id"])

    assert (none.exit_code, "no credential" in none.stderr) == (1, True)
    assert "openai-compatible" in await typed.told("credentials", "providers")
    assert (tried.exit_code, "It works" in tried.stdout) == (0, True)
    assert (refused.exit_code, "uses this credential" in refused.stderr) == (1, True)
    assert (await typed.json("models", "default", "demo"))["id"] == "demo"
    await typed.told("models", "default", "Mine")
    assert re.search(rf"^\* +{name}", await typed.told("models"), re.MULTILINE)
    await typed.told("models", "remove", made["id"])
    await typed.told("credentials", "remove", kept["id"])
    assert "There are none yet" in await typed.told("credentials")


async def test_a_package_is_built_imported_exported_and_removed(
    typed: Keyboard, owner: Api
) -> None:
    folder = typed.folder / "report"
    folder.mkdir()
    (folder / "prompt.md").write_text("Do it.")
    name = f"{owner.scope}/report"
    (folder / "manifest.json").write_text(json.dumps(agent_manifest(name)))
    built = await typed.json("packages", "build", folder, typed.folder)
    same = await typed("packages", "build", folder, typed.folder, "--check")
    imported = await typed.json("packages", "import", folder)
    exported = await typed.json("packages", "export", name, "-o", typed.folder)
    bundle = await typed.json("packages", "export", name, "--bundle", "-o", typed.folder)
    back = await typed.told("packages", "import", bundle["path"])
    listed = await typed.json("packages")

    assert built["built"] == [str(typed.folder / "report-1.0.0.afps")]
    assert same.exit_code == 0
    assert imported["packageId"] == name
    assert Path(exported["path"]).stat().st_size == exported["size"]
    assert f"{name}@1.0.0: reused" in back
    assert (name, "agent") in {(each["id"], each["type"]) for each in listed["data"]}
    await typed.told("packages", "remove", name)
    gone = await typed("packages", "remove", name)
    assert (gone.exit_code, f"no package {name}" in gone.stderr) == (1, True)


async def test_one_acts_where_one_chooses_to(typed: Keyboard, owner: Api) -> None:
    second = (await owner.post("/api/orgs", {"name": "B", "slug": f"{owner.org['slug']}-b"})).json
    moved = await typed.json("orgs", "use", second["slug"])
    here = await typed.json("status")
    away = await typed("orgs", "use", "nowhere")
    listed = await typed.told("orgs")

    assert moved["orgId"] == second["id"]
    assert "apiKey" not in moved
    assert here["login"]["slug"] == second["slug"]
    assert (await typed.json("apps"))["data"][0]["orgId"] == second["id"]
    assert (away.exit_code, owner.org["slug"] in away.stderr) == (1, True)
    assert re.search(rf"^\* +{second['slug']} ", listed, re.MULTILINE)
    assert (await typed("apps", "use", "Default")).exit_code == 0
    login = ("login", "--email", owner.email, "--org", owner.org["slug"], "--app", "Default")
    assert (await typed.json(*login))["orgId"] == owner.org["id"]


async def test_schedules_and_webhooks_are_changed(typed: Keyboard, owner: Api) -> None:
    agent = await owner.new_agent("changes")
    made = await typed.json("schedules", "add", agent, "@daily", "--name", "[red]Mine")
    changed = await typed.json(
        "schedules", "edit", made["id"], "--cron", "@weekly", "--skip-overlaps"
    )
    nothing = await typed("schedules", "edit", made["id"])
    zone = await typed.told("schedules", "preview", "0 7 * * MON", "-z", "America/New_York")
    hook = await typed.json("webhooks", "add", "http://localhost:9/hook", "-e", "run.failed")
    edited = await typed.json("webhooks", "edit", hook["id"], "--disable", "--summary")

    assert changed["cron_expression"] == "@weekly"
    assert changed["overlap_policy"] == "skip"
    assert changed["name"] == "[red]Mine"
    assert "[red]Mine" in await typed.told("schedules")
    assert (nothing.exit_code, "say what to change" in nothing.stderr) == (2, True)
    assert zone.startswith("America/New_York  ")
    assert zone.count("07:00:00") >= 5
    assert (edited["enabled"], edited["payloadMode"]) == (False, "summary")
    assert "disabled" in await typed.told("webhooks")


async def test_schedules_take_models_by_name_and_say_what_becomes_of_missed_times(
    typed: Keyboard, owner: Api, fake: FakeModel
) -> None:
    model = await owner.new_model(fake, fake.script("named", Say("Hi.")), label="Mine")
    agent = await owner.new_agent("named")
    made = await typed.json("schedules", "add", agent, "@yearly", "--model", "Mine", "--make-up")
    changed = await typed.json(
        "schedules", "edit", made["id"], "--model", "demo", "--skip-missed", "--name", "Yearly"
    )

    assert (made["model_id_override"], made["misfire_policy"]) == (model["id"], "once")
    assert (changed["model_id_override"], changed["misfire_policy"]) == ("demo", "skip")


async def test_a_scope_there_is_none_of_makes_no_key(typed: Keyboard) -> None:
    wrong = await typed("keys", "add", "ci", "--scope", "agents:run", "--scope", "agent:read")
    made = await typed.json("keys", "add", "ci", "--scope", "agents:run")

    assert wrong.exit_code == 1
    assert "no scope agent:read to give; there are agents:configure, " in wrong.stderr
    assert made["scopes"] == ["agents:run"]
    assert len((await typed.json("keys"))["data"]) == 2


async def test_a_server_tells_how_it_is(typed: Keyboard, owner: Api) -> None:
    told = await typed.told("status")
    away = await typed("status", APPSTRATE_URL="http://127.0.0.1:9")

    assert owner.email in told
    assert re.search(r"^database +healthy +PostgreSQL", told, re.MULTILINE)
    assert away.exit_code == 1
    assert "(Connection refused): is the server running?" in away.stderr


async def test_a_key_that_counts_no_more_says_what_to_do(typed: Keyboard) -> None:
    wrong = await typed("agents", APPSTRATE_API_KEY="ask_" + "0" * 48)
    odd = await typed("agents", APPSTRATE_API_KEY="ask_é")

    assert (wrong.exit_code, "appstrate login" in wrong.stderr) == (1, True)
    assert (odd.exit_code, "is no API key" in odd.stderr) == (1, True)


async def test_nobody_is_asked_where_nobody_types(typed: Keyboard) -> None:
    for command in ("login", "claim"):
        said = await typed(command, *(["--name", "Ada"] if command == "claim" else []))

        assert (said.exit_code, "pass --email" in said.stderr) == (2, True)


def test_only_the_last_column_is_cut_at_a_terminals_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    page = io.StringIO()
    narrow = Console(file=page, force_terminal=True, width=40, no_color=True, soft_wrap=True)
    monkeypatch.setattr(output, "console", narrow)
    output.print_rows(("ID", "NONE", "ABOUT"), [("x" * 30, "", "many words " * 9), ("y", None, "")])
    lines = re.sub(r"\x1b\[\d*m", "", page.getvalue()).splitlines()

    assert lines[0].split() == ["ID", "ABOUT"]
    assert lines[1] == "x" * 30 + "  many words many wor…"
    assert lines[2] == "y"


@pytest.mark.parametrize("on_terminal", [True, False])
def test_what_takes_long_is_said(monkeypatch: pytest.MonkeyPatch, on_terminal: bool) -> None:
    page = io.StringIO()
    shown = Console(file=page, force_terminal=on_terminal, width=80)
    monkeypatch.setattr(terminal, "errors", shown)
    with Waiting("Quick"):
        pass
    assert not page.getvalue()
    monkeypatch.setattr(terminal, "PATIENCE", 0)
    with Waiting("Copying [x]") as waiting:
        waiting._timer.join()

    assert "Copying [x]" in page.getvalue()
    assert ("0:00:0" in page.getvalue()) is on_terminal
