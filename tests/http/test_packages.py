import asyncio
import io
import json
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from appstrate.boot import Server
from support.api import Api, new_owner
from support.packages import (
    agent_archive,
    agent_manifest,
    archive,
    skill_archive,
    skill_manifest,
    typed_agent_manifest,
)


async def test_an_imported_agent_is_there_published_and_installed(owner: Api) -> None:
    name = f"{owner.scope}/report"
    made = await owner.upload(agent_archive(typed_agent_manifest(name), "Write about it."))
    detail = (await owner.get(f"/api/packages/agents/{name}")).json
    listed = {a["id"]: a for a in (await owner.get("/api/agents")).json["data"]}

    assert (made.status, made.json) == (
        201,
        {"packageId": name, "type": "agent", "version": "1.0.0"},
    )
    assert detail["prompt"] == "Write about it."
    assert detail["version_count"] == 1
    assert detail["has_unarchived_changes"] is False
    assert list(detail["input"]["schema"]["properties"]) == ["topic", "pages"]
    assert listed[name]["version"] == "1.0.0"


async def test_unknown_fields_of_a_manifest_come_back_as_they_were(owner: Api) -> None:
    manifest = agent_manifest(f"{owner.scope}/odd", zebra={"b": 1, "a": [None]}, alpha="x")
    await owner.upload(agent_archive(manifest))
    detail = (await owner.get(f"/api/packages/agents/{manifest['name']}")).json

    assert json.dumps(detail["manifest"]) == json.dumps(manifest)


async def test_importing_the_same_bytes_again_changes_nothing(owner: Api) -> None:
    content = agent_archive(agent_manifest(f"{owner.scope}/same"))
    for _ in range(2):
        assert (await owner.upload(content)).status == 201
    detail = (await owner.get(f"/api/packages/agents/{owner.scope}/same")).json

    assert detail["version_count"] == 1


async def test_a_published_version_keeps_its_bytes_unless_forced(owner: Api) -> None:
    manifest = agent_manifest(f"{owner.scope}/fixed")
    await owner.upload(agent_archive(manifest, "one"))
    other = await owner.upload(agent_archive(manifest, "two"))
    assert (other.status, other.code) == (409, "integrity_mismatch")
    assert (await owner.get(f"/api/packages/agents/{owner.scope}/fixed")).json["prompt"] == "one"

    forced = await owner.upload(agent_archive(manifest, "two"), query="?force=true")
    assert forced.status == 201
    assert (await owner.get(f"/api/packages/agents/{owner.scope}/fixed")).json["prompt"] == "two"


async def test_versions_only_go_up(owner: Api) -> None:
    name = f"{owner.scope}/upward"
    await owner.upload(agent_archive(agent_manifest(name, version="1.2.0"), "new"))
    older = await owner.upload(agent_archive(agent_manifest(name, version="1.1.0"), "old"))
    assert (older.status, older.code) == (400, "post_install_failed")
    await owner.upload(agent_archive(agent_manifest(name, version="2.0.0-rc.1"), "next"))

    old = (await owner.get(f"/api/packages/agents/{name}?version=^1.0.0")).json
    latest = (await owner.get(f"/api/packages/agents/{name}?version=latest")).json
    assert (old["version"], old["prompt"]) == ("1.2.0", "new")
    assert latest["version"] == "1.2.0"
    assert (await owner.get(f"/api/packages/agents/{name}?version=9")).status == 404


async def test_bringing_an_older_version_again_leaves_the_draft_alone(owner: Api) -> None:
    name = f"{owner.scope}/steady"
    archives = [agent_archive(agent_manifest(name, version=f"1.{n}.0"), f"{n}") for n in range(3)]
    for content in (archives[0], archives[1], archives[0], archives[2]):
        assert (await owner.upload(content)).status == 201
    detail = (await owner.get(f"/api/packages/agents/{name}")).json

    assert (detail["version_count"], detail["prompt"]) == (3, "2")


async def test_an_upload_that_stalls_is_given_up(
    owner: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.storage.IDLE_SECONDS", 0.1)
    go_on = asyncio.Event()

    async def stalling() -> AsyncIterator[bytes]:
        yield agent_archive()[:10]
        await go_on.wait()

    form = aiohttp.FormData()
    form.add_field("file", stalling(), filename="package.afps")
    answer = await owner.request("POST", "/api/packages/import", data=form)
    go_on.set()

    assert (answer.status, answer.code) == (503, "unavailable")
    assert "nothing arrived" in answer.json["detail"]


async def test_names_belong_to_whoever_came_first(owner: Api, server: Server) -> None:
    content = agent_archive(agent_manifest(f"{owner.scope}/mine"))
    await owner.upload(content)
    stranger = await new_owner(server.url)
    stolen = await stranger.upload(content)
    system = await owner.upload(agent_archive(agent_manifest("@appstrate/hello-world")))
    other_type = await owner.upload(skill_archive(skill_manifest(f"{owner.scope}/mine")))
    again = await owner.post(
        "/api/packages/agents",
        {"manifest": agent_manifest(f"{owner.scope}/mine"), "content": "x"},
    )

    assert (stolen.status, stolen.code) == (400, "name_collision")
    assert (system.status, system.code) == (400, "name_collision")
    assert (other_type.status, other_type.code) == (400, "type_mismatch")
    assert (again.status, again.code) == (409, "name_collision")


def _bomb() -> bytes:
    return archive({"manifest.json": b"\0" * (60 * 2**20)})


def _many() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zip_file:
        for n in range(10_001):
            zip_file.writestr(str(n), b"")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"no zip", "zip_invalid"),
        (agent_archive()[:-30], "zip_invalid"),
        (_bomb(), "zip_bomb"),
        (_many(), "zip_bomb"),
        (archive({"prompt.md": "x"}), "missing_manifest"),
        (archive({"../manifest.json": "{}", "prompt.md": "x"}), "zip_invalid"),
        (agent_archive(agent_manifest(schema_version="2.0")), "invalid_manifest"),
        (agent_archive(agent_manifest(type="tool")), "invalid_manifest"),
        (agent_archive(prompt=""), "missing_content"),
        (skill_archive(skill="# no name"), "invalid_content"),
        (b"PK" + b"\0" * (11 * 2**20), "file_too_large"),
    ],
)
async def test_an_archive_that_is_no_package_is_refused_and_leaves_nothing(
    owner: Api, content: bytes, code: str
) -> None:
    before = (await owner.get("/api/agents")).json["data"]
    answer = await owner.upload(content)

    assert 400 <= answer.status < 500
    assert answer.code == code
    assert (await owner.get("/api/agents")).json["data"] == before


