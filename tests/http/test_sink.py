"""The signed event sink: events of a run that the test itself plays, over HTTP."""

import asyncio
import time
from typing import Any

import pytest

from actors.runs.signing import sign
from appstrate.boot import Server
from support.played import OK_USAGE, PlayedRun
from support.sinks import database_of


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


async def test_a_sign_of_life_is_taken(played: PlayedRun) -> None:
    assert (await played.send("/heartbeat", b"{}")).json == {"ok": True}
