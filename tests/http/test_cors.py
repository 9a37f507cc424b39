from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appstrate.boot import Server, serving
from appstrate.settings import read_settings
from support.api import Answer, Api, new_owner

OURS = "https://dash.example"
THEIRS = "https://evil.example"


@pytest.fixture(scope="module")
async def trusting(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    data: Path = tmp_path_factory.mktemp("trusting")
    environment = {"DATA_DIR": str(data), "PORT": "0", "APP_ENV": "test", "TRUSTED_ORIGINS": OURS}
    async with serving(read_settings(environment)) as running:
        yield running


def allowed(answer: Answer) -> dict[str, str]:
    return {n: v for n, v in answer.headers.items() if n.startswith("Access-Control-")}


async def preflight(api: Api, origin: str, path: str = "/api/runs") -> Answer:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "x-org-id, content-type",
    }
    return await api.request("OPTIONS", path, headers=headers)


async def test_a_trusted_page_may_read_answers_with_its_cookie(trusting: Server) -> None:
    owner = await new_owner(trusting.url)
    answer = await owner.get("/api/runs", headers={"Origin": OURS})
    refused = await owner.get("/api/nothing", headers={"Origin": OURS})
    changed = await owner.post("/api/api-keys", {"name": "x"}, headers={"Origin": OURS})

    assert (answer.status, refused.status, changed.status) == (200, 404, 201)
    for each in (answer, refused, changed):
        assert each.headers["Access-Control-Allow-Origin"] == OURS
        assert each.headers["Access-Control-Allow-Credentials"] == "true"
        assert "Request-Id" in each.headers["Access-Control-Expose-Headers"]
        assert each.headers["Vary"] == "Origin"


async def test_a_trusted_page_may_ask_first(trusting: Server) -> None:
    answer = await preflight(Api(trusting.url), OURS)

    assert (answer.status, answer.body) == (204, b"")
    assert allowed(answer)["Access-Control-Allow-Origin"] == OURS
    assert "PUT" in allowed(answer)["Access-Control-Allow-Methods"].split(", ")
    assert allowed(answer)["Access-Control-Allow-Headers"] == "x-org-id, content-type"


async def test_any_other_page_is_told_nothing(trusting: Server) -> None:
    owner = await new_owner(trusting.url)
    answers = [
        await preflight(owner, THEIRS),
        await preflight(owner, "null"),
        await owner.get("/api/runs", headers={"Origin": THEIRS}),
        await owner.get("/api/runs"),
    ]

    assert [allowed(answer) for answer in answers] == [{}, {}, {}, {}]
    assert "Vary" in answers[2].headers
    changed = await owner.post("/api/api-keys", {"name": "x"}, headers={"Origin": THEIRS})
    assert (changed.status, changed.code) == (403, "forbidden")


async def test_options_of_anybody_else_is_no_method_here(trusting: Server) -> None:
    answer = await Api(trusting.url).request("OPTIONS", "/api/runs")

    assert (answer.status, answer.code) == (405, "method_not_allowed")