async def test_every_problem_of_a_manifest_is_told(owner: Api) -> None:
    manifest = agent_manifest(f"{owner.scope}/bad", version="one", keywords=3)
    answer = await owner.post("/api/packages/agents", {"manifest": manifest, "content": "x"})

    assert answer.status == 400
    assert answer.fields == {
        "manifest.version": "invalid_format",
        "manifest.keywords": "invalid_type",
    }


async def test_what_is_no_upload_is_told_how_to_be_one(owner: Api) -> None:
    plain = await owner.post("/api/packages/import", {"file": "x"})
    form = await owner.request("POST", "/api/packages/import", data={"other": io.BytesIO(b"x")})
    broken = await owner.request(
        "POST",
        "/api/packages/import",
        data=b"--x\r\nnonsense",
        headers={"Content-Type": "multipart/form-data; boundary=x"},
    )

    assert [a.status for a in (plain, form, broken)] == [400, 400, 400]
    assert "part named `file`" in plain.json["detail"]


async def test_all_four_types_can_be_imported_and_listed(owner: Api) -> None:
    skill = await owner.upload(skill_archive(skill_manifest(f"{owner.scope}/tone")))
    server_manifest = {
        "name": f"{owner.scope}/srv",
        "version": "0.1.0",
        "type": "mcp-server",
        "manifest_version": "0.3",
        "server": {"type": "node", "entry_point": "server/index.js"},
    }
    mcp = await owner.upload(
        archive({"manifest.json": json.dumps(server_manifest), "server/index.js": "//"})
    )
    integration_manifest = {
        "name": f"{owner.scope}/api",
        "version": "1.0.0",
        "type": "integration",
        "source": {"kind": "none"},
        "auths": {
            "primary": {
                "type": "oauth2",
                "issuer": "https://id.example",
                "authorized_uris": ["https://api.example/**"],
            }
        },
    }
    integration = await owner.upload(archive({"manifest.json": json.dumps(integration_manifest)}))

    assert [a.json["type"] for a in (skill, mcp, integration)] == [
        "skill",
        "mcp-server",
        "integration",
    ]
    shown = await owner.get(f"/api/packages/mcp-servers/{owner.scope}/srv")
    assert json.loads(shown.json["content"]) == server_manifest  # it has no text of its own
    for folder, name in (("skills", "tone"), ("mcp-servers", "srv"), ("integrations", "api")):
        listed = [p["id"] for p in (await owner.get(f"/api/packages/{folder}")).json["data"]]
        assert f"{owner.scope}/{name}" in listed
        detail = (await owner.get(f"/api/packages/{folder}/{owner.scope}/{name}")).json
        assert detail["manifest_name"] == f"{owner.scope}/{name}"
    json_server = await owner.post("/api/packages/mcp-servers", {"manifest": server_manifest})
    assert (json_server.status, json_server.code) == (415, "archive_required")


async def test_shipped_packages_are_everybodys_and_nobodys(owner: Api) -> None:
    agents = {a["id"]: a for a in (await owner.get("/api/agents")).json["data"]}
    detail = (await owner.get("/api/packages/agents/@appstrate/hello-world")).json

    assert agents["@appstrate/hello-world"]["source"] == "system"
    assert "@appstrate/meeting-notes" in agents
    assert "prompt" not in detail
    skill = (await owner.get("/api/packages/skills/@appstrate/plain-writing")).json
    assert skill["agents"] == ["@appstrate/meeting-notes"]
    assert skill["used_by_agents"] == 1
    sent_encoded = await owner.get("/api/packages/agents/%40appstrate/hello-world")
    assert sent_encoded.status == 200


def test_shipped_archives_are_what_their_sources_make() -> None:
    from appstrate.cli.archives import differences
    from appstrate.paths import SYSTEM_PACKAGES

    assert differences(SYSTEM_PACKAGES / "sources", SYSTEM_PACKAGES) == []


def test_building_is_repeatable_and_refuses_links(tmp_path: Path) -> None:
    from appstrate.cli.archives import BuildError, build
    from appstrate.paths import SYSTEM_PACKAGES

    shipped = len(list(SYSTEM_PACKAGES.glob("*.afps")))
    assert len(build(SYSTEM_PACKAGES / "sources", tmp_path)) == shipped
    assert build(SYSTEM_PACKAGES / "sources", tmp_path) == []
    source = tmp_path / "sources" / "skill-tone-1.0.0"
    source.mkdir(parents=True)
    (source / "manifest.json").write_text(json.dumps(skill_manifest()))
    (source / "SKILL.md").symlink_to("/etc/passwd")
    with pytest.raises(BuildError, match="symbolic link"):
        build(tmp_path / "sources", tmp_path)
