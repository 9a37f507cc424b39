"""`appstrate demo`: from nothing to a finished run, and a server one can go on with."""

import asyncio
import json
import secrets
from pathlib import Path
from typing import Any

from rich.console import Console

from actors.packages.archive import SINGLE_PACKAGE, open_archive, write_archive
from appstrate.cli.access import read_json, write_private
from appstrate.cli.accounts import print_claim, warn_of_strangers
from appstrate.cli.background import StartError, ensure_server
from appstrate.cli.client import ApiError, Client
from appstrate.cli.follow import follow, print_result
from appstrate.cli.terminal import Waiting
from appstrate.environment import read_environment
from appstrate.paths import SYSTEM_PACKAGES
from appstrate.settings import read_settings

SCHEDULE_SECONDS = 20.0
ARCHIVE = "agent-meeting-notes-1.0.0.afps"
NOTES = """\
Ana: the release moves to Friday, everybody agrees.
Ben tests the upgrade from the last version. Ana writes the announcement by Thursday.
"""


async def run_demo(data: Path, console: Console) -> bool:
    """Start or find the server, import an agent, run it before everybody's eyes.

    Returns whether the run was a success.
    """
    with Waiting("Starting the server"):
        url, started = await ensure_server(data)
    how = "Started" if started else "Found"
    console.print(f"{how} a server at [bold]{url}[/], its data in {data}")
    kept = await _account(url, data, console)
    async with Client(url, kept["apiKey"]) as client:
        archive = _as_own(SYSTEM_PACKAGES / ARCHIVE, kept["slug"])
        made = await client.upload("/api/packages/import", ARCHIVE, archive)
        console.print(f"Imported [bold]{made['packageId']}[/] {made['version']}")
        launched = await client.post(
            f"/api/agents/{made['packageId']}/run",
            {"input": {"notes": NOTES}, "modelId": "demo"},
        )
        console.print(f"Running it as [bold]{launched['id']}[/]")
        run = await follow(client, launched["id"], console, verbose=False)
        print_result(console, run)
        await _on_schedule(client, made["packageId"], console)
        claim = await client.get("/api/auth/bootstrap")
    settings = read_settings(read_environment() | {"DATA_DIR": str(data)})
    if claim["pending"]:
        print_claim(settings, url)
    warn_of_strangers(settings)
    return bool(run["status"] == "success")


async def _on_schedule(client: Client, agent: str, console: Console) -> None:
    """Have the agent run by itself once, a second from now."""
    schedule = await client.post(
        f"/api/agents/{agent}/schedules",
        {
            "name": "Demo",
            "cron_expression": "* * * * * *",
            "input": {"notes": NOTES},
            "model_id_override": "demo",
            "overlap_policy": "skip",
        },
    )
    path = f"/api/schedules/{schedule['id']}"
    with Waiting("Waiting for a schedule to fire"):
        try:
            async with asyncio.timeout(SCHEDULE_SECONDS):
                while not (runs := (await client.get(f"{path}/runs"))["data"]):  # noqa: ASYNC110 - no event over HTTP
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise StartError("the schedule did not fire: the server is too busy") from None
        finally:
            await client.delete(path)
        run = await client.get(f"/api/runs/{runs[-1]['id']}", wait="true")
    console.print(
        f"A schedule fired at {run['started_at'][11:19]} UTC and ran it by itself: "
        f"[bold]{run['id']}[/] {run['status']}"
    )


async def _account(url: str, data: Path, console: Console) -> dict[str, Any]:
    """The demo's user, organization and key: those kept in the data folder, else new ones.

    They sign up as anybody would and own nothing of the platform, so its claim stays open for
    whoever is to administer it.
    """
    path = data / "cli.json"
    kept = read_json(path)
    if kept.get("apiKey"):
        try:
            async with Client(url, kept["apiKey"]) as client:
                await client.get("/api/agents")
        except ApiError:
            pass
        else:
            return kept | {"url": url}
    mark = secrets.token_hex(3)
    email, password = f"demo-{mark}@localhost", secrets.token_urlsafe(12)
    async with Client(url) as client:
        user = {"email": email, "password": password, "name": "Demo"}
        await client.post("/api/auth/sign-up/email", user)
        org = await client.post("/api/orgs", {"name": "Demo", "slug": f"demo-{mark}"})
        client.act_in(org["id"], "")
        [application] = (await client.get("/api/applications"))["data"]
        client.act_in(org["id"], application["id"])
        await client.put("/api/models/default", {"modelId": "demo"})
        key = await client.post("/api/api-keys", {"name": "Command line"})
    kept = {
        "url": url,
        "email": email,
        "password": password,
        "orgId": org["id"],
        "slug": org["slug"],
        "applicationId": application["id"],
        "apiKey": key["key"],
    }
    write_private(path, kept)
    console.print(f"Made the user {email}, an organization and an API key, kept in {path}")
    return kept


def _as_own(path: Path, slug: str) -> bytes:
    """An archive shipped with the platform, as a package of one's own organization."""
    opened = open_archive(path.read_bytes(), SINGLE_PACKAGE)
    files = {name: opened.read(name) for name in opened.paths}
    manifest = json.loads(files["manifest.json"])
    manifest["name"] = f"@{slug}/{manifest['name'].partition('/')[2]}"
    files["manifest.json"] = json.dumps(manifest, indent=2, ensure_ascii=False).encode()
    return write_archive(files)
