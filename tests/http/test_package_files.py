import io
import json
import zipfile
from pathlib import Path

import pytest
from yarl import URL

from actors.packages.content import blob_key, integrity_of
from support.api import Api
from support.fake_model import FakeModel, Say
from support.packages import SKILL, agent_manifest, archive, skill_archive, skill_manifest


def rich_skill(name: str, **files: str | bytes) -> bytes:
    manifest = json.dumps(skill_manifest(name))
    return archive({"manifest.json": manifest, "SKILL.md": SKILL, **files})


async def test_the_files_of_a_package_are_listed(owner: Api) -> None:
    name = f"{owner.scope}/rich"
    files: dict[str, str | bytes] = {"a/icon.png": b"\x89PNG\0", "a/big.txt": "x" * (2**20 + 1)}
    await owner.upload(rich_skill(name, **files))
    listed = await owner.get(f"/api/packages/{name}/files")
    entries = {e["path"]: e for e in listed.json["entries"]}

    assert list(entries) == ["SKILL.md", "a/big.txt", "a/icon.png", "manifest.json"]
    assert entries["SKILL.md"] == {
        "path": "SKILL.md",
        "size": len(SKILL),
        "media_kind": "text",
        "inline": SKILL,
    }
    assert entries["a/icon.png"] == {"path": "a/icon.png", "size": 5, "media_kind": "binary"}
    assert "inline" not in entries["a/big.txt"]

    tag = listed.headers["Etag"]
    again = await owner.get(f"/api/packages/{name}/files", headers={"If-None-Match": tag})
    assert (again.status, again.body) == (304, b"")
    await owner.put(f"/api/packages/skills/{name}", {"content": SKILL + "!", "lock_version": 1})
    changed = await owner.get(f"/api/packages/{name}/files", headers={"If-None-Match": tag})
    assert changed.status == 200
    assert changed.json["entries"][0]["inline"] == SKILL + "!"
    published = await owner.get(f"/api/packages/{name}/files?version=1.0.0")
    assert published.headers["Etag"] == tag


async def test_a_file_is_given_as_it_is_and_as_nothing_else(owner: Api) -> None:
    name = f"{owner.scope}/page"
    files: dict[str, str | bytes] = {"x/p.html": "<script>1</script>", "b": b"\0\xff"}
    await owner.upload(rich_skill(name, **files))
    content = f"/api/packages/{name}/files/content"
    page = await owner.get(f"{content}?path=x/p.html")
    binary = await owner.get(f"{content}?path=b")

    assert page.body == b"<script>1</script>"
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert page.headers["Content-Disposition"] == "attachment"
    assert (binary.body, binary.headers["Content-Type"]) == (
        b"\0\xff",
        "application/octet-stream",
    )


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("../../../../etc/passwd", 400),
        ("/etc/passwd", 400),
        ("x\\\\..", 400),
        ("./SKILL.md", 400),
        ("SKILL.md/", 400),
        ("skill.md", 404),
        ("missing", 404),
        ("", 400),
    ],
)
async def test_a_path_leads_nowhere_else(owner: Api, path: str, status: int) -> None:
    url = URL(f"{owner.url}/api/packages/@appstrate/plain-writing/files/content")
    answer = await owner.get(url.with_query(path=path))

    assert answer.status == status, answer.body
    assert (await owner.get(url)).json["param"] == "path"


async def test_a_version_is_downloaded_with_the_bytes_it_was_published_with(owner: Api) -> None:
    name = f"{owner.scope}/tone"
    content = skill_archive(skill_manifest(name))
    await owner.upload(content)
    found = await owner.get(f"/api/packages/{name}/%5E1.0.0/download")

    assert found.body == content
    assert found.headers["Content-Type"] == "application/zip"
    assert found.headers["X-Integrity"] == integrity_of(content)
    assert found.headers["X-Yanked"] == "false"
    await owner.post(f"/api/packages/skills/{name}/versions/1.0.0/yank")
    yanked = await owner.get(f"/api/packages/{name}/1.0.0/download")
    assert yanked.headers["X-Yanked"] == "true"
    assert (await owner.get(f"/api/packages/{name}/latest/download")).status == 404
    shipped = await owner.get("/api/packages/@appstrate/plain-writing/latest/download")
    assert zipfile.is_zipfile(io.BytesIO(shipped.body))
    assert (await owner.get("/api/packages/@appstrate/plain-writing/9/download")).status == 404


@pytest.mark.parametrize("damage", ["flipped", "missing"])
async def test_bytes_that_are_not_what_was_published_are_not_given_out(
    owner: Api, data_folder: Path, fake: FakeModel, damage: str
) -> None:
    skill = f"{owner.scope}/tone"
    content = skill_archive(skill_manifest(skill))
    await owner.upload(content)
    manifest = agent_manifest(f"{owner.scope}/writer", dependencies={"skills": {skill: "^1.0.0"}})
    await owner.post("/api/packages/agents", {"manifest": manifest, "content": "Write."})
    await owner.new_model(fake, fake.script(f"tone-{damage}", Say("Done.")))
    blob = data_folder / "storage" / blob_key(integrity_of(content))
    if damage == "flipped":
        blob.write_bytes(bytes([*content[:40], content[40] ^ 1, *content[41:]]))
    else:
        blob.unlink()

    for path in ("files", "1.0.0/download"):
        answer = await owner.get(f"/api/packages/{skill}/{path}")
        assert (answer.status, answer.code) == (500, "bundle_integrity_mismatch")
    run = await owner.finished(f"{owner.scope}/writer")
    assert run["status"] == "failed"
    # Importing the same bytes by force mends it.
    assert (await owner.upload(content, query="?force=true")).status == 201
    assert (await owner.get(f"/api/packages/{skill}/1.0.0/download")).body == content
