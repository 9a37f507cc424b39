"""What a launch may choose, and what it is refused for."""

import json
from typing import Any

import pytest

from support.api import Answer, Api, new_owner
from support.fake_model import FakeModel, Say
from support.packages import SKILL, skill_archive, skill_manifest, typed_agent_manifest

Json = dict[str, Any]
TYPED = {k: v for k, v in typed_agent_manifest().items() if k == "input"}


@pytest.fixture
async def agent(owner: Api) -> str:
    return await owner.new_agent("typed", **TYPED)


async def configure(owner: Api, agent: str, **settings: Any) -> Answer:
    known: Json = {"values": {}, "locked_fields": []}
    return await owner.put(f"/api/agents/{agent}/input-settings", known | settings)


async def launched(owner: Api, agent: str, query: str = "", **body: Any) -> Json:
    answer = await owner.launch(agent, {"modelId": "demo"} | body, query)
    assert answer.status == 201, answer.body
    return dict(answer.json)


async def refused(owner: Api, agent: str, query: str = "", **body: Any) -> Answer:
    answer = await owner.launch(agent, {"modelId": "demo"} | body, query)
    assert answer.status >= 400, answer.body
    assert (await owner.get("/api/runs")).json["data"] == []
    return answer


async def test_input_comes_in_layers(owner: Api, agent: str) -> None:
    """The schema's defaults, what the application has set, what the caller gives."""
    plain = await launched(owner, agent, input={"topic": "x"})
    kept = await configure(owner, agent, values={"pages": "3", "topic": "set", "gone": 1})
    detail = (await owner.get(f"/api/packages/agents/{agent}")).json
    set_here = await launched(owner, agent)
    given = await launched(owner, agent, input={"topic": "given"})

    assert plain["input"] == {"topic": "x", "pages": 1}
    assert kept.json == {"values": {"pages": 3, "topic": "set"}, "locked_fields": []}
    assert detail["input"]["values"] == {"pages": 3, "topic": "set"}
    assert set_here["input"] == {"topic": "set", "pages": 3}
    assert given["input"] == {"topic": "given", "pages": 3}


async def test_a_locked_field_is_not_the_callers(owner: Api, agent: str) -> None:
    locked = await configure(owner, agent, values={"topic": "set"}, locked_fields=["topic", "gone"])
    answer = await refused(owner, agent, input={"topic": "mine"})
    run = await launched(owner, agent, input={"pages": 2})

    assert locked.json["locked_fields"] == ["topic"]
    assert (answer.status, answer.code) == (400, "locked_input_field")
    assert answer.json["param"] == "input.topic"
    assert run["input"] == {"topic": "set", "pages": 2}


@pytest.mark.parametrize(
    ("settings", "code", "fields"),
    [
        (
            {"locked_fields": ["topic"]},
            "locked_required_field_empty",
            {"values.topic": "locked_required_field_empty"},
        ),
        ({"values": {"pages": 11}}, "validation_failed", {"values.pages": "out_of_range"}),
        ({"colour": "red"}, "validation_failed", {"colour": "unknown_field"}),
        ({"values": None}, "validation_failed", {"values": "invalid_type"}),
    ],
)
async def test_settings_that_cannot_be_are_refused(
    owner: Api, agent: str, settings: Json, code: str, fields: dict[str, str]
) -> None:
    answer = await configure(owner, agent, **settings)

    assert (answer.status, answer.code) == (400, code)
    assert answer.fields == fields


async def test_settings_are_whole_and_for_those_who_may_configure(owner: Api, agent: str) -> None:
    half = await owner.put(f"/api/agents/{agent}/input-settings", {"values": {}})
    reader = await owner.with_key(scopes=["agents:read", "agents:run"])
    forbidden = await configure(reader, agent)
    shipped = await configure(owner, "@appstrate/hello-world", values={"name": "Ada"})
    run = await launched(owner, "@appstrate/hello-world")

    assert (half.status, half.fields) == (400, {"locked_fields": "required"})
    assert forbidden.status == 403
    assert shipped.status == 200, shipped.body
    assert run["input"]["name"] == "Ada"


async def test_a_run_is_run_again_with_its_input(owner: Api, agent: str) -> None:
    """Without what has been locked since."""
    first = await launched(owner, agent, input={"topic": "once", "pages": 2})
    again = await launched(owner, agent, rerun_from=first["id"])
    await configure(owner, agent, values={"pages": 5}, locked_fields=["pages"])
    locked = await launched(owner, agent, rerun_from=first["id"])

    assert again["input"] == {"topic": "once", "pages": 2}
    assert again["id"] != first["id"]
    assert locked["input"] == {"topic": "once", "pages": 5}


