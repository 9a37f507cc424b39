import asyncio
import io
import json
import zipfile
from typing import Any

import pytest

from support.api import Api
from support.packages import (
    agent_archive,
    agent_manifest,
    archive,
    skill_archive,
    skill_manifest,
)

Json = dict[str, Any]


def paths(name: str, folder: str = "agents") -> tuple[str, str]:
    draft = f"/api/packages/{folder}/{name}"
    return draft, f"{draft}/versions"


async def published(owner: Api, name: str, *versions: str) -> tuple[str, str]:
    """A package whose versions say their number in the prompt."""
    for version in versions:
        content = agent_archive(agent_manifest(name, version=version), version)
        made = await owner.upload(content)
        assert made.status == 201, made.body
    return paths(name)


async def listed(owner: Api, versions: str) -> list[str]:
    return [v["version"] for v in (await owner.get(versions)).json["versions"]]


async def test_a_draft_is_edited_at_the_version_one_has_read(owner: Api) -> None:
    draft, _ = paths(await owner.new_agent(prompt="one"))
    read = (await owner.get(draft)).json
    first = await owner.put(draft, {"content": "two", "lock_version": read["lock_version"]})
    stale = await owner.put(draft, {"content": "three", "lock_version": read["lock_version"]})
    after = (await owner.get(draft)).json

    assert (first.status, first.json["prompt"]) == (200, "two")
    assert first.json["lock_version"] == read["lock_version"] + 1
    assert (stale.status, stale.code) == (409, "conflict")
    assert (after["prompt"], after["has_unarchived_changes"]) == ("two", True)
    assert after["manifest"] == read["manifest"]


async def test_two_edits_at_once_do_not_overwrite_each_other(owner: Api) -> None:
    draft, _ = paths(await owner.new_agent())
    lock = (await owner.get(draft)).json["lock_version"]
    answers = await asyncio.gather(
        *(owner.put(draft, {"content": f"{n}", "lock_version": lock}) for n in range(6))
    )

    assert sorted(a.status for a in answers) == [200] + [409] * 5


async def test_what_an_edit_may_not_do(owner: Api) -> None:
    draft, _ = paths(await owner.new_agent())
    manifest = (await owner.get(draft)).json["manifest"]
    renamed = await owner.put(draft, {"lock_version": 1, "manifest": manifest | {"name": "@a/b"}})
    retired = manifest | {"dependencies": {"tools": {"@a/b": "*"}}}
    wrong = await owner.put(draft, {"lock_version": 1, "manifest": retired})
    without = await owner.put(draft, {"content": "x"})
    text = await owner.put(draft, {"content": "x", "lock_version": "1"})
    system = await owner.put(
        "/api/packages/agents/@appstrate/hello-world", {"lock_version": 1, "content": "x"}
    )

    assert (renamed.status, renamed.fields) == (400, {"manifest.name": "invalid_value"})
    assert (wrong.status, wrong.fields) == (
        400,
        {"manifest.dependencies.tools": "unknown_field"},
    )
    assert (without.status, without.fields) == (400, {"lock_version": "required"})
    assert (text.status, text.fields) == (400, {"lock_version": "invalid_type"})
    assert (system.status, system.code) == (403, "operation_not_allowed")
    assert (await owner.get(draft)).json["lock_version"] == 1


async def test_a_draft_is_published_as_the_next_version(owner: Api) -> None:
    draft, versions = paths(await owner.new_agent(prompt="one"))
    nothing = await owner.post(versions, {})
    await owner.put(draft, {"content": "two", "lock_version": 1})
    same = await owner.post(versions, {})
    lower = await owner.post(versions, {"version": "0.9.0"})
    wrong = await owner.post(versions, {"version": "two"})
    made = await owner.post(versions, {"version": "1.1.0"})
    after = (await owner.get(draft)).json

    assert (nothing.status, nothing.code) == (409, "no_changes")
    assert (same.status, same.code) == (409, "version_exists")
    assert (lower.status, lower.code, lower.json["param"]) == (400, "invalid_request", "version")
    assert (wrong.status, wrong.json["param"]) == (400, "version")
    assert (made.status, made.json["version"]) == (201, "1.1.0")
    assert made.json["content"] == "two"
    assert made.json["dist_tags"] == ["latest"]
    assert (after["version"], after["manifest"]["version"]) == ("1.1.0", "1.1.0")
    assert (after["has_unarchived_changes"], after["version_count"]) == (False, 2)
    assert await listed(owner, versions) == ["1.1.0", "1.0.0"]


async def test_one_of_many_publications_at_once_wins(owner: Api) -> None:
    draft, versions = paths(await owner.new_agent())
    await owner.put(draft, {"content": "two", "lock_version": 1})
    answers = await asyncio.gather(*(owner.post(versions, {"version": "2.0.0"}) for _ in range(5)))

    assert sorted(a.status for a in answers) == [201] + [409] * 4
    assert await listed(owner, versions) == ["2.0.0", "1.0.0"]


