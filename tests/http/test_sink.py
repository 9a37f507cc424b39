"""The signed event sink: a run that the test itself plays, over HTTP as an agent would."""

import asyncio
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from actors.runs.signing import sign
from appstrate.boot import Server
from support.api import Answer, Api
from support.fake_model import FakeModel, Hang
from support.sinks import database_of, secret_of
from support.waiting import eventually


@dataclass
class PlayedRun:
    """A run whose program hangs, so that the test can speak for it: number 1 is the test's first
    event, after the `before` that the program sent by itself.
    """

    api: Api
    id: str
    secret: str
    before: int

    async def send(
        self, path: str, body: bytes, *, message_id: str | None = None, **headers: str
    ) -> Answer:
        message_id = message_id or str(uuid4())
        timestamp = headers.pop("timestamp", str(int(time.time())))
        signature = headers.pop("signature", sign(self.secret, message_id, timestamp, body))
        signed = {
            "webhook-id": message_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": signature,
        }
        kept = {name: value for name, value in signed.items() if value}
        return await Api(self.api.url).request(
            "POST", f"/api/runs/{self.id}/events{path}", data=body, headers=kept
        )

    async def event(self, sequence: int, kind: str, data: Any, **options: Any) -> Answer:
        return await self.send("", self.encode(sequence, kind, data), **options)

    def encode(
        self, sequence: int, kind: str, data: Any, changes: dict[str, Any] | None = None
    ) -> bytes:
        event = {
            "specversion": "1.0",
            "type": kind,
            "source": f"/afps/runs/{self.id}",
            "id": str(uuid4()),
            "time": datetime.now(UTC).isoformat(),
            "datacontenttype": "application/json",
            "data": data,
            "sequence": self.before + sequence,
        }
        return json.dumps(event | (changes or {})).encode()

    async def log(self, sequence: int, message: str, **options: Any) -> Answer:
        return await self.event(
            sequence, "log.written", {"level": "info", "message": message}, **options
        )

    async def finalize(self, **report: Any) -> Answer:
        return await self.send("/finalize", json.dumps(report).encode())

    async def messages(self) -> list[str]:
        lines = await self.api.logs(self.id)
        return [line["message"] for line in lines if line["event"] == "log"]

    async def now(self) -> dict[str, Any]:
        return dict((await self.api.get(f"/api/runs/{self.id}")).json)


@pytest.fixture
async def played(owner: Api, server: Server, fake: FakeModel) -> PlayedRun:
    name = fake.script(f"hang-{owner.org['slug']}", Hang())
    await owner.new_model(fake, name)
    run = (await owner.launch(await owner.new_agent("played"))).json["id"]
    await eventually(lambda: fake.requests_of(name))
    return PlayedRun(owner, run, await secret_of(server, run), await settled(server, run))


async def settled(server: Server, run: str) -> int:
    """The number of a hanging program's last event, once it has arrived."""
    ready = "SELECT 1 FROM run_logs WHERE run_id = $1 AND message LIKE 'runtime ready in %'"
    async with asyncio.timeout(10):
        while await database_of(server).fetchval(ready, run) is None:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
    last = "SELECT last_sequence FROM run_sinks WHERE run_id = $1"
    return int(await database_of(server).fetchval(last, run))


OK_USAGE = {"input_tokens": 10, "output_tokens": 5}


async def test_events_in_sequence_are_persisted(played: PlayedRun) -> None:
    answers = [await played.log(n, f"line {n}") for n in (1, 2, 3)]

    assert [a.json for a in answers] == [
        {"ok": True, "outcome": "persisted", "sequence": played.before + n} for n in (1, 2, 3)
    ]
    assert await played.messages() == ["line 1", "line 2", "line 3"]


async def test_a_repeated_message_has_no_second_effect(played: PlayedRun) -> None:
    body = played.encode(1, "log.written", {"level": "info", "message": "once"})
    first = await played.send("", body, message_id="msg-1")
    again = await played.send("", body, message_id="msg-1")
    reused = await played.log(2, "never", message_id="msg-1")
    late = await played.log(1, "never")
    following = await played.log(2, "twice")

    assert first.json["outcome"] == "persisted"
    assert [a.json for a in (again, reused, late)] == [{"ok": True, "outcome": "replay"}] * 3
    assert following.json["outcome"] == "persisted"
    assert await played.messages() == ["once", "twice"]