async def test_a_rerun_that_cannot_be_is_refused(owner: Api, agent: str, server: Any) -> None:
    other = await launched(owner, await owner.new_agent("other"))
    stranger = await new_owner(server.url)
    foreign = await launched(stranger, await stranger.new_agent("theirs"))

    async def rerun(run: str, **body: Any) -> tuple[int, str, str]:
        answer = await owner.launch(agent, {"modelId": "demo", "rerun_from": run} | body)
        return answer.status, answer.code, answer.json["param"]

    assert await rerun(other["id"]) == (409, "rerun_agent_mismatch", "rerun_from")
    assert await rerun("run_0") == (404, "not_found", "rerun_from")
    assert await rerun(foreign["id"]) == (404, "not_found", "rerun_from")
    assert await rerun(other["id"], input={}) == (400, "invalid_request", "rerun_from")


async def test_generation_is_asked_for_over_the_agents_own(owner: Api, fake: FakeModel) -> None:
    model = await owner.new_model(fake, fake.script("warm", Say("Done.")))
    agent = await owner.new_agent("warm")
    choice = {"modelId": model["id"], "generation": {"temperature": 0.5, "reasoningLevel": "low"}}
    await owner.put(f"/api/agents/{agent}/model", choice)
    plain = (await owner.launch(agent)).json
    hot = (await owner.launch(agent, {"generation": {"temperature": 1}})).json
    wrong = await owner.launch(agent, {"generation": {"temperature": 2}})
    await owner.wait(plain["id"])
    await owner.wait(hot["id"])

    assert plain["generation"] == {"temperature": 0.5, "reasoningLevel": "low"}
    assert plain["generation_override"] is None
    assert hot["generation"] == {"temperature": 1, "reasoningLevel": "low"}
    assert hot["generation_override"] == {"temperature": 1, "reasoningLevel": None}
    assert (wrong.status, wrong.fields) == (400, {"generation.temperature": "out_of_range"})


async def test_what_this_version_cannot_do_is_refused_and_not_ignored(
    owner: Api, agent: str
) -> None:
    mail = await owner.new_agent("mail", dependencies={"integrations": {"@acme/mail": "^1.0.0"}})
    proxy = await refused(owner, agent, proxyId="p1", input={"topic": "x"})
    unknown = await refused(
        owner, agent, connection_overrides={"@acme/crm": "c1"}, input={"topic": "x"}
    )
    missing = await refused(owner, mail, connection_overrides={"@acme/mail": "c1"})

    assert (proxy.status, proxy.json["param"]) == (404, "proxyId")
    assert (unknown.status, unknown.fields) == (
        400,
        {"connection_overrides.@acme/crm": "invalid_key"},
    )
    assert (missing.status, missing.code) == (412, "missing_integration_connection")
    assert missing.fields == {"integrations.@acme/mail": "override_connection_unavailable"}


async def with_skills(owner: Api) -> tuple[str, str]:
    """An agent that asks for ^1.0.0 of a skill with three versions."""
    tone = f"{owner.scope}/tone"
    for version in ("1.0.0", "1.1.0", "2.0.0"):
        skill = SKILL.replace("Be brief.", f"Version {version}.")
        made = await owner.upload(skill_archive(skill_manifest(tone, version=version), skill))
        assert made.status == 201, made.body
    return await owner.new_agent("skilled", dependencies={"skills": {tone: "^1.0.0"}}), tone


@pytest.mark.parametrize(
    ("override", "found"),
    [
        (None, "1.1.0"),
        ("1.0.0", "1.0.0"),
        (">=2", "2.0.0"),
        ("latest", "2.0.0"),
        ("draft", "draft"),
    ],
)
async def test_a_skill_can_be_had_in_another_version(
    owner: Api, fake: FakeModel, override: str | None, found: str
) -> None:
    """`draft` with its text as it was edited, and the archive's other files."""
    agent, tone = await with_skills(owner)
    path = f"/api/packages/skills/{tone}"
    lock = (await owner.get(path)).json["lock_version"]
    edited = SKILL.replace("Be brief.", "Version draft.")
    put = await owner.put(path, {"content": edited, "lock_version": lock})
    assert put.status == 200, put.body
    look = f"cat .pi/skills/{tone}/SKILL.md .pi/skills/{tone}/references/words.txt"
    name = fake.script(f"skilled-{override}", Say("", {"bash": {"command": look}}), Say("Read."))
    await owner.new_model(fake, name)
    wanted = {"dependency_overrides": {tone: override}} if override else {}
    run = await owner.finished(agent, wanted)
    seen = json.dumps(fake.requests_of(name)[-1]["messages"])

    assert run["status"] == "success", run
    assert run["dependency_overrides"] == wanted.get("dependency_overrides")
    assert f"Version {found}." in seen
    assert "short" in seen


