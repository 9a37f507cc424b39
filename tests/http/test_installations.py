from typing import Any

from support.api import Api
from support.fake_model import FakeModel, Say
from support.packages import agent_archive, agent_manifest, archive, skill_archive, skill_manifest

Json = dict[str, Any]


def installed(owner: Api) -> str:
    return f"/api/applications/{owner.application['id']}/packages"


async def another_application(owner: Api) -> Api:
    """The same person, acting in a second application."""
    made = await owner.post("/api/applications", {"name": "Second"})
    assert made.status == 201, made.body
    other = Api(owner.url, jar=owner.jar, org=owner.org, application=made.json)
    other.headers = owner.headers | {"X-Application-Id": made.json["id"]}
    return other


async def test_a_package_is_installed_in_each_application_by_itself(owner: Api) -> None:
    agent = await owner.new_agent()
    other = await another_application(owner)
    hidden = await other.get(f"/api/packages/agents/{agent}")
    run = await other.launch(agent)
    assert (hidden.status, hidden.code) == (404, "agent_not_installed_in_app")
    assert (run.status, run.code) == (404, "agent_not_installed_in_app")

    made = await other.post(installed(other), {"packageId": agent})
    assert made.status == 201, made.body
    assert set(made.json) == {
        *("object", "packageId", "generationConfig", "modelId", "proxyId", "version_id"),
        *("enabled", "installed_at", "updatedAt", "package_type", "package_source"),
        "draft_manifest",
    }
    assert (made.json["object"], made.json["packageId"]) == ("application_package", agent)
    assert (await other.get(f"/api/packages/agents/{agent}")).status == 200
    again = await other.post(installed(other), {"packageId": agent})
    assert (again.status, again.code) == (409, "already_installed")
    listed = (await other.get(installed(other))).json["data"]
    assert [each["packageId"] for each in listed] == [agent]
    assert (await other.get(f"{installed(other)}?type=skill")).json["data"] == []

    assert (await other.delete(f"{installed(other)}/{agent}")).status == 204
    gone = await other.delete(f"{installed(other)}/{agent}")
    assert (gone.status, gone.code) == (404, "package_not_installed")
    assert (await other.get(f"{installed(other)}/{agent}")).code == "package_not_installed"
    assert (await owner.get(f"/api/packages/agents/{agent}")).status == 200


async def test_a_skill_that_is_not_installed_is_told_apart_too(owner: Api) -> None:
    skill = f"{owner.scope}/tone"
    await owner.upload(skill_archive(skill_manifest(skill)))
    other = await another_application(owner)
    for path in (f"/api/packages/skills/{skill}", f"/api/packages/{skill}/files"):
        answer = await other.get(path)
        assert (answer.status, answer.code) == (404, "package_not_installed_in_app")
    assert (await other.get(f"/api/packages/agents/{skill}")).code == "agent_not_found"


async def test_what_cannot_be_installed(owner: Api) -> None:
    manifest = (
        f'{{"name":"{owner.scope}/srv","version":"1.0.0","type":"mcp-server",'
        '"manifest_version":"0.3","server":{"type":"node","entry_point":"i.js"}}'
    )
    await owner.upload(archive({"manifest.json": manifest, "i.js": "//"}))
    other = await another_application(owner)
    server = await other.post(installed(other), {"packageId": f"{owner.scope}/srv"})
    unknown = await other.post(installed(other), {"packageId": "@nobody/nothing"})

    assert (server.status, server.json["param"]) == (422, "packageId")
    assert (unknown.status, unknown.code) == (404, "not_found")
    shipped = await other.post(installed(other), {"packageId": "@appstrate/hello-world"})
    assert (shipped.status, shipped.json["package_source"]) == (201, "system")


