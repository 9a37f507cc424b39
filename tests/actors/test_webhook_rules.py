"""Webhooks: addresses, signatures, envelopes, and what answers mean."""

import base64
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from actors.egress import Egress
from actors.runs import Run
from actors.runtime import Rejected
from actors.webhooks import Sent, run_event
from actors.webhooks.rules import RETRIES, check_url, judge, why, window
from actors.webhooks.signing import new_secret, sign, signed_headers

NOW = datetime(2026, 3, 21, 12, tzinfo=UTC)


def run(**fields: Any) -> Run:
    known: dict[str, Any] = {
        "id": "run_1",
        "packageId": "@acme/report",
        "orgId": "org",
        "applicationId": "app_1",
        "status": "success",
        "started_at": NOW,
        "runNumber": 1,
        "runOrigin": "platform",
        "version_label": "draft",
        "version_ref": "draft",
        "agent_scope": "@acme",
        "agent_name": "report",
    }
    empty = {field.encode_name: None for field in msgspec.structs.fields(Run) if field.required}
    return msgspec.convert(empty | known | fields, Run)


def told(mode: Any, **fields: Any) -> dict[str, Any]:
    body = run_event("evt_1", run(**fields), mode, NOW, "2026-03-21")
    assert len(body) <= 256 * 1024
    document: dict[str, Any] = msgspec.json.decode(body)
    return document


def test_signatures_are_those_of_the_standard() -> None:
    # The example of the Standard Webhooks specification's libraries.
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    signed = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)

    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_new_secrets_mean_the_same_to_every_decoder() -> None:
    secrets = {new_secret() for _ in range(50)}

    assert len(secrets) == 50
    for each in secrets:
        encoded = each.removeprefix("whsec_")
        assert base64.b64decode(encoded, validate=True) == base64.urlsafe_b64decode(encoded)
        assert len(base64.b64decode(encoded)) >= 32


def test_headers_carry_a_signature_for_each_secret() -> None:
    one, two = new_secret(), new_secret()
    headers = signed_headers([one, two], "evt_1", b"{}", attempt=3, now=NOW)

    assert headers["webhook-id"] == "evt_1"
    assert headers["webhook-attempt"] == "3"
    assert headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    stamp = int(NOW.timestamp())
    assert headers["webhook-signature"].split(" ") == [
        sign(one, "evt_1", stamp, b"{}"),
        sign(two, "evt_1", stamp, b"{}"),
    ]


def test_summaries_leave_out_what_is_large() -> None:
    fields: dict[str, Any] = {"result": {"output": {"a": 1}}, "input": {"b": 2}, "cost": 0.5}
    full, summary = (told(m, **fields)["data"]["object"] for m in ("full", "summary"))

    assert (full["result"], full["input"]) == ({"output": {"a": 1}}, {"b": 2})
    assert "result" not in summary
    assert "input" not in summary
    assert summary["cost"] == 0.5
    assert "error" not in full


def test_what_is_too_long_loses_its_result_first_then_its_input() -> None:
    large = {"text": "x" * 200_000}
    only_result = told("full", result={"output": large}, input=large)["data"]["object"]
    huge = {"text": "ü" * 200_000}
    both = told("full", result={"output": large}, input=huge)["data"]["object"]

    assert (only_result["resultTruncated"], only_result["input"]) == (True, large)
    assert not {"result", "inputTruncated"} & only_result.keys()
    assert (both["resultTruncated"], both["inputTruncated"]) == (True, True)
    assert not {"result", "input"} & both.keys()


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://example.com/hook", True),
        ("http://example.com/hook", False),
        ("http://localhost:3000/hook", True),
        ("http://127.0.0.1:3000/hook", True),
        ("http://[::1]/hook", True),
        ("http://2130706433/hook", True),  # 127.0.0.1, in decimal
        ("http://receiver.lan/hook", True),
        ("https://10.0.0.1/", False),
        ("http://10.0.0.1/", False),
        ("https://" + "a" * 2000 + ".example", False),
    ],
)
def test_only_https_and_what_the_operator_opened(url: str, allowed: bool) -> None:
    egress = Egress(allowed_hosts=frozenset({"receiver.lan"}), loopback=True)
    if allowed:
        check_url(url, egress)
    else:
        with pytest.raises(Rejected):
            check_url(url, egress)


@pytest.mark.parametrize(
    "url",
    [
        *("http://localhost/", "https://localhost/", "https://127.0.0.1/", "https://2130706433/"),
        *("https://0x7f000001/", "https://0177.0.0.1/", "https://127.1/", "https://[::1]/"),
        *("https://[::ffff:127.0.0.1]/", "https://[64:ff9b::7f00:1]/", "https://a.localhost/"),
    ],
)
def test_this_machine_is_closed_in_every_spelling(url: str) -> None:
    with pytest.raises(Rejected):
        check_url(url, Egress())


@pytest.mark.parametrize(
    ("sent", "outcome"),
    [
        (Sent(status=200, latency=1), "delivered"),
        (Sent(status=204, latency=1), "delivered"),
        (Sent(status=301, latency=1), "failed"),
        (Sent(status=400, latency=1), "hopeless"),
        (Sent(status=404, latency=1), "hopeless"),
        (Sent(status=408, latency=1), "failed"),
        (Sent(status=429, latency=1), "failed"),
        (Sent(status=500, latency=1), "failed"),
        (Sent(status=None, latency=1, error="no route"), "failed"),
        (Sent(status=None, latency=1, error="private", blocked=True), "hopeless"),
    ],
)
def test_what_an_answer_means(sent: Sent, outcome: str) -> None:
    assert judge(sent) == outcome
    assert (why(sent) is None) == (outcome == "delivered")


def test_eight_attempts_with_growing_delays() -> None:
    delays = [RETRIES.after(attempt, 0) for attempt in range(1, 9)]

    assert delays == [30, 300, 1800, 3600, 7200, 10_800, 14_400, None]
    assert RETRIES.after(1, 1) == pytest.approx(33)


def test_the_window_of_a_rotation_is_bounded() -> None:
    assert (window(None), window(60), window(10**9)) == (604_800, 60, 2_592_000)
    with pytest.raises(Rejected):
        window(0)
