"""How a run ends by the report of its program, which the test itself sends."""

import asyncio
from typing import Any

import pytest

from support.played import OK_USAGE, PlayedRun


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