async def test_early_events_wait_for_their_turn(played: PlayedRun) -> None:
    early = [await played.log(n, f"line {n}") for n in (3, 2)]
    repeated = await played.log(3, "other")
    assert [a.json["outcome"] for a in early] == ["buffered", "buffered"]
    assert repeated.json["outcome"] == "replay"
    reused = await played.log(5, "line 5", message_id="again")
    assert (await played.log(6, "never", message_id="again")).json["outcome"] == "replay"
    assert reused.json["outcome"] == "buffered"
    assert await played.messages() == []
    gap_filled = await played.log(1, "line 1")
    following = await played.log(4, "line 4")

    assert [a.json["outcome"] for a in (gap_filled, following)] == ["persisted", "persisted"]
    assert await played.messages() == [f"line {n}" for n in range(1, 6)]


async def test_an_early_event_whose_place_was_taken_is_dropped(
    played: PlayedRun, server: Server
) -> None:
    """As when its number came again, under another id, while its predecessor was being stored."""
    await played.log(5, "early")
    await database_of(server).execute(
        "UPDATE run_sinks SET last_sequence = $2 WHERE run_id = $1", played.id, played.before + 6
    )
    await played.log(7, "line 7")
    await played.log(9, "line 9")
    await played.finalize(status="success", usage=OK_USAGE)

    assert await played.messages() == ["line 7", "line 9"]
    left = "SELECT early_events, last_sequence FROM run_sinks WHERE run_id = $1"
    assert tuple(await database_of(server).fetchrow(left, played.id)) == (0, played.before + 9)


async def test_early_events_are_counted(played: PlayedRun, server: Server) -> None:
    await played.log(3, "line 3")
    full = "UPDATE run_sinks SET early_events = 1000 WHERE run_id = $1"
    await database_of(server).execute(full, played.id)
    refused = await played.log(4, "line 4")

    assert (refused.status, refused.code) == (503, "unavailable")
    assert f"number {played.before + 1} already" in refused.json["detail"]
    assert (await played.log(1, "line 1")).json["outcome"] == "persisted"


async def test_a_run_whose_end_cannot_be_worked_out_still_ends(
    played: PlayedRun, server: Server
) -> None:
    await played.log(2, "early")
    odd = """UPDATE runs SET token_usage = '{"not": "usage"}' WHERE id = $1"""
    await database_of(server).execute(odd, played.id)
    answer = await played.finalize(status="success", usage=OK_USAGE)
    run = await played.now()

    assert answer.status == 200
    assert run["status"] == "failed"
    assert "could not record" in run["error"]
    assert (await played.api.logs(played.id))[-1]["event"] == "run_completed"


async def test_a_storm_of_events_out_of_order_ends_in_order(played: PlayedRun) -> None:
    numbers = [(n * 7) % 40 + 1 for n in range(40)]
    answers = await asyncio.gather(*(played.log(n, f"line {n}") for n in numbers))

    assert {a.status for a in answers} == {200}
    assert await played.messages() == [f"line {n}" for n in range(1, 41)]


async def test_what_is_not_signed_by_the_run_is_refused(played: PlayedRun) -> None:
    body = played.encode(1, "log.written", {"message": "x"})
    old = str(int(time.time()) - 301)
    cases = {
        "missing_signature_headers": await played.send("", body, signature=""),
        "invalid_timestamp": await played.send("", body, timestamp="yesterday"),
        "timestamp_out_of_tolerance": await played.send("", body, timestamp=old),
        "invalid_signature": await played.send("", body, signature="v1,AAAA"),
    }
    other_version = await played.send("", body, signature="v2,AAAA")
    changed = await played.send("", body + b" ", signature=sign(played.secret, "m", "1", body))

    assert {code: a.code for code, a in cases.items()} == {code: code for code in cases}
    assert {a.status for a in cases.values()} == {401}
    assert (other_version.code, changed.code) == ("invalid_signature", "invalid_signature")
    assert await played.messages() == []


async def test_a_message_id_too_long_to_be_remembered_is_refused(played: PlayedRun) -> None:
    body = played.encode(1, "log.written", {"message": "x"})
    refused = await played.send("", body, message_id="m" * 256)
    assert (refused.status, refused.json["param"]) == (400, "webhook-id")
    assert (await played.send("", body, message_id="m" * 255)).json["outcome"] == "persisted"


