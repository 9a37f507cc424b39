"""Aliases on the wire: what names a model names the alias, however the answer is cut."""

import json
from typing import Any

import pytest

from appstrate.sidecar.alias import Alias, PublicAnswer, real_request

ALIAS = Alias(public="house", real="secret-1")


def test_a_request_is_for_the_real_model() -> None:
    sent = real_request(b'{"model": "house", "messages": []}', ALIAS)

    assert json.loads(sent) == {"model": "secret-1", "messages": []}


@pytest.mark.parametrize("body", [b'{"model": "other"}', b"[]", b"nonsense", b""])
def test_no_other_model_can_be_asked_for(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"must name|malformed|truncated"):
        real_request(body, ALIAS)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_events_name_the_alias(size: int) -> None:
    said = "I am not secret-1, says the text."
    events: list[Any] = [
        {"model": "secret-1-2026", "choices": [{"delta": {"content": said}}]},
        {"type": "message_start", "message": {"model": "secret-1"}},
        {"type": "response.created", "response": {"model": "secret-1"}},
    ]
    stream = b"".join(b"data: " + json.dumps(e).encode() + b"\n\n" for e in events)
    stream += b"event: done\ndata: [DONE]\n\n"
    answer = PublicAnswer(ALIAS, events=True)
    chunks = [stream[n : n + size] for n in range(0, len(stream), size)]
    told = b"".join(answer.feed(chunk) for chunk in chunks) + answer.rest()
    seen = [json.loads(line[6:]) for line in told.split(b"\n") if line.startswith(b"data: {")]

    assert told.endswith(b"event: done\ndata: [DONE]\n\n")
    assert [seen[0]["model"], seen[1]["message"]["model"], seen[2]["response"]["model"]] == [
        *("house", "house", "house")
    ]
    assert seen[0]["choices"] == events[0]["choices"]


def test_an_error_in_a_stream_loses_its_words() -> None:
    answer = PublicAnswer(ALIAS, events=True)
    told = answer.feed(b'data: {"error": {"message": "secret-1 is overloaded"}}\n')

    assert b"secret-1" not in told
    assert b"error" in told


def test_a_whole_answer_names_the_alias() -> None:
    answer = PublicAnswer(ALIAS, events=False)
    passed = answer.feed(b'{"model": "secr') + answer.feed(b'et-1", "choices": []}')

    assert passed == b""
    assert json.loads(answer.rest()) == {"model": "house", "choices": []}
