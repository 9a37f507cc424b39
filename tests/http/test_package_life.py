"""Forks, deletion, skills of an agent, skills without a manifest, circles."""

import asyncio
from pathlib import Path

from actors.packages.content import blob_key, integrity_of
from appstrate.boot import Server
from support.api import Api, new_owner
from support.fake_model import FakeModel, Hang, Say
from support.packages import (
    SKILL,
    agent_archive,
    agent_manifest,
    archive,
    skill_archive,
    skill_manifest,
)


async def new_skill(owner: Api, name: str, **fields: object) -> str:
    made = await owner.upload(skill_archive(skill_manifest(f"{owner.scope}/{name}", **fields)))
    assert made.status == 201, made.body
    return f"{owner.scope}/{name}"


async def test_a_shipped_package_is_forked_and_then_ones_own(owner: Api) -> None:
    made = await owner.post("/api/packages/@appstrate/meeting-notes/fork", {"name": "notes"})
    fork = f"{owner.scope}/notes"
    assert made.status == 201, made.body
    assert (made.json["id"], made.json["forked_from"]) == (fork, "@appstrate/meeting-notes")
    assert made.json["prompt"]
    assert made.json["manifest"]["name"] == fork
    skill = await owner.post("/api/packages/@appstrate/plain-writing/fork", {})
    assert skill.json["id"] == f"{owner.scope}/plain-writing"
    files = (await owner.get(f"/api/packages/{skill.json['id']}/files")).json["entries"]
    assert "references/words.md" in [f["path"] for f in files]
    edited = await owner.put(
        f"/api/packages/agents/{fork}", {"content": "Mine.", "lock_version": 1}
    )
    assert edited.json["prompt"] == "Mine."
    item = {a["id"]: a for a in (await owner.get("/api/packages/agents")).json["data"]}[fork]
    assert (item["forked_from"], item["created_by_name"]) == ("@appstrate/meeting-notes", "Ada")


async def test_what_cannot_be_forked(owner: Api, server: Server) -> None:
    own = await owner.new_agent()
    stranger = await new_owner(server.url)
    fork = "/api/packages/@appstrate/hello-world/fork"
    mine = await owner.post(f"/api/packages/{own}/fork", {"name": "other"})
    taken = await owner.post(fork, {"name": "report"})
    wrong = await owner.post(fork, {"name": "Not A Slug"})

    assert mine.status == 400
    assert (taken.status, taken.code) == (400, "name_collision")
    assert (wrong.status, wrong.code) == (400, "validation_failed")
    assert (await stranger.post(f"/api/packages/{own}/fork", {})).status == 404


async def test_a_deleted_package_is_gone_and_its_runs_stay(
    owner: Api, fake: FakeModel, data_folder: Path
) -> None:
    name = f"{owner.scope}/doomed"
    contents = [agent_archive(agent_manifest(name, version=f"1.{n}.0"), f"{n}") for n in (0, 1)]
    for content in contents:
        await owner.upload(content)
    blobs = [data_folder / "storage" / blob_key(integrity_of(content)) for content in contents]
    await owner.new_model(fake, fake.script("doomed", Say("Done.")))
    run = await owner.finished(name)
    assert all(blob.exists() for blob in blobs)
    gone = await owner.delete(f"/api/packages/agents/{name}")
    assert gone.status == 204, gone.body

    assert (await owner.get(f"/api/packages/agents/{name}")).code == "agent_not_found"
    assert (await owner.launch(name)).status == 404
    left = (await owner.get(f"/api/runs/{run['id']}")).json
    assert (left["packageId"], left["agent_scope"], left["agent_name"]) == (
        None,
        owner.scope,
        "doomed",
    )
    assert not any(blob.exists() for blob in blobs)
    assert (await owner.upload(contents[0])).status == 201  # the name is free again
    assert blobs[0].exists()


async def test_a_package_in_use_is_not_deleted(owner: Api, fake: FakeModel) -> None:
    skill = await new_skill(owner, "tone")
    agent = await owner.new_agent(dependencies={"skills": {skill: "^1.0.0"}})
    await owner.new_model(fake, fake.script("in-use", Hang()))
    run = (await owner.launch(agent)).json["id"]
    busy = await owner.delete(f"/api/packages/agents/{agent}")
    needed = await owner.delete(f"/api/packages/skills/{skill}")
    assert (busy.status, busy.code) == (409, "agent_in_use")
    assert (needed.status, needed.code) == (409, "in_use")
    assert agent in needed.json["detail"]

    await owner.post(f"/api/runs/{run}/cancel")
    await owner.wait(run)
    assert (await owner.delete(f"/api/packages/agents/{agent}")).status == 204
    assert (await owner.delete(f"/api/packages/skills/{skill}")).status == 204
    system = await owner.delete("/api/packages/skills/@appstrate/plain-writing")
    assert (system.status, system.code) == (403, "operation_not_allowed")


async def test_a_deletion_and_launches_at_once_leave_nothing_half_done(
    owner: Api, fake: FakeModel
) -> None:
    agent = await owner.new_agent()
    await owner.new_model(fake, fake.script("race", Say("Done.")))
    answers = await asyncio.gather(
        *(owner.launch(agent) for _ in range(4)),
        owner.delete(f"/api/packages/agents/{agent}"),
        *(owner.launch(agent) for _ in range(4)),
    )
    statuses = [a.status for a in answers]
    assert set(statuses) <= {201, 204, 404, 409}, [a.body for a in answers]
    for answer in answers:
        if answer.status == 201:
            assert (await owner.wait(answer.json["id"]))["status"] == "success"