async def test_one_good_signature_among_several_is_enough(played: PlayedRun) -> None:
    body = played.encode(1, "log.written", {"level": "info", "message": "signed"})
    now = str(int(time.time()))
    good = sign(played.secret, "m1", now, body)
    answer = await played.send("", body, message_id="m1", timestamp=now, signature=f"v1,AA {good}")

    assert answer.json["outcome"] == "persisted"


async def test_an_unknown_run_is_not_there(played: PlayedRun) -> None:
    stranger = PlayedRun(played.api, "run_00000000-0000-4000-8000-000000000000", played.secret, 0)

    assert (await stranger.log(1, "hello?")).status == 404


@pytest.mark.parametrize(
    ("changes", "field", "detail"),
    [
        ({"specversion": "2.0"}, "specversion", "specversion must be one of 1.0, not '2.0'"),
        (
            {"extra": 1},
            "extra",
            (
                "extra is not known here: leave it out, or use one of specversion, type, source, "
                "id, time, datacontenttype, data, sequence, dataschema"
            ),
        ),
        ({"data": []}, "data", "data must be an object, not a list"),
        ({"sequence": "1"}, "sequence", "sequence must be an integer, not a string"),
        ({"sequence": -1}, "sequence", f"sequence must be from 0 to {2**31 - 1}"),
    ],
)
async def test_what_is_no_event_is_refused(
    played: PlayedRun, changes: dict[str, Any], field: str, detail: str
) -> None:
    answer = await played.send("", played.encode(1, "log.written", {}, changes))

    assert (answer.status, answer.code) == (400, "validation_failed")
    assert (list(answer.fields), answer.json["detail"]) == ([field], detail)
    assert (await played.send("", b"{")).status == 400


async def test_unknown_and_malformed_events_only_take_their_place(played: PlayedRun) -> None:
    assert (await played.event(1, "future.kind", {"x": 1})).json["outcome"] == "persisted"
    assert (await played.event(2, "output.emitted", {})).json["outcome"] == "persisted"
    metric = {"usage": "nonsense", "cost": -1}
    assert (await played.event(3, "appstrate.metric", metric)).json["outcome"] == "persisted"
    odd = {"level": "loud", "message": "a\x00b", "data": {"k\x00": "v\x00"}}
    assert (await played.event(4, "appstrate.progress", odd)).json["outcome"] == "persisted"
    last = (await played.api.logs(played.id))[-1]

    assert (last["level"], last["message"], last["data"]) == (
        "debug",
        "a\ufffdb",
        {"k\ufffd": "v\ufffd"},
    )


async def test_odd_values_in_an_event_break_nothing(played: PlayedRun) -> None:
    beyond = await played.log(2**31, "never")
    half = await played.log(1, "half a \ud83d pair, and a \0")
    usage = {"input_tokens": 10**30, "output_tokens": 5}
    metric = await played.event(2, "appstrate.metric", {"usage": usage, "cost": 1e300})

    assert (beyond.status, beyond.fields) == (400, {"sequence": "out_of_range"})
    assert (half.json["outcome"], metric.json["outcome"]) == ("persisted", "persisted")
    assert await played.messages() == ["half a \ufffd pair, and a \ufffd"]
    assert (await played.now())["cost"] is None


async def test_a_large_log_entry_is_cut_to_a_note(played: PlayedRun) -> None:
    await played.event(1, "appstrate.progress", {"message": "m", "data": {"x": "y" * 40_000}})
    last = (await played.api.logs(played.id))[-1]

    assert last["data"]["__truncated"] is True
    assert last["data"]["bytes"] > 40_000


async def test_metrics_show_in_the_run_at_once(played: PlayedRun) -> None:
    await played.event(1, "appstrate.metric", {"usage": OK_USAGE, "cost": 0.25})
    run = await played.now()

    assert run["status"] == "running"
    assert run["token_usage"]["input_tokens"] == 10
    assert run["cost"] == 0.25


