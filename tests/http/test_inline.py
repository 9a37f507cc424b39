"""Runs of agents that come with their launch."""

import json
from typing import Any

import pytest

from support.api import Answer, Api
from support.fake_model import FakeModel, Say
from support.packages import SKILL, skill_archive, skill_manifest, typed_agent_manifest

Json = dict[str, Any]
INPUT = typed_agent_manifest()["input"]


def body(manifest: Json | None = None, **fields: Any) -> Json:
    return {"manifest": manifest or {}, "prompt": "Say hello.", "modelId": "demo"} | fields


async def validated(owner: Api, **fields: Any) -> Answer:
    return await owner.post("/api/runs/inline/validate", body(**fields))


async def test_an_inline_agent_runs_like_any_other(owner: Api, fake: FakeModel) -> None:
    """With its skills, its input and its output; and it is no package."""
    tone = f"{owner.scope}/tone"
    await owner.upload(skill_archive(skill_manifest(tone)))
    manifest = typed_agent_manifest("@acme/inline", dependencies={"skills": {tone: "^1.0.0"}})
    look = Say("", {"bash": {"command": f"cat .pi/skills/{tone}/SKILL.md"}})
    name = fake.script("inline", look, Say("", {"output": {"data": {"summary": "done"}}}))
    model = await owner.new_model(fake, name)
    asked = body(manifest, prompt="Do it inline.", input={"topic": "x"}, modelId=model["id"])
    launched = await owner.post("/api/runs/inline", asked)
    assert launched.status == 201, launched.body
    run = await owner.wait(launched.json["id"])

    assert run["status"] == "success", run
    assert run["result"] == {"output": {"summary": "done"}}
    assert run["packageId"].startswith("@inline/r-")
    assert (run["package_ephemeral"], run["runNumber"]) == (True, 1)
    assert (run["inline_manifest"], run["inline_prompt"]) == (manifest, "Do it inline.")
    assert (run["agent_scope"], run["version_label"]) == ("@inline", "inline")
    assert run["input"] == {"topic": "x", "pages": 1}
    assert "Do it inline." in json.dumps(fake.requests_of(name)[0])
    assert json.dumps(SKILL)[1:40] in json.dumps(fake.requests_of(name)[1])
    names = [agent["id"] for agent in (await owner.get("/api/agents")).json["data"]]
    assert not any(name.startswith("@inline") for name in names)
    gone = await owner.get(f"/api/packages/agents/{run['packageId']}")
    assert gone.status == 404


async def test_lists_of_runs_tell_inline_runs_from_others(owner: Api) -> None:
    agent = await owner.new_agent("plain")
    packaged = (await owner.launch(agent, {"modelId": "demo"})).json["id"]
    inline = [(await owner.post("/api/runs/inline", body())).json for _ in range(2)]

    async def ids(kind: str) -> set[str]:
        found = (await owner.get(f"/api/runs?kind={kind}")).json["data"]
        return {run["id"] for run in found}

    assert [run["runNumber"] for run in inline] == [1, 2]
    assert await ids("package") == {packaged}
    assert await ids("inline") == {run["id"] for run in inline}
    assert await ids("all") == await ids("") == {packaged} | {run["id"] for run in inline}
    [listed] = (await owner.get("/api/runs?kind=inline&limit=1")).json["data"]
    assert listed["inline_manifest"] is None
    assert listed["package_ephemeral"] is True


@pytest.mark.parametrize(
    ("fields", "code", "problems"),
    [
        ({"prompt": " "}, "empty_prompt", {"prompt": "empty_prompt"}),
        ({"prompt": "x" * 200_001}, "invalid_inline_manifest", {"prompt": "out_of_range"}),
        (
            {"manifest": {"description": "x" * 66_000}},
            "invalid_inline_manifest",
            {"manifest": "out_of_range"},
        ),
        (
            {"manifest": {"type": "skill"}},
            "invalid_inline_manifest",
            {"manifest.type": "invalid_value"},
        ),
        (
            {"manifest": {"schema_version": "2.0"}},
            "invalid_inline_manifest",
            {"manifest.schema_version": "invalid_value"},
        ),
        (
            {"manifest": {"dependencies": {"skills": {f"@a/s{n}": "^1.0.0" for n in range(21)}}}},
            "invalid_inline_manifest",
            {"manifest.dependencies.skills": "out_of_range"},
        ),
        (
            {"manifest": {"dependencies": {"skills": {"@nobody/nothing": "^1.0.0"}}}},
            "missing_skill",
            {"dependencies.skills.@nobody/nothing": "missing_skill"},
        ),
        (
            {"manifest": {"input": INPUT}, "input": {}},
            "validation_failed",
            {"input.topic": "invalid_input"},
        ),
        (
            {"input": {"_context_documents": []}},
            "validation_failed",
            {"input._context_documents": "invalid_input"},
        ),
        (
            {"context_documents": ["document://doc_1"]},
            "validation_failed",
            {"context_documents[0]": "invalid_input"},
        ),
        ({"rerun_from": "run_1"}, "validation_failed", {"rerun_from": "unknown_field"}),
        ({"manifest": None}, "validation_failed", {"manifest": "invalid_type"}),
    ],
)
async def test_what_cannot_be_is_refused_and_by_validation_too(
    owner: Api, fields: Json, code: str, problems: dict[str, str]
) -> None:
    asked = body() | fields
    launched = await owner.post("/api/runs/inline", asked)
    checked = await owner.post("/api/runs/inline/validate", asked)

    assert (launched.status, launched.code) == (400, code), launched.body
    assert (checked.status, checked.code, checked.fields) == (400, code, launched.fields)
    assert launched.fields == problems
    assert (await owner.get("/api/runs")).json["total"] == 0


async def test_validation_tells_everything_at_once(owner: Api) -> None:
    good = await validated(owner)
    manifest = {"input": INPUT, "dependencies": {"skills": {"@nobody/nothing": "^1.0.0"}}}
    bad = await validated(owner, manifest=manifest, modelId="gone", proxyId="p1")

    assert (good.status, good.json) == (200, {"valid": True})
    assert bad.status == 400
    assert bad.fields == {
        "input.topic": "invalid_input",
        "dependencies.skills.@nobody/nothing": "missing_skill",
        "modelId": "not_found",
        "proxyId": "not_found",
    }
    assert (await owner.get("/api/runs")).json["total"] == 0