async def test_publishing_keeps_every_file_of_the_draft(owner: Api) -> None:
    name = f"{owner.scope}/tone"
    await owner.upload(skill_archive(skill_manifest(name, zebra=[1])))
    draft, versions = paths(name, "skills")
    edited = "---\nname: tone\n---\nBe kind."
    answer = await owner.put(draft, {"content": edited, "lock_version": 1})
    assert answer.status == 200, answer.body
    made = await owner.post(versions, {"version": "1.0.1"})
    assert made.status == 201, made.body
    download = await owner.get(f"/api/packages/{name}/1.0.1/download")
    with zipfile.ZipFile(io.BytesIO(download.body)) as found:
        files = {entry: found.read(entry).decode() for entry in found.namelist()}

    assert files["SKILL.md"] == edited
    assert files["references/words.txt"] == "short"
    assert json.loads(files["manifest.json"]) == skill_manifest(name, zebra=[1], version="1.0.1")


@pytest.mark.parametrize("query", ["%5E1.0.0", "1.x", "~1.2.0", "1.2.0", "%3E=1%20%3C2", "latest"])
async def test_a_version_is_found_by_range_tag_and_name(owner: Api, query: str) -> None:
    _, versions = await published(owner, f"{owner.scope}/many", "1.0.0", "1.2.0", "2.0.0-rc.1")
    found = await owner.get(f"{versions}/{query}")

    assert (found.status, found.json["version"]) == (200, "1.2.0")
    assert set(found.json) == {
        *("id", "version", "manifest", "content", "integrity", "artifact_size", "yanked"),
        *("yanked_reason", "createdAt", "dist_tags"),
    }


async def test_a_yanked_version_is_found_by_its_name_alone(owner: Api) -> None:
    _, versions = await published(owner, f"{owner.scope}/pulled", "1.0.0", "1.1.0", "2.0.0-rc.1")
    yanked = await owner.post(f"{versions}/1.1.0/yank", {"reason": "wrong figures"})
    ranged = await owner.get(f"{versions}/%5E1.0.0")
    exact = await owner.get(f"{versions}/1.1.0")
    latest = await owner.get(f"{versions}/latest")
    again = await owner.upload(
        agent_archive(agent_manifest(f"{owner.scope}/pulled", version="1.0.5"))
    )
    assert (yanked.status, yanked.json["dist_tags"]) == (200, [])
    assert (yanked.json["yanked"], yanked.json["yanked_reason"]) == (True, "wrong figures")
    assert (ranged.json["version"], latest.json["version"]) == ("1.0.0", "1.0.0")
    assert exact.json["yanked"] is True
    assert (again.status, again.code) == (400, "post_install_failed")

    back = await owner.delete(f"{versions}/1.1.0/yank")
    assert (back.json["yanked"], back.json["yanked_reason"]) == (False, None)
    assert back.json["dist_tags"] == ["latest"]
    assert (await owner.post(f"{versions}/%5E1.0.0/yank", {})).status == 404
    assert (await owner.post(f"{versions}/1.0.0/yank", {"why": "x"})).status == 400


async def test_nothing_is_latest_when_all_stable_versions_are_yanked(owner: Api) -> None:
    draft, versions = await published(owner, f"{owner.scope}/gone", "1.0.0", "2.0.0-rc.1")
    await owner.post(f"{versions}/1.0.0/yank")

    assert (await owner.get(f"{versions}/latest")).status == 404
    assert (await owner.get(f"{versions}/info")).json == {
        "latest_published_version": None,
        "active_version": None,
    }
    assert (await owner.get(f"{draft}?version=published")).status == 404


async def test_tags_of_ones_own(owner: Api) -> None:
    draft, versions = await published(owner, f"{owner.scope}/tagged", "1.0.0", "2.0.0-rc.1")
    tags = f"{draft}/dist-tags"
    made = await owner.put(f"{tags}/beta", {"version": "2.0.0-rc.1"})
    found = await owner.get(f"{versions}/beta")
    assert (made.status, made.json["dist_tags"]) == (200, ["beta"])
    assert found.json["version"] == "2.0.0-rc.1"

    await owner.post(f"{versions}/2.0.0-rc.1/yank")
    moved = await owner.get(f"{versions}/beta")
    assert moved.json["version"] == "1.0.0"
    protected = [await owner.put(f"{tags}/{t}", {"version": "1.0.0"}) for t in ("latest", "draft")]
    assert [a.status for a in protected] == [400, 400]
    assert (await owner.put(f"{tags}/Beta", {"version": "1.0.0"})).status == 400
    assert (await owner.put(f"{tags}/old", {"version": "3.0.0"})).status == 404
    assert (await owner.put(f"{tags}/old", {"version": "2.0.0-rc.1"})).status == 400
    assert (await owner.delete(f"{tags}/beta")).status == 204
    assert (await owner.delete(f"{tags}/beta")).status == 404
    assert (await owner.get(f"{versions}/beta")).status == 404