async def test_a_run_ends_once_and_its_sink_closes(played: PlayedRun) -> None:
    await played.log(1, "before")
    await played.log(3, "early, released by the end")
    first = await played.finalize(status="success", output={"a": 1}, usage=OK_USAGE)
    second = await played.finalize(status="failed", error={"message": "no"}, usage=OK_USAGE)
    late = await played.log(4, "after")
    beat = await played.send("/heartbeat", b"{}")
    run = await played.now()

    assert (first.json, second.json) == ({"ok": True}, {"ok": True})
    assert (late.status, late.code) == (410, "run_sink_closed")
    assert (beat.status, beat.code) == (410, "run_sink_closed")
    assert (run["status"], run["result"], run["error"]) == ("success", {"output": {"a": 1}}, None)
    assert await played.messages() == ["before", "early, released by the end"]
    events = [line["event"] for line in await played.api.logs(played.id)]
    assert events[-2:] == ["result", "run_completed"]
    assert events.count("run_completed") == 1


async def test_racing_reports_end_a_run_once(played: PlayedRun) -> None:
    reports = [played.finalize(status="success", output={"n": n}, usage=OK_USAGE) for n in range(6)]
    answers = await asyncio.gather(*reports, played.api.post(f"/api/runs/{played.id}/cancel"))
    events = [line["event"] for line in await played.api.logs(played.id)]

    assert {a.status for a in answers} <= {200, 409}
    assert events.count("run_completed") == 1
    assert (await played.now())["status"] in ("success", "cancelled")


async def test_a_success_that_never_reached_a_model_is_none(played: PlayedRun) -> None:
    await played.finalize(status="success", output={"a": 1}, usage={})
    run = await played.now()

    assert run["status"] == "failed"
    assert "could not reach the LLM API" in run["error"]


@pytest.mark.parametrize(
    ("report", "status", "error"),
    [
        ({"usage": OK_USAGE}, "success", None),
        ({"error": {"message": "broke", "code": 7}}, "failed", "broke"),
        ({"status": "timeout", "error": {"message": "late"}}, "timeout", "late"),
        (
            {"status": "success", "usage": OK_USAGE, "cost": "free", "durationMs": "x"},
            "success",
            None,
        ),
    ],
)
async def test_a_report_is_strict_where_it_matters_and_forgiving_elsewhere(
    played: PlayedRun, report: dict[str, Any], status: str, error: str | None
) -> None:
    assert (await played.finalize(**report)).status == 200
    run = await played.now()

    assert (run["status"], run["error"]) == (status, error)


async def test_a_report_that_is_none_is_refused_and_the_run_goes_on(played: PlayedRun) -> None:
    assert (await played.finalize(status="splendid")).fields == {"status": "invalid_value"}
    odd = await played.finalize(error={"message": 3})
    assert odd.fields == {"error.message": "invalid_value"}
    assert (await played.send("/finalize", b"[]")).status == 400
    assert (await played.now())["status"] == "running"


async def test_an_output_too_large_is_dropped_with_a_warning(played: PlayedRun) -> None:
    await played.finalize(status="success", output={"x": "y" * 600_000}, usage=OK_USAGE)
    run = await played.now()

    assert (run["status"], run["result"]) == ("success", None)
    assert "result_dropped" in [line["event"] for line in await played.api.logs(played.id)]


async def test_a_cancelled_run_keeps_the_output_it_had_delivered(played: PlayedRun) -> None:
    await played.event(1, "output.emitted", {"data": {"part": 1}})
    await played.api.post(f"/api/runs/{played.id}/cancel")
    run = await played.now()

    assert (run["status"], run["result"]) == ("cancelled", {"output": {"part": 1}})


async def test_a_large_output_is_kept_whole_for_whoever_ends_the_run(played: PlayedRun) -> None:
    large = {"text": "x" * 100_000}
    await played.event(1, "output.emitted", {"data": large})
    await played.api.post(f"/api/runs/{played.id}/cancel")

    assert (await played.now())["result"] == {"output": large}


async def test_details_of_a_report_that_make_no_sense_are_left_out(played: PlayedRun) -> None:
    await played.finalize(
        status="success", usage=OK_USAGE, cost=0, artifacts={"status": "odd", "published": 1}
    )
    run = await played.now()

    assert (run["status"], run["cost"], run["artifacts"]) == ("success", None, None)


async def test_a_sign_of_life_is_taken(played: PlayedRun) -> None:
    assert (await played.send("/heartbeat", b"{}")).json == {"ok": True}