async def test_a_pinned_version_is_the_one_that_runs(owner: Api, fake: FakeModel) -> None:
    name = f"{owner.scope}/pinned"
    for version in ("1.0.0", "1.1.0"):
        content = agent_archive(agent_manifest(name, version=version), f"I am {version}.")
        await owner.upload(content)
    await owner.new_model(fake, fake.script("pin", Say("Done.")))
    versions = f"/api/packages/agents/{name}/versions"
    ids = {v["version"]: v["id"] for v in (await owner.get(versions)).json["versions"]}
    one = f"{installed(owner)}/{name}"
    pinned = await owner.put(one, {"version_id": ids["1.0.0"]})
    assert (pinned.status, pinned.json["version_id"]) == (200, ids["1.0.0"])

    run = await owner.finished(name)
    assert (run["version_ref"], run["version_label"]) == ("1.0.0", "1.0.0")
    assert "I am 1.0.0." in str(fake.requests_of("pin")[0])
    assert (await owner.get(f"{versions}/info")).json == {
        "latest_published_version": "1.1.0",
        "active_version": "1.0.0",
    }
    asked = await owner.launch(name, query="?version=latest")
    assert asked.json["version_ref"] == "1.1.0"
    await owner.wait(asked.json["id"])
    assert (await owner.get(f"{one}/run-config")).json["version_pin"] == "1.0.0"
    # Without its version there is no pin.
    await owner.delete(f"{versions}/1.0.0")
    assert (await owner.get(one)).json["version_id"] is None
    assert (await owner.finished(name))["version_ref"] == "1.1.0"


async def test_an_installation_is_set_up_piece_by_piece(owner: Api, fake: FakeModel) -> None:
    agent, other = await owner.new_agent(), await owner.new_agent("other")
    model = await owner.new_model(fake, fake.script("setup", Say("x")))
    one = f"{installed(owner)}/{agent}"
    await owner.put(one, {"modelId": model["id"], "proxyId": "none"})
    both = await owner.put(one, {"generationConfig": {"temperature": 0.5}})
    versions = (await owner.get(f"/api/packages/agents/{other}/versions")).json["versions"]
    foreign = await owner.put(one, {"version_id": versions[0]["id"]})
    unknown = await owner.put(one, {"modelId": "nothing"})
    hot = await owner.put(one, {"generationConfig": {"temperature": 2}})

    assert (both.json["modelId"], both.json["proxyId"]) == (model["id"], "none")
    assert both.json["generationConfig"]["temperature"] == 0.5
    assert (foreign.status, foreign.json["param"]) == (400, "version_id")
    assert unknown.status == 404
    assert (hot.status, hot.fields) == (400, {"generationConfig.temperature": "out_of_range"})
    config = (await owner.get(f"{one}/run-config")).json
    assert config == {
        "generation": both.json["generationConfig"],
        "modelId": model["id"],
        "proxyId": "none",
        "version_pin": None,
        "input": {"values": {}, "locked_fields": []},
    }
    cleared = await owner.put(one, {"modelId": None, "generationConfig": None})
    assert (cleared.json["modelId"], cleared.json["generationConfig"]) == (None, None)


async def test_an_agent_that_is_switched_off_does_not_run(owner: Api) -> None:
    agent = await owner.new_agent()
    await owner.put(f"{installed(owner)}/{agent}", {"enabled": False})
    answer = await owner.launch(agent)
    every = [p["id"] for p in (await owner.get("/api/packages/agents")).json["data"]]
    active = (await owner.get("/api/packages/agents?active=true")).json["data"]

    assert (answer.status, answer.code) == (404, "agent_not_installed_in_app")
    assert agent in every
    assert agent not in [p["id"] for p in active]


async def test_a_key_knows_its_own_application_alone(owner: Api) -> None:
    other = await another_application(owner)
    key = await owner.with_key()

    assert (await key.get(installed(owner))).status == 200
    assert (await key.get(installed(other))).status == 404


async def test_the_library_tells_where_everything_is(owner: Api) -> None:
    agent = await owner.new_agent()
    other = await another_application(owner)
    await other.post(installed(other), {"packageId": agent})
    found = (await owner.get("/api/library")).json
    items = {item["id"]: item for item in found["packages"]["agent"]}

    assert found["object"] == "library"
    assert [a["id"] for a in found["applications"]] == [
        owner.application["id"],
        other.application["id"],
    ]
    assert set(found["packages"]) == {"agent", "skill", "mcp-server", "integration"}
    assert items[agent] == {
        "id": agent,
        "type": "agent",
        "source": "local",
        "name": "Report",
        "description": "Writes a report",
        "installed_in": [owner.application["id"], other.application["id"]],
    }
    assert items["@appstrate/hello-world"]["installed_in"] == []
