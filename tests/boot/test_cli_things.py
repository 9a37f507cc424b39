"""Agents, keys and packages, as somebody types it."""

import asyncio
import json
import re
from pathlib import Path

import pytest

from support.api import PASSWORD, new_owner
from support.packages import agent_archive, agent_manifest
from support.shell import Shell


@pytest.mark.usefixtures("demo")
def test_agents_are_listed_and_shown(shell: Shell) -> None:
    listed = shell("agents")
    ids = [agent["id"] for agent in json.loads(shell("agents", "--json").stdout)["data"]]
    shown = shell("agents", "show", "@appstrate/hello-world")
    document = json.loads(shell("agents", "show", "@appstrate/hello-world", "--json").stdout)

    assert "@appstrate/hello-world" in listed.stdout
    assert "@appstrate/hello-world" in ids
    assert "name (string" in shown.stdout
    assert document["id"] == "@appstrate/hello-world"
    assert shell("agents", "show", "@no/body").returncode == 1


@pytest.mark.usefixtures("demo")
def test_keys_are_made_listed_and_revoked(shell: Shell, tmp_path: Path) -> None:
    url = json.loads((shell.folder / "data" / "server.json").read_text())["url"]
    owner = asyncio.run(new_owner(url))
    who = ("--email", owner.email, "--password", PASSWORD)
    made = shell("keys", "add", "deploys", "--scope", "agents:run", "--scope", "agents:read", *who)
    assert made.returncode == 0, made.stderr
    key = made.stdout.strip()
    listed = json.loads(shell("keys", "list", "--json", *who).stdout)["data"][0]
    table = shell("keys", "list", *who).stdout
    used = shell("agents", APPSTRATE_API_KEY=key, XDG_CONFIG_HOME=str(tmp_path))
    revoked = shell("keys", "revoke", listed["id"], *who)
    after = shell("agents", APPSTRATE_API_KEY=key, XDG_CONFIG_HOME=str(tmp_path))
    wrong = shell("keys", "list", "--email", owner.email, "--password", "not this one")

    assert re.fullmatch(r"ask_[0-9a-f]{48}", key)
    assert listed["scopes"] == ["agents:read", "agents:run"]
    assert "deploys" in table
    assert (used.returncode, revoked.stdout, after.returncode) == (0, "Revoked.\n", 1)
    assert (wrong.returncode, "Traceback" in wrong.stderr) == (1, False)


@pytest.mark.usefixtures("demo")
def test_what_was_given_up_is_for_administrators(shell: Shell, tmp_path: Path) -> None:
    url = json.loads((shell.folder / "data" / "server.json").read_text())["url"]
    admin = ("--email", "root@example.com", "--password", PASSWORD)
    claimed = shell("claim", "--name", "Root", *admin, XDG_CONFIG_HOME=str(tmp_path))
    assert claimed.returncode == 0, claimed.stderr
    owner = asyncio.run(new_owner(url))
    nothing = shell("jobs", "list", *admin)
    unknown = shell("jobs", "retry", "1", *admin)
    refused = shell("jobs", "list", "--email", owner.email, "--password", PASSWORD)

    assert nothing.stdout == "No job was given up.\n"
    assert (unknown.returncode, "Traceback" in unknown.stderr) == (1, False)
    assert (refused.returncode, "administrators" in refused.stderr) == (1, True)


def test_packages_are_checked_without_a_server(shell: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "prompt.md").write_text("Do it.")
    (folder / "manifest.json").write_text(json.dumps(agent_manifest("@mine/report")))
    good = shell("packages", "validate", str(folder))
    archive = tmp_path / "bad.afps"
    bad_manifest = agent_manifest("Not a name", version="one")
    archive.write_bytes(agent_archive(bad_manifest))
    bad = shell("packages", "validate", str(archive))
    verdict = json.loads(shell("packages", "validate", str(archive), "--json").stdout)

    assert (good.returncode, good.stdout) == (0, "@mine/report 1.0.0 (agent) is good.\n")
    assert bad.returncode == 1
    assert {"version", "name"} <= {line.partition(":")[0] for line in bad.stderr.splitlines()}
    assert (verdict["valid"], len(verdict["problems"])) == (False, 2)
