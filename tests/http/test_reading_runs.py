"""Reading runs: lists, logs, waiting."""

import asyncio

import pytest
from yarl import URL

from support.api import Api
from support.fake_model import FakeModel, Hang


async def test_runs_are_listed_newest_first_and_numbered(owner: Api) -> None:
    one, two = [await owner.new_agent(name) for name in ("one", "two")]
    runs = [(await owner.launch(a, {"modelId": "demo"})).json for a in (one, two, one)]
    for run in runs:
        await owner.wait(run["id"])
    listed = (await owner.get("/api/runs?limit=2")).json
    of_one = (await owner.get(f"/api/agents/{one}/runs")).json
    failed = (await owner.get("/api/runs?status=failed")).json

    assert [r["id"] for r in listed["data"]] == [runs[2]["id"], runs[1]["id"]]
    assert (listed["hasMore"], listed["total"], listed["limit"]) == (True, 3, 2)
    assert [r["runNumber"] for r in of_one["data"]] == [2, 1]
    assert failed["data"] == []
    assert (await owner.get("/api/runs?status=odd")).status == 400
    assert (await owner.get("/api/runs?limit=rubbish&status=")).json["limit"] == 20


async def test_logs_are_read_in_pages(owner: Api) -> None:
    run = await owner.finished(await owner.new_agent("logged"), {"modelId": "demo"})
    lines = await owner.logs(run["id"])
    page = await owner.get(f"/api/runs/{run['id']}/logs?limit=2")
    rest = await owner.get(f"/api/runs/{run['id']}/logs?since={lines[1]['id']}")
    important = await owner.get(f"/api/runs/{run['id']}/logs?level=warn")

    assert page.json["data"] == lines[:2]
    assert page.json["hasMore"] is True
    assert f"since={lines[1]['id']}" in page.headers["Link"]
    assert rest.json["data"] == lines[2:]
    assert important.json["data"] == []


async def test_waiting_ends_with_the_run_or_with_the_wait(owner: Api, fake: FakeModel) -> None:
    await owner.new_model(fake, fake.script("waiting", Hang()))
    run = (await owner.launch(await owner.new_agent("waiting"))).json["id"]
    loop = asyncio.get_running_loop()
    began = loop.time()
    early = await owner.get(f"/api/runs/{run}?wait=0.3")
    took = loop.time() - began
    waiting = asyncio.create_task(owner.wait(run))
    await asyncio.sleep(0.05)
    await owner.post(f"/api/runs/{run}/cancel")

    assert early.json["status"] in ("pending", "running")
    assert 0.25 < took < 3
    assert (await waiting)["status"] == "cancelled"
    assert (await owner.get(f"/api/runs/{run}?wait=rubbish")).status == 400


async def test_a_list_of_runs_links_to_its_next_page(owner: Api) -> None:
    agent = await owner.new_agent("listed")
    for _ in range(3):
        await owner.finished(agent, {"modelId": "demo"})
    seen: list[int] = []
    path: str | None = "/api/runs?limit=2"
    while path:
        answer = await owner.get(path)
        seen += [run["runNumber"] for run in answer.json["data"]]
        url, _, rel = answer.headers["Link"].partition("; ")
        path = url.strip("<>") if rel == 'rel="next"' else None

    assert seen == [3, 2, 1]


async def test_a_page_far_beyond_the_last_run_is_empty(owner: Api) -> None:
    await owner.launch(await owner.new_agent("far"), {"modelId": "demo"})
    beyond = await owner.get("/api/runs?offset=1000020")

    assert (beyond.json["data"], beyond.json["total"], beyond.json["hasMore"]) == ([], 1, False)


async def test_a_cursor_may_be_large(owner: Api) -> None:
    run = await owner.finished(await owner.new_agent("read"), {"modelId": "demo"})
    beyond = await owner.get(f"/api/runs/{run['id']}/logs?since=99999999999")

    assert beyond.json["data"] == []


async def test_runs_are_listed_by_when_they_were_made(owner: Api) -> None:
    run = (await owner.launch(await owner.new_agent("dated"), {"modelId": "demo"})).json
    at, today = run["started_at"], run["started_at"][:10]

    async def total(**query: str) -> int:
        answer = await owner.get(str(URL.build(path="/api/runs", query=query)))
        assert answer.status == 200, answer.body
        return int(answer.json["total"])

    assert await total(start_date=today, end_date=today) == 1
    assert await total(start_date=at, end_date=at) == 1
    assert await total(start_date="", end_date="") == 1
    assert await total(start_date="2999-01-01") == 0
    assert await total(end_date="2000-01-01T00:00:00+02:00") == 0
    assert await total(user="me", end_date="2000-01-01") == 1
    assert await total(end_date=today.replace("-", "")) == 1
    assert await total(end_date="9999-12-31") == 1
    assert await total(start_date="2999-01-01", end_date="2000-01-01") == 0
    assert await total(chat_session_id="") == 1
    assert await total(chat_session_id="none") == 0
    path = "/api/runs?end_date=2000-01-01T00:00:00+02:00"
    unescaped = await owner.get(URL(owner.url + path, encoded=True))
    assert "%2B" in unescaped.json["detail"]


@pytest.mark.parametrize(
    "query", ["start_date=soon", "end_date=2026-13-01", "kind=odd", "user=you", "status=odd"]
)
async def test_filters_that_make_no_sense_are_refused(owner: Api, query: str) -> None:
    answer = await owner.get(f"/api/runs?{query}")

    assert (answer.status, answer.code) == (400, "invalid_request")
    assert answer.json["param"] == query.partition("=")[0]


async def test_ten_requests_may_wait_and_the_eleventh_is_answered(
    owner: Api, fake: FakeModel
) -> None:
    await owner.new_model(fake, fake.script("crowded", Hang()))
    run = (await owner.launch(await owner.new_agent("crowded"))).json["id"]
    key = await owner.with_key()
    waiting = {asyncio.create_task(owner.wait(run)) for _ in range(11)}
    done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    another = asyncio.create_task(key.wait(run))
    [eleventh] = done
    await owner.post(f"/api/runs/{run}/cancel")
    ended = [(await each)["status"] for each in waiting]
    key_ended = (await another)["status"]
    again = await owner.wait(run)

    assert (await eleventh)["status"] in ("pending", "running")
    assert ended == ["cancelled"] * 10
    assert key_ended == again["status"] == "cancelled"


async def test_an_agent_tells_of_its_last_run_as_the_run_does(owner: Api) -> None:
    agent = await owner.new_agent("lately")
    run = (await owner.launch(agent, {"modelId": "demo"})).json
    last = (await owner.get(f"/api/packages/agents/{agent}")).json["last_run"]

    assert (last["id"], last["started_at"]) == (run["id"], run["started_at"])