async def test_a_version_comes_back_as_the_draft(owner: Api) -> None:
    draft, versions = await published(owner, f"{owner.scope}/undone", "1.0.0", "2.0.0")
    restored = await owner.post(f"{versions}/1.0.0/restore")
    assert (restored.status, restored.json["prompt"]) == (200, "1.0.0")
    assert restored.json["has_unarchived_changes"] is False
    assert (await owner.post(versions, {})).code == "no_changes"
    again = await owner.post(versions, {"version": "2.0.1"})
    assert (again.status, again.json["content"]) == (201, "1.0.0")
    assert (await owner.post(f"{versions}/latest/restore")).status == 404
    assert (await owner.get(draft)).json["version"] == "2.0.1"


async def test_a_deleted_version_is_gone_and_latest_moves(owner: Api) -> None:
    name = f"{owner.scope}/short"
    draft, versions = await published(owner, name, "1.0.0", "1.1.0")
    assert (await owner.delete(f"{versions}/%5E1.0.0")).status == 404
    assert (await owner.delete(f"{versions}/1.1.0")).status == 204

    assert await listed(owner, versions) == ["1.0.0"]
    assert (await owner.get(f"{versions}/latest")).json["version"] == "1.0.0"
    assert (await owner.get(draft)).json["has_unarchived_changes"] is True
    assert (await owner.post(versions, {})).json["version"] == "1.1.0"


async def test_versions_of_what_is_shipped_are_read_only(owner: Api) -> None:
    _, versions = paths("@appstrate/plain-writing", "skills")
    assert len((await owner.get(versions)).json["versions"]) == 1
    refused = [
        await owner.post(versions, {}),
        await owner.post(f"{versions}/1.0.0/yank"),
        await owner.post(f"{versions}/1.0.0/restore"),
        await owner.delete(f"{versions}/1.0.0"),
        await owner.put(f"{versions[:-8]}dist-tags/x", {"version": "1.0.0"}),
    ]

    assert [(a.status, a.code) for a in refused] == [(403, "operation_not_allowed")] * 5


async def test_an_integration_is_made_of_json_and_published_anew(owner: Api) -> None:
    name = f"{owner.scope}/service"
    auth = {"type": "oauth2", "issuer": "https://id.example", "authorized_uris": ["https://a/**"]}
    manifest = {
        "name": name,
        "version": "1.0.0",
        "type": "integration",
        "source": {"kind": "none"},
        "auths": {"primary": auth},
    }
    made = await owner.post("/api/packages/integrations", {"manifest": manifest})
    assert (made.status, made.json["version_count"]) == (201, 1), made.body
    draft, versions = paths(name, "integrations")
    notes = await owner.put(draft, {"content": "Ask politely.", "lock_version": 1})
    described = await owner.put(
        draft, {"manifest": manifest | {"description": "A service"}, "lock_version": 2}
    )
    again = await owner.post(versions, {"version": "1.1.0"})
    files = (await owner.get(f"/api/packages/{name}/files?version=1.1.0")).json["entries"]

    assert (notes.json["content"], described.json["content"]) == ("Ask politely.",) * 2
    assert (again.status, again.json["manifest"]["description"]) == (201, "A service")
    assert {f["path"]: f["inline"] for f in files}["INTEGRATION.md"] == "Ask politely."


async def test_the_manifest_of_a_server_is_edited_and_its_files_stay(owner: Api) -> None:
    name = f"{owner.scope}/srv"
    manifest = {
        "name": name,
        "version": "0.1.0",
        "type": "mcp-server",
        "manifest_version": "0.3",
        "server": {"type": "node", "entry_point": "server/index.js"},
    }
    await owner.upload(archive({"manifest.json": json.dumps(manifest), "server/index.js": "//"}))
    draft, versions = paths(name, "mcp-servers")
    edited = await owner.put(
        draft, {"manifest": manifest | {"description": "Runs"}, "lock_version": 1}
    )
    text = await owner.put(draft, {"content": "x", "lock_version": 2})
    made = await owner.post(versions, {"version": "0.2.0"})
    files = (await owner.get(f"/api/packages/{name}/files?version=0.2.0")).json["entries"]

    assert json.loads(edited.json["content"])["description"] == "Runs"
    assert (text.status, text.json["param"]) == (400, "content")
    assert made.status == 201, made.body
    assert [f["path"] for f in files] == ["manifest.json", "server/index.js"]
    assert (await owner.get(draft)).json["has_unarchived_changes"] is False