async def test_an_override_that_cannot_be_is_refused(owner: Api) -> None:
    agent, tone = await with_skills(owner)
    unknown = await refused(owner, agent, dependency_overrides={"@acme/other": "1.0.0"})
    unfit = await refused(owner, agent, dependency_overrides={tone: "^9.0.0"})

    assert (unknown.status, unknown.fields) == (
        400,
        {"dependency_overrides.@acme/other": "invalid_key"},
    )
    assert tone in unknown.json["detail"]
    assert (unfit.status, unfit.code) == (422, "dependency_unresolved")
    assert "1.0.0, 1.1.0, 2.0.0" in unfit.json["detail"]


async def test_a_version_is_chosen_as_it_was_asked_for(owner: Api) -> None:
    agent = await owner.new_agent("versioned")
    path = f"/api/packages/agents/{agent}"
    for version in ("1.1.0", "2.0.0"):
        lock = (await owner.get(path)).json["lock_version"]
        manifest = (await owner.get(path)).json["manifest"] | {"version": version}
        await owner.put(path, {"manifest": manifest, "lock_version": lock})
        made = await owner.post(f"{path}/versions", {})
        assert made.status == 201, made.body
    queries = ["", "?version=", "?version=draft", "?version=published", "?version=latest"]
    queries += ["?version=1.1.0", "?version=^1.0.0"]
    runs = [await launched(owner, agent, query) for query in queries]
    unfit = await owner.launch(agent, {"modelId": "demo"}, "?version=^3.0.0")

    assert [run["version_ref"] for run in runs] == [
        *("2.0.0", "2.0.0", "draft", "2.0.0", "2.0.0", "1.1.0", "1.1.0")
    ]
    assert unfit.status == 404


async def test_a_body_that_cannot_be_used_is_refused_by_field(owner: Api, agent: str) -> None:
    path = f"/api/agents/{agent}/run"
    broken = await owner.request("POST", path, data=b'{"input": ')
    wrong = await owner.launch(agent, {"input": []})
    extra = await owner.launch(agent, {"inputs": {}})
    empty = await owner.request("POST", path)

    assert (broken.status, broken.code) == (400, "invalid_request")
    assert (wrong.status, wrong.fields) == (400, {"input": "invalid_type"})
    assert (extra.status, extra.fields) == (400, {"inputs": "unknown_field"})
    assert (empty.status, empty.fields) == (400, {"input.topic": "invalid_input"})


async def test_a_model_that_cannot_be_used_is_told_before_anything_runs(
    owner: Api, fake: FakeModel, server: Any
) -> None:
    agent = await owner.new_agent("modelless")
    none = await owner.launch(agent)
    unknown = await owner.launch(agent, {"modelId": "gone"})
    stranger = await new_owner(server.url)
    theirs = await stranger.new_model(fake, fake.script("theirs", Say()))
    foreign = await owner.launch(agent, {"modelId": theirs["id"]})

    assert (none.status, none.code) == (400, "model_not_configured")
    assert (unknown.status, unknown.json["param"]) == (404, "modelId")
    assert (foreign.status, foreign.json["param"]) == (404, "modelId")
    assert (await owner.get("/api/runs")).json["total"] == 0


async def test_connections_do_not_keep_an_agent_from_running(owner: Api) -> None:
    plain = await owner.new_agent("plain")
    mail = await owner.new_agent("mail", dependencies={"integrations": {"@acme/mail": "^1.0.0"}})
    ready = (await owner.get(f"/api/agents/{plain}/connection-readiness")).json
    without = (await owner.get(f"/api/agents/{mail}/connection-readiness")).json

    assert ready == {"blocks_run": False, "errors": [], "integrations": {}}
    assert without["blocks_run"] is False
    [error] = without["errors"]
    assert (error["field"], error["code"]) == (
        "integrations.@acme/mail",
        "integration_not_active",
    )
    assert without["integrations"]["@acme/mail"]["status"] == "none"


async def test_the_proxy_of_an_agent_is_none_or_nothing(owner: Api, agent: str) -> None:
    path = f"/api/agents/{agent}/proxy"
    before = (await owner.get(path)).json
    chosen = await owner.put(path, {"proxyId": "none"})
    unknown = await owner.put(path, {"proxyId": "p1"})

    assert before == {"proxyId": None, "resolved": None}
    assert chosen.json == (await owner.get(path)).json == {"proxyId": "none", "resolved": None}
    assert (unknown.status, unknown.json["param"]) == (404, "proxyId")
