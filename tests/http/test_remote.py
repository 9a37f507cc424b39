"""Runs that are executed elsewhere: the test is elsewhere."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from actors.runs.signing import sign
from support.api import Answer, Api, new_owner
from support.packages import typed_agent_manifest
from support.receiver import receiving

Json = dict[str, Any]
TYPED = {k: v for k, v in typed_agent_manifest().items() if k == "input"}


def registry(owner: Api, agent: str, **fields: Any) -> Json:
    source = {"kind": "registry", "packageId": agent, "stage": "published"} | fields
    return {"source": source, "applicationId": owner.application["id"]}


async def opened(owner: Api, body: Json) -> Json:
    answer = await owner.post("/api/runs/remote", body)
    assert answer.status == 201, answer.body
    return dict(answer.json)


async def send(url: str, sink: Json, document: Json) -> Answer:
    body, stamp, message = msgspec.json.encode(document), str(int(time.time())), str(uuid4())
    signature = sign(sink["secret"], message, stamp, body)
    headers = {"webhook-id": message, "webhook-timestamp": stamp, "webhook-signature": signature}
    return await Api("").request("POST", url, data=body, headers=headers)


async def event(sink: Json, sequence: int, kind: str, data: Json) -> Answer:
    document = {
        "specversion": "1.0",
        "type": kind,
        "source": f"/afps/runs/{sink['id']}",
        "id": str(uuid4()),
        "time": datetime.now(UTC).isoformat(),
        "datacontenttype": "application/json",
        "data": data,
        "sequence": sequence,
    }
    return await send(sink["url"], sink, document)


async def test_a_remote_run_is_recorded_from_its_first_event_to_its_end(owner: Api) -> None:
    agent = await owner.new_agent("remote", **TYPED)
    asked = registry(owner, agent) | {"input": {"topic": "x"}, "contextSnapshot": {"host": "ci"}}
    sink = await opened(owner, asked)
    before = (await owner.get(f"/api/runs/{sink['id']}")).json
    assert sink.keys() == {"id", "url", "finalize_url", "secret", "expiresAt"}
    assert len(sink["secret"]) == 43
    assert (before["status"], before["runOrigin"]) == ("pending", "remote")
    assert (before["model_label"], before["version_ref"]) == (None, "1.0.0")
    assert before["input"] == {"topic": "x", "pages": 1}
    assert before["contextSnapshot"] == {"host": "ci"}

    first = await event(sink, 1, "log.written", {"level": "info", "message": "hello"})
    during = (await owner.get(f"/api/runs/{sink['id']}")).json
    usage = {"input_tokens": 5, "output_tokens": 7}
    ended = await send(sink["finalize_url"], sink, {"status": "success", "usage": usage})
    after = (await owner.get(f"/api/runs/{sink['id']}")).json
    late = await event(sink, 2, "log.written", {"level": "info", "message": "too late"})

    assert (first.status, during["status"]) == (200, "running")
    assert (ended.status, after["status"]) == (200, "success")
    assert (late.status, late.code) == (410, "run_sink_closed")
    assert "hello" in [line["message"] for line in await owner.logs(sink["id"])]


async def test_webhooks_hear_of_a_remote_run_when_it_begins_and_ends(owner: Api) -> None:
    async with receiving() as receiver:
        hook = {"level": "org", "url": receiver.url, "events": ["run.started", "run.failed"]}
        assert (await owner.post("/api/webhooks", hook)).status == 201
        sink = await opened(owner, registry(owner, await owner.new_agent("remote")))
        await event(sink, 1, "log.written", {"level": "info", "message": "hello"})
        await event(sink, 2, "log.written", {"level": "info", "message": "again"})
        await send(sink["finalize_url"], sink, {"status": "failed", "error": {"message": "no"}})
        told = await receiver.received(2)

    assert sorted(each.type for each in told) == ["run.failed", "run.started"]
    assert {each.json["data"]["object"]["id"] for each in told} == {sink["id"]}


async def test_an_inline_agent_may_run_elsewhere(owner: Api) -> None:
    manifest = {"display_name": "Elsewhere"}
    source = {"kind": "inline", "manifest": manifest, "prompt": "Do it."}
    body = {"source": source, "applicationId": owner.application["id"]}
    sink = await opened(owner, body)
    run = (await owner.get(f"/api/runs/{sink['id']}")).json

    assert run["packageId"].startswith("@inline/r-")
    assert run["inline_manifest"] == manifest
    cancelled = await owner.post(f"/api/runs/{sink['id']}/cancel")
    assert cancelled.json["status"] == "cancelled"


async def test_a_sink_is_open_as_long_as_it_was_asked_for(owner: Api) -> None:
    agent = await owner.new_agent("timed")
    sink = await opened(owner, registry(owner, agent) | {"sink": {"ttl_seconds": 60}})
    path = f"/api/runs/{sink['id']}/sink/extend"
    extended = await owner.request("PATCH", path, json={"ttl_seconds": 3600})
    too_long = await owner.request("PATCH", path, json={"ttl_seconds": 86_401})
    now = datetime.now(UTC)
    await owner.post(f"/api/runs/{sink['id']}/cancel")
    closed = await owner.request("PATCH", path, json={"ttl_seconds": 60})

    assert datetime.fromisoformat(sink["expiresAt"]) < now + timedelta(seconds=61)
    assert datetime.fromisoformat(extended.json["expiresAt"]) > now + timedelta(seconds=3500)
    assert (too_long.status, too_long.json["param"]) == (400, "ttl_seconds")
    assert (closed.status, closed.code) == (410, "run_sink_closed")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"applicationId": "app_0"}, 404, "not_found"),
        ({"contextSnapshot": {"x": "x" * 17_000}}, 400, "validation_failed"),
        ({"sink": {"ttl_seconds": 0}}, 400, "validation_failed"),
        ({"input": {"pages": 1}}, 400, "validation_failed"),
        ({"dependency_overrides": {"@acme/other": "1.0.0"}}, 400, "validation_failed"),
        ({"source": {"kind": "elsewhere"}}, 400, "validation_failed"),
        ({"connection_overrides": {}}, 400, "validation_failed"),
    ],
)
async def test_what_cannot_be_recorded_is_refused(
    owner: Api, changes: Json, status: int, code: str
) -> None:
    agent = await owner.new_agent("refused", **TYPED)
    body = registry(owner, agent) | {"input": {"topic": "x"}} | changes
    answer = await owner.post("/api/runs/remote", body)

    assert (answer.status, answer.code) == (status, code), answer.body
    assert (await owner.get("/api/runs")).json["total"] == 0


async def test_what_is_executed_elsewhere_is_what_is_published_here(
    owner: Api, server: Any
) -> None:
    agent = await owner.new_agent("same")
    versions = (await owner.get(f"/api/packages/agents/{agent}/versions")).json["versions"]
    integrity = versions[0]["integrity"]
    await opened(owner, registry(owner, agent, integrity=integrity, spec="^1.0.0"))
    other = await owner.post("/api/runs/remote", registry(owner, agent, integrity="sha256-x"))
    draft = await opened(owner, registry(owner, agent, stage="draft"))
    stranger = await new_owner(server.url)
    foreign = await stranger.post("/api/runs/remote", registry(stranger, agent))

    assert (other.status, other.code) == (409, "integrity_mismatch")
    assert (await owner.get(f"/api/runs/{draft['id']}")).json["version_ref"] == "draft"
    assert foreign.status == 404


async def test_no_server_ends_a_remote_run_because_it_does_not_execute_it(
    owner: Api, server: Any
) -> None:
    agent = await owner.new_agent("elsewhere")
    waiting, running = [await opened(owner, registry(owner, agent)) for _ in range(2)]
    await event(running, 1, "log.written", {"level": "info", "message": "hello"})
    watchdog: Any = server.at.run_watchdog._actor
    records = watchdog._executions
    silent = await records.silent(msgspec.structs.replace(watchdog._liveness), counting=True)
    found = {each.run for each in silent or ()} | set(await records.orphans())

    assert not found & {waiting["id"], running["id"]}
