"""The model chosen for one agent, and how it is asked to generate."""

import pytest

from appstrate.boot import Server
from support.api import Api, Json, new_owner
from support.fake_model import FakeModel, Say


async def test_an_agent_runs_with_the_model_chosen_for_it(owner: Api, fake: FakeModel) -> None:
    default, chosen, once = [
        await owner.new_model(fake, fake.script(f"{role}-choice", Say("Done.")))
        for role in ("default", "agent", "run")
    ]
    agent = await owner.new_agent("chooser")
    path = f"/api/agents/{agent}/model"
    nothing = {"modelId": None, "generation": {"temperature": None, "reasoningLevel": None}}
    assert (await owner.get(path)).json == nothing
    assert (await owner.finished(agent))["model_label"] == default["label"]

    choice = {"modelId": chosen["id"], "generation": {"temperature": 0.25}}
    kept = await owner.put(path, choice)
    assert kept.json == choice | {"generation": {"temperature": 0.25, "reasoningLevel": None}}
    assert (await owner.get(path)).json == kept.json
    assert (await owner.finished(agent))["model_label"] == chosen["label"]
    assert fake.requests_of("agent-choice")[-1]["temperature"] == 0.25

    launched = await owner.launch(agent, {"modelId": once["id"]})
    assert (await owner.wait(launched.json["id"]))["model_label"] == once["label"]
    assert fake.requests_of("run-choice")[-1]["temperature"] == 0.25

    await owner.put(path, {"modelId": None})
    assert (await owner.get(path)).json == nothing
    assert (await owner.finished(agent))["model_label"] == default["label"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "modelId"),
        ({"modelId": None, "generation": {"temperature": 1.5}}, "generation.temperature"),
        ({"modelId": None, "generation": {"reasoningLevel": "huge"}}, "generation.reasoningLevel"),
        ({"modelId": None, "generation": {"top_p": 1}}, "generation.top_p"),
        ({"modelId": None, "temperature": 1}, "temperature"),
    ],
)
async def test_a_choice_that_cannot_be_names_its_field(owner: Api, body: Json, field: str) -> None:
    agent = await owner.new_agent("strict")
    refused = await owner.put(f"/api/agents/{agent}/model", body)

    assert refused.status == 400
    assert field in refused.fields


async def test_a_shipped_agent_can_have_a_model_of_its_own(owner: Api, fake: FakeModel) -> None:
    model = await owner.new_model(fake, "for-shipped")
    shipped = next(
        a for a in (await owner.get("/api/agents")).json["data"] if a["source"] != "local"
    )
    path = f"/api/agents/{shipped['id']}/model"

    assert (await owner.put(path, {"modelId": model["id"]})).status == 200
    assert (await owner.get(path)).json["modelId"] == model["id"]


async def test_nobody_elses_agents_or_models_can_be_chosen(
    owner: Api, server: Server, fake: FakeModel
) -> None:
    agent = await owner.new_agent("mine")
    model = await owner.new_model(fake, "mine")
    stranger = await new_owner(server.url)
    path = f"/api/agents/{agent}/model"

    assert (await stranger.get(path)).code == "agent_not_found"
    assert (await stranger.put(path, {"modelId": None})).code == "agent_not_found"
    other = await stranger.new_agent("theirs")
    stolen = await stranger.put(f"/api/agents/{other}/model", {"modelId": model["id"]})
    assert (stolen.status, stolen.code) == (404, "not_found")
