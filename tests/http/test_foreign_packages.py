"""Packages from elsewhere, of AFPS 0.x: imported as they are, and the agents among them run."""

import io
import json
import zipfile
from typing import Any

import pytest

from support import elsewhere
from support.api import Api
from support.fake_model import FakeModel, Say
from support.packages import SKILL


async def brought(owner: Api, content: bytes, folder: str) -> dict[str, Any]:
    """Import an archive, and look at what it became; its bytes come back as they were."""
    made = await owner.upload(content)
    assert made.status == 201, made.body
    name, version = made.json["packageId"], made.json["version"]
    download = await owner.get(f"/api/packages/{name}/{version.replace('+', '%2B')}/download")
    assert download.body == content
    return dict((await owner.get(f"/api/packages/{folder}/{name}")).json)


async def test_a_skill_comes_as_it_is(owner: Api) -> None:
    name = f"{owner.scope}/redaction"
    shown = await brought(owner, elsewhere.skill(name), "skills")
    files = (await owner.get(f"/api/packages/{name}/files")).json["entries"]

    assert shown["manifest"]["display_name"] == "Rédaction soignée"
    assert shown["manifest"]["x-vendor"] == {"build": 7, "notes": None}
    assert [f["path"] for f in files] == [
        "SKILL.md",
        "assets/logo.png",
        "manifest.json",
        "scripts/vérifier.py",
    ]
    content = await owner.get(f"/api/packages/{name}/files/content?path=scripts/v%C3%A9rifier.py")
    assert content.body == b"print(1)\n"
    edited = await owner.put(f"/api/packages/skills/{name}", {"content": SKILL, "lock_version": 1})
    assert edited.status == 200
    published = await owner.post(f"/api/packages/skills/{name}/versions", {"version": "0.3.0"})
    assert published.status == 201, published.body
    changed = (await owner.get(f"/api/packages/{name}/files?version=0.3.0")).json["entries"]
    assert [f["path"] for f in changed] == [f["path"] for f in files]


async def test_an_mcp_server_comes_as_it_is(owner: Api) -> None:
    shown = await brought(owner, elsewhere.server(f"{owner.scope}/git"), "mcp-servers")

    assert shown["manifest"]["_meta"]["dev.appstrate/workspace"]["access"] == "rw"


@pytest.mark.parametrize("name", elsewhere.DELIVERIES)
async def test_an_integration_comes_with_every_way_of_delivery(owner: Api, name: str) -> None:
    auth = elsewhere.DELIVERIES[name]
    content = elsewhere.integration(f"{owner.scope}/{name}", {"primary": auth})
    shown = await brought(owner, content, "integrations")

    assert shown["manifest"]["auths"] == {"primary": auth}
    assert shown["manifest"]["setup_guide"]["callback_url_hint"] == "Collez {{callback_url}} ici"


async def test_integrations_of_every_source(owner: Api) -> None:
    policy = {"push": {"required_scopes": {"oauth": ["repo"]}}, "clone": {}}
    oauth = elsewhere.DELIVERIES["oauth-scopes"]
    remote = elsewhere.integration(
        f"{owner.scope}/hub",
        {"oauth": oauth, "pat": elsewhere.DELIVERIES["bearer"]},
        source={
            "kind": "remote",
            "remote": {"url": "https://mcp.example/mcp", "transport": "streamable-http"},
        },
        tools_policy=policy,
        allow_undeclared_tools=True,
        default_tools="*",
        hidden_tools=["clone"],
    )
    local = elsewhere.integration(
        f"{owner.scope}/hub-git",
        {"oauth": oauth},
        source={"kind": "local", "server": {"name": f"{owner.scope}/git", "version": "^1.0.0"}},
        tools_policy=policy,
    )
    upload = elsewhere.integration(
        f"{owner.scope}/drive",
        {"primary": elsewhere.ISSUER_ONLY},
        api={"upload_protocols": ["google-resumable"]},
    )

    for content in (remote, local, upload):
        shown = await brought(owner, content, "integrations")
        assert shown["manifest"]["schema_version"] == "0.1"


@pytest.mark.parametrize("spoken", ["0.1", "0.2", "0.9", "0.17"])
async def test_every_minor_of_major_zero_is_read(owner: Api, spoken: str) -> None:
    name = f"{owner.scope}/minor"
    manifest = elsewhere.agent(name, f"{owner.scope}/s", "@a/b") | {"schema_version": spoken}
    files: dict[str, str | bytes] = {
        "manifest.json": elsewhere.text(manifest),
        "prompt.md": "Résume.",
    }
    shown = await brought(owner, elsewhere.zipped("agent", files), "agents")

    assert shown["manifest"] == manifest


async def test_an_agent_from_elsewhere_runs_with_its_skill(owner: Api, fake: FakeModel) -> None:
    skill, name = f"{owner.scope}/redaction", f"{owner.scope}/resume"
    await brought(owner, elsewhere.skill(skill), "skills")
    manifest = elsewhere.agent(name, skill, "@a/b")
    files: dict[str, str | bytes] = {
        "manifest.json": elsewhere.text(manifest),
        "prompt.md": "Résume le sujet.\r\n{{verbatim}}",
        "icon.svg": "<svg/>",
    }
    shown = await brought(owner, elsewhere.zipped("résumé", files), "agents")
    assert shown["manifest"] == manifest
    script = (
        Say("Je lis.", {"bash": {"command": f"cat .pi/skills/{skill}/SKILL.md"}}),
        Say("", {"output": {"data": {"résumé": "Les marées montent."}}}),
        Say("Fini."),
    )
    await owner.new_model(fake, fake.script("elsewhere", *script))
    run = await owner.finished(name, {"input": {"sujet": "les marées"}})

    assert run["status"] == "success", run["error"]
    assert run["result"]["output"] == {"résumé": "Les marées montent."}
    assert run["input"] == {"sujet": "les marées", "ton": "bref"}
    assert run["version_label"] == "2.1.0+build.5"
    asked = fake.requests_of("elsewhere")
    assert "Résume le sujet." in json.dumps(asked[0], ensure_ascii=False)
    assert "{{verbatim}}" in json.dumps(asked[0])
    assert "Écrire sans détour" in json.dumps(asked[0], ensure_ascii=False)
    assert "Soyez bref." in json.dumps(asked[1], ensure_ascii=False)
    bundle = await owner.get(f"/api/agents/{name}/bundle")
    with zipfile.ZipFile(io.BytesIO(bundle.body)) as found:
        assert any(path.endswith("scripts/vérifier.py") for path in found.namelist())