async def test_archives_that_are_deleted_and_brought_at_once_are_there(
    owner: Api, data_folder: Path
) -> None:
    name = f"{owner.scope}/flicker"
    content = agent_archive(agent_manifest(name))
    blob = data_folder / "storage" / blob_key(integrity_of(content))
    for _ in range(5):
        await asyncio.gather(
            *(owner.upload(content) for _ in range(3)),
            owner.delete(f"/api/packages/agents/{name}"),
            owner.upload(content),
        )
        there = (await owner.get(f"/api/packages/agents/{name}")).status == 200
        assert blob.exists() is there


async def test_the_bytes_of_a_refused_import_are_not_kept(
    owner: Api, server: Server, data_folder: Path
) -> None:
    await owner.upload(agent_archive(agent_manifest(f"{owner.scope}/mine")))
    stranger = await new_owner(server.url)
    content = agent_archive(agent_manifest(f"{owner.scope}/mine"), "Stolen.")
    refused = await stranger.upload(content)

    assert (refused.status, refused.code) == (400, "name_collision")
    assert not (data_folder / "storage" / blob_key(integrity_of(content))).exists()


async def test_bytes_that_force_replaced_are_not_kept(owner: Api, data_folder: Path) -> None:
    manifest = agent_manifest(f"{owner.scope}/fixed")
    old, new = agent_archive(manifest, "one"), agent_archive(manifest, "two")
    await owner.upload(old)
    await owner.upload(new, query="?force=true")

    assert not (data_folder / "storage" / blob_key(integrity_of(old))).exists()
    assert (await owner.get(f"/api/packages/{owner.scope}/fixed/1.0.0/download")).body == new


async def test_the_skills_of_an_agent_are_chosen(owner: Api) -> None:
    skill = await new_skill(owner, "tone", version="1.2.0")
    agent = await owner.new_agent(dependencies={"skills": {skill: "~1.2"}, "integrations": {}})
    path = f"/api/agents/{agent}/skills"
    both = await owner.put(path, {"skillIds": [skill, "@appstrate/plain-writing"]})
    assert both.status == 200, both.body
    shipped = both.json["manifest"]["dependencies"]["skills"]["@appstrate/plain-writing"]
    assert shipped.startswith("^")
    assert both.json["manifest"]["dependencies"]["skills"][skill] == "~1.2"
    assert both.json["manifest"]["dependencies"]["integrations"] == {}
    assert both.json["lock_version"] == 2
    unknown = await owner.put(path, {"skillIds": ["@a/b", skill, agent]})
    assert (unknown.status, unknown.code) == (400, "missing_skill")
    assert unknown.fields == {"skillIds[0]": "missing_skill", "skillIds[2]": "missing_skill"}
    assert (await owner.put(path, {"skillIds": [skill] * 51})).status == 400
    none = await owner.put(path, {"skillIds": []})
    assert none.json["dependencies"]["skills"] == []


async def test_a_skill_without_a_manifest_gets_one(owner: Api) -> None:
    files: dict[str, str | bytes] = {"my-skill/SKILL.md": SKILL, "my-skill/a/b.txt": "b"}
    made = await owner.upload(archive(files), name="skill.zip")
    name = f"{owner.scope}/tone"
    assert (made.status, made.json) == (
        201,
        {"packageId": name, "type": "skill", "version": "1.0.0"},
    )
    shown = (await owner.get(f"/api/packages/skills/{name}")).json
    assert shown["manifest"] == {
        "name": name,
        "version": "1.0.0",
        "type": "skill",
        "schema_version": "0.1",
        "display_name": "tone",
        "description": "How we write",
    }
    same = await owner.upload(archive(files))
    assert (same.status, same.code) == (409, "skill_unchanged")
    changed = await owner.upload(archive({**files, "my-skill/a/b.txt": "c"}))
    assert (changed.status, changed.json["version"]) == (201, "1.0.1")
    nameless = await owner.upload(archive({"SKILL.md": "# Tone"}))
    assert (nameless.status, nameless.code) == (400, "invalid_content")


async def test_dependencies_that_lead_in_a_circle_are_not_published(owner: Api) -> None:
    scope = owner.scope
    for name, needed in (("a", "b"), ("b", "c")):
        needs = {"skills": {f"{scope}/{needed}": "*"}}
        await new_skill(owner, name, dependencies=needs)
    closing = skill_manifest(f"{scope}/c", dependencies={"skills": {f"{scope}/a": "*"}})
    imported = await owner.upload(skill_archive(closing))
    created = await owner.post("/api/packages/skills", {"manifest": closing, "content": SKILL})
    published = await owner.post(f"/api/packages/skills/{scope}/c/versions", {})

    assert (imported.status, imported.code) == (400, "validation_failed")
    assert (created.status, created.json["version_count"]) == (201, 0)  # it stays a draft
    assert (published.status, published.fields) == (400, {"dependencies": "invalid_value"})
    circle = [f"{scope}/{name}" for name in ("c", "a", "b", "c")]
    assert " → ".join(circle) in published.json["detail"]
